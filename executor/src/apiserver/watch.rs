//! Watches the cluster and decodes objects to slim types that hold only what a decision or an action needs.

mod kinds;
mod stream;

use std::sync::Arc;

use everynode_proto::facts;
use futures::future::join_all;
use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tracing::{debug, info};

pub(crate) use self::kinds::{KINDS, Kind, Presence};
use self::stream::Watch;
use crate::{
    apiserver::objects::{ClusterPolicy, DaemonSet, Namespace, NamespacedPolicy, Revision, Rollout, Watched},
    telemetry::metrics::Metrics,
};

/// An event of a watch.
#[derive(Debug)]
pub(crate) enum Event<T> {
    /// A list begins. Objects that it doesn't contain are gone.
    ListBegins,
    /// The object has appeared or changed; this is its current state.
    Changed(T),
    /// The object is gone.
    Gone(T),
    /// The list is complete.
    ListEnds,
}

/// An event of one of the watches.
#[derive(Debug)]
pub(crate) enum Change {
    /// From the watch of nodes.
    Node(Event<facts::Node>),
    /// From the watch of pods.
    Pod(Event<facts::Pod>),
    /// From the watch of `DaemonSet`s.
    DaemonSet(Event<DaemonSet>),
    /// From the watch of `ControllerRevision`s.
    Revision(Event<Revision>),
    /// From the watch of `DaemonSetRolloutPolicy`s.
    Policy(Event<NamespacedPolicy>),
    /// From the watch of `ClusterDaemonSetRolloutPolicy`s.
    ClusterPolicy(Event<ClusterPolicy>),
    /// From the watch of `DaemonSetRollout`s.
    Rollout(Event<Rollout>),
    /// From the watch of namespaces.
    Namespace(Event<Namespace>),
    /// The state of the watch of this kind, which is supplementary.
    State(&'static str, WatchState),
}

/// The state of the watch of a supplementary kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchState {
    /// All objects have been reported, and their changes are followed.
    Following,
    /// The API server doesn't serve the kind.
    NotServed,
    /// The watch fails, so what it has reported may be outdated.
    Failing,
}

impl From<Event<facts::Node>> for Change {
    fn from(event: Event<facts::Node>) -> Self {
        Self::Node(event)
    }
}

impl From<Event<facts::Pod>> for Change {
    fn from(event: Event<facts::Pod>) -> Self {
        Self::Pod(event)
    }
}

impl From<Event<DaemonSet>> for Change {
    fn from(event: Event<DaemonSet>) -> Self {
        Self::DaemonSet(event)
    }
}

impl From<Event<Revision>> for Change {
    fn from(event: Event<Revision>) -> Self {
        Self::Revision(event)
    }
}

impl From<Event<NamespacedPolicy>> for Change {
    fn from(event: Event<NamespacedPolicy>) -> Self {
        Self::Policy(event)
    }
}

impl From<Event<ClusterPolicy>> for Change {
    fn from(event: Event<ClusterPolicy>) -> Self {
        Self::ClusterPolicy(event)
    }
}

impl From<Event<Rollout>> for Change {
    fn from(event: Event<Rollout>) -> Self {
        Self::Rollout(event)
    }
}

impl From<Event<Namespace>> for Change {
    fn from(event: Event<Namespace>) -> Self {
        Self::Namespace(event)
    }
}

/// An event of one of the watches, and when it was received.
#[derive(Debug)]
pub(crate) struct ReceivedChange {
    /// The event.
    pub change: Change,
    /// When it was received.
    pub at: Instant,
}

impl From<Change> for ReceivedChange {
    /// Stamps the event with the current time.
    fn from(change: Change) -> Self {
        let at = Instant::now();
        Self { change, at }
    }
}

/// Waits until the watches have delivered everything that had happened in the cluster up to a given moment.
#[derive(Debug)]
pub(crate) struct FreshnessProbe {
    /// The number of checks requested so far.
    requested: watch::Sender<u64>,
    /// The number of the latest check that each watch has passed.
    passed: Vec<watch::Receiver<u64>>,
}

/// The watches' side of [`FreshnessProbe`].
#[derive(Debug)]
pub(crate) struct FreshnessResponders {
    requested: watch::Receiver<u64>,
    passed: Vec<(Kind, watch::Sender<u64>)>,
}

/// Creates a probe of the watches of these kinds, and the handles with which the watches respond to it.
pub(crate) fn freshness_probe(kinds: &[Kind]) -> (FreshnessProbe, FreshnessResponders) {
    let (requests, requested) = watch::channel(0);
    let senders: Vec<_> = kinds
        .iter()
        .map(|kind| (*kind, watch::Sender::default()))
        .collect();
    let probe = FreshnessProbe {
        requested: requests,
        passed: senders.iter().map(|(_, passed)| passed.subscribe()).collect(),
    };
    let responders = FreshnessResponders {
        requested,
        passed: senders,
    };
    (probe, responders)
}

impl FreshnessProbe {
    /// Waits until every watch has delivered everything that had happened when this was called. A watch that
    /// is interrupted, or whose connection is dead, delays this until it recovers.
    pub(crate) async fn wait(&mut self) {
        self.requested.send_modify(|requested| *requested += 1);
        let check = *self.requested.borrow();
        for passed in &mut self.passed {
            if passed.wait_for(|passed| *passed >= check).await.is_err() {
                // The watch has ended and will never pass the check.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Watches the kinds that `responders` was created for until the receiver of the changes is dropped.
pub(crate) async fn watch_all(
    client: Client,
    changes: mpsc::Sender<ReceivedChange>,
    metrics: Arc<Metrics>,
    responders: FreshnessResponders,
) {
    let streaming = has_streaming_lists(&client).await;
    info!(streaming, "watches started");
    let FreshnessResponders { requested, passed } = responders;
    let shared = Shared {
        client,
        streaming,
        changes,
        metrics,
        checks_requested: requested,
    };
    join_all(passed.into_iter().map(|(kind, passed)| kind.run(&shared, passed))).await;
}

/// The parts that all watches share.
struct Shared {
    client: Client,
    streaming: bool,
    changes: mpsc::Sender<ReceivedChange>,
    metrics: Arc<Metrics>,
    checks_requested: watch::Receiver<u64>,
}

impl Shared {
    fn watch<T: Watched>(&self, presence: Presence, checks_passed: watch::Sender<u64>) -> Watch<'_, T>
    where
        Change: From<Event<T>>,
    {
        Watch {
            client: &self.client,
            presence,
            streaming: self.streaming,
            changes: &self.changes,
            metrics: &self.metrics,
            wrap: Change::from,
            checks_requested: self.checks_requested.clone(),
            checks_passed,
        }
    }
}

/// Whether the API server streams lists, so that neither side holds a whole list in memory. Streaming is on
/// by default since Kubernetes 1.34.
async fn has_streaming_lists(client: &Client) -> bool {
    const SINCE_MINOR: u32 = 34;
    let minor = |text: &str| {
        text.trim_end_matches(|end: char| !end.is_ascii_digit())
            .parse::<u32>()
            .ok()
    };
    match client.apiserver_version().await {
        Ok(version) => {
            version.major == "1" && minor(&version.minor).is_some_and(|minor| minor >= SINCE_MINOR)
        }
        Err(error) => {
            debug!(%error, "API server version unknown; listing in pages");
            false
        }
    }
}

#[cfg(test)]
mod tests;
