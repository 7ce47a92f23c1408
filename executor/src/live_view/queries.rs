//! Queries to the controller's loop, and their answers. The loop only copies the requested state. The caller processes
//! the copy, so the loop doesn't wait for it.

use std::{sync::Arc, time::Duration};

use everynode_proto::{
    executor::v1::PlannerInfo,
    planner::v1::{NodeFacts, PodFacts},
};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{event_bus::SharedEvent, view};
use crate::{
    apiserver::objects::DaemonSet,
    cluster::{Pod, SharedStr},
};

/// Maximum number of queries queued for the loop.
const QUERY_QUEUE_CAPACITY: usize = 16;
/// Maximum duration of a query. The loop normally answers far sooner, between two turns.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// A query, with the channel for its reply.
#[derive(Debug)]
pub(crate) enum Query {
    /// The planner and all `DaemonSet`s.
    Overview(oneshot::Sender<Overview>),
    /// All nodes.
    Nodes(oneshot::Sender<Vec<Arc<NodeFacts>>>),
    /// One `DaemonSet`, by uid, with some of its pods; `None` if it doesn't exist.
    DaemonSet(String, PodFilter, oneshot::Sender<Option<DaemonSetSnapshot>>),
    /// A subscription to all events from now on.
    Subscribe(oneshot::Sender<EventSubscription>),
}

/// The planner and all `DaemonSet`s.
#[derive(Debug)]
pub(crate) struct Overview {
    /// The planner of the open session, if there is one.
    pub(crate) planner: Option<PlannerInfo>,
    /// The `DaemonSet`s that are not being deleted, in no particular order.
    pub(crate) daemon_sets: Vec<Arc<DaemonSet>>,
}

/// Selects the pods of a `DaemonSet` that a query returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PodFilter {
    All,
    /// The pods that are bound or assigned to this node.
    OnNode(String),
    /// The pods that may explain a wait: pods that are not ready, that wait for `minReadySeconds`, or that are being
    /// deleted; under `OnDelete` also pods of an older template.
    Remarkable,
}

/// A copy of the state of a `DaemonSet`. The caller extracts the facts of its pods, which spares the loop that work.
#[derive(Debug)]
pub(crate) struct DaemonSetSnapshot {
    /// Everything except its pods.
    pub(crate) snapshot: view::Snapshot,
    /// The pods with their uids.
    pub(crate) pods: Vec<(SharedStr, Pod)>,
}

/// A subscription to all events from now on.
#[derive(Debug)]
pub(crate) struct EventSubscription {
    /// The planner of the session that is open now, if there is one.
    pub(crate) planner: Option<PlannerInfo>,
    pub(crate) events: broadcast::Receiver<SharedEvent>,
}

/// The loop doesn't answer.
#[derive(Debug, thiserror::Error)]
#[error("the control loop doesn't answer; the executor is starting or shutting down")]
pub(crate) struct LoopUnavailable;

/// Sends queries to the loop.
#[derive(Debug, Clone)]
pub(crate) struct QueryClient(mpsc::Sender<Query>);

impl QueryClient {
    /// Creates a client, and the receiver for the loop.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Query>) {
        let (sender, queries) = mpsc::channel(QUERY_QUEUE_CAPACITY);
        (Self(sender), queries)
    }

    async fn send<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Result<T, LoopUnavailable> {
        let (reply, answer) = oneshot::channel();
        let round_trip = async {
            self.0.send(query(reply)).await.map_err(|_| LoopUnavailable)?;
            answer.await.map_err(|_| LoopUnavailable)
        };
        tokio::time::timeout(QUERY_TIMEOUT, round_trip)
            .await
            .map_err(|_| LoopUnavailable)?
    }

    /// Returns the planner and all `DaemonSet`s.
    ///
    /// # Errors
    /// The loop doesn't answer.
    pub(crate) async fn overview(&self) -> Result<Overview, LoopUnavailable> {
        self.send(Query::Overview).await
    }

    /// Returns all nodes, ordered by name.
    ///
    /// # Errors
    /// The loop doesn't answer.
    pub(crate) async fn nodes(&self) -> Result<Vec<Arc<NodeFacts>>, LoopUnavailable> {
        let mut nodes = self.send(Query::Nodes).await?;
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    /// Returns a snapshot of a `DaemonSet` with some of its pods; `None` if it doesn't exist.
    ///
    /// # Errors
    /// The loop doesn't answer.
    pub(crate) async fn daemon_set(
        &self,
        uid: &str,
        filter: PodFilter,
    ) -> Result<Option<view::Snapshot>, LoopUnavailable> {
        let found = self
            .send(|reply| Query::DaemonSet(uid.to_owned(), filter, reply))
            .await?;
        Ok(found.map(DaemonSetSnapshot::into_snapshot))
    }

    /// Subscribes to all events from now on.
    ///
    /// # Errors
    /// The loop doesn't answer.
    pub(crate) async fn subscribe(&self) -> Result<EventSubscription, LoopUnavailable> {
        self.send(Query::Subscribe).await
    }
}

impl DaemonSetSnapshot {
    fn into_snapshot(self) -> view::Snapshot {
        let pods = self.pods.iter();
        let facts: Vec<PodFacts> = pods.filter_map(|(uid, pod)| pod.facts(uid)).collect();
        view::Snapshot {
            pods: facts,
            ..self.snapshot
        }
    }
}
