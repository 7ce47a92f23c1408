//! Queries to the controller's loop, and their answers. The loop copies out what it has and goes on; the caller
//! processes the copy elsewhere.

use std::{sync::Arc, time::Duration};

use everynode_proto::{
    executor::v1::PlannerInfo,
    planner::v1::{NodeFacts, PodFacts},
};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{event_bus::SharedEvent, view};
use crate::{
    apiserver::objects::DaemonSet,
    cluster::{Pod, Text},
};

/// How many queries may wait for the loop.
const QUESTIONS_AHEAD: usize = 16;
/// How long an answer may take. The loop answers between two turns, so it needs far less.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// A query, with the channel for its answer.
#[derive(Debug)]
pub enum Question {
    /// The planner and all `DaemonSet`s.
    Overview(oneshot::Sender<Overview>),
    /// All nodes.
    Nodes(oneshot::Sender<Vec<Arc<NodeFacts>>>),
    /// One `DaemonSet`, by uid, with some of its pods; `None` if it doesn't exist.
    DaemonSet(String, Which, oneshot::Sender<Option<Known>>),
    /// A subscription to all events from now on.
    Watch(oneshot::Sender<Watch>),
}

/// The planner and all `DaemonSet`s.
#[derive(Debug)]
pub struct Overview {
    /// The planner of the open session, if there is one.
    pub planner: Option<PlannerInfo>,
    /// The `DaemonSet`s that are not being deleted, in no particular order.
    pub daemon_sets: Vec<Arc<DaemonSet>>,
}

/// Which pods of a `DaemonSet` to return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// The pods on a node, or meant for it.
    OnNode(String),
    /// The pods with more to report than that they run: pods that are not ready, that wait for `minReadySeconds`, or
    /// that are being deleted; under `OnDelete` also pods of an older template.
    Remarkable,
}

/// A copy of what is known of a `DaemonSet`.
#[derive(Debug)]
pub struct Known {
    /// Everything but its pods.
    pub(crate) sketch: view::Sketch,
    /// The pods with their uids.
    pub(crate) pods: Vec<(Text, Pod)>,
}

/// A subscription to all events from now on.
#[derive(Debug)]
pub struct Watch {
    /// The planner of the session that is open now, if there is one.
    pub planner: Option<PlannerInfo>,
    /// The events.
    pub events: broadcast::Receiver<SharedEvent>,
}

/// The loop doesn't answer.
#[derive(Debug, thiserror::Error)]
#[error("the executor's loop doesn't answer; it is starting, or about to stop")]
pub struct Silent;

/// Sends queries to the loop.
#[derive(Debug, Clone)]
pub struct Asker(mpsc::Sender<Question>);

impl Asker {
    /// Creates an asker, and the receiver for the loop.
    pub fn new() -> (Self, mpsc::Receiver<Question>) {
        let (sender, questions) = mpsc::channel(QUESTIONS_AHEAD);
        (Self(sender), questions)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, Silent> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.0.send(question(reply)).await.map_err(|_| Silent)?;
            answer.await.map_err(|_| Silent)
        };
        tokio::time::timeout(ANSWER_DEADLINE, ask)
            .await
            .map_err(|_| Silent)?
    }

    /// Returns the planner and all `DaemonSet`s.
    ///
    /// # Errors
    /// The loop doesn't answer.
    pub async fn overview(&self) -> Result<Overview, Silent> {
        self.ask(Question::Overview).await
    }

    /// Returns all nodes, ordered by name.
    ///
    /// # Errors
    /// The loop doesn't answer.
    pub async fn nodes(&self) -> Result<Vec<Arc<NodeFacts>>, Silent> {
        let mut nodes = self.ask(Question::Nodes).await?;
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    /// Returns what is known of a `DaemonSet`, with some of its pods; `None` if it doesn't exist.
    ///
    /// # Errors
    /// The loop doesn't answer.
    pub async fn daemon_set(&self, uid: &str, which: Which) -> Result<Option<view::Sketch>, Silent> {
        let known = self
            .ask(|reply| Question::DaemonSet(uid.to_owned(), which, reply))
            .await?;
        Ok(known.map(Known::sketch))
    }

    /// Subscribes to all events from now on.
    ///
    /// # Errors
    /// The loop doesn't answer.
    pub async fn watch(&self) -> Result<Watch, Silent> {
        self.ask(Question::Watch).await
    }
}

impl Known {
    fn sketch(self) -> view::Sketch {
        let pods = self.pods.iter();
        let facts: Vec<PodFacts> = pods.filter_map(|(uid, pod)| pod.facts(uid)).collect();
        view::Sketch {
            pods: facts,
            ..self.sketch
        }
    }
}
