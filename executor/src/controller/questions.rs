//! Queries to the controller's loop, and their answers. The loop copies out what it has and goes on; the caller
//! processes the copy elsewhere.

use std::{sync::Arc, time::Duration};

use everynode_proto::{
    executor::v1::{PlannerChanged, PlannerInfo, watch_plans_response::Event},
    planner::v1::{NodeFacts, PodFacts, Problem},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::Instant,
};

pub use super::news::Happened;
use super::{Controller, managed::Managed};
use crate::{
    apply,
    cluster::{Entry, Pod, Text},
    objects::DaemonSet,
    view,
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
    sketch: view::Sketch,
    /// The pods with their uids.
    pods: Vec<(Text, Pod)>,
}

/// A subscription to all events from now on.
#[derive(Debug)]
pub struct Watch {
    /// The planner of the session that is open now, if there is one.
    pub planner: Option<PlannerInfo>,
    /// The events.
    pub events: broadcast::Receiver<Happened>,
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

impl Controller {
    /// Answers a query. It doesn't matter if the caller has left.
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::Overview(reply) => {
                let daemon_sets = self.cluster.daemon_sets();
                let _ = reply.send(Overview {
                    planner: self.planner_info(),
                    daemon_sets: daemon_sets.map(|entry| entry.object.clone()).collect(),
                });
            }
            Question::Nodes(reply) => {
                let _ = reply.send(self.cluster.nodes().cloned().collect());
            }
            Question::DaemonSet(uid, which, reply) => {
                let _ = reply.send(self.known(&uid, &which));
            }
            Question::Watch(reply) => {
                let _ = reply.send(Watch {
                    planner: self.planner_info(),
                    events: self.news.listen(),
                });
            }
        }
    }

    fn planner_info(&self) -> Option<PlannerInfo> {
        self.planner.as_ref().map(|planner| PlannerInfo {
            version: planner.version.clone(),
            rules_version: planner.rules_version.clone(),
            is_synced: planner.sync.is_accepted(),
        })
    }

    /// Tells watchers that a planner has connected, that it has been told everything, or that it is gone.
    pub(super) fn planner_changed(&self) {
        self.news.tell(|| {
            Event::PlannerChanged(PlannerChanged {
                planner: self.planner_info(),
            })
        });
    }

    fn known(&self, uid: &str, which: &Which) -> Option<Known> {
        let entry = self.cluster.daemon_set(uid)?;
        // A standby knows which objects exist, but not what is being done about them.
        let unmanaged = Managed::default();
        let managed = self.managed.get(uid).unwrap_or(&unmanaged);
        let mut sketch = sketch(entry, managed);
        let available_at = managed.available_at.as_ref();
        let is_remarkable = remarkable(&sketch);
        let is_asked_for = |uid: &Text, pod: &Pod| match which {
            Which::All => true,
            Which::OnNode(node) => pod.node() == Some(node),
            Which::Remarkable => {
                is_remarkable(pod) || available_at.is_some_and(|waiting| waiting.contains_key(uid))
            }
        };
        let pods = self.cluster.pods().of(entry.owner());
        let pods: Vec<_> = pods
            .filter(|(uid, pod)| is_asked_for(uid, pod))
            .map(|(uid, pod)| (uid.clone(), pod.clone()))
            .collect();
        sketch.available_at = available_at.map(|waiting| {
            let asked_for = pods.iter().filter_map(|(uid, _)| waiting.get_key_value(uid));
            asked_for.map(|(uid, at)| (uid.clone(), *at)).collect()
        });
        Some(Known { sketch, pods })
    }
}

fn sketch(entry: &Entry, managed: &Managed) -> view::Sketch {
    let announced = managed.announced.as_ref();
    let current = announced
        .filter(|announced| announced.object.metadata.generation == entry.object.metadata.generation);
    let upkeep = match &managed.upkeep.trouble {
        Some(words) => view::Upkeep::Failing(words.clone()),
        None if current.is_none() => view::Upkeep::InProgress,
        None => view::Upkeep::Done,
    };
    let too_large = managed.too_large.as_ref().map(|message| Problem {
        object: format!("daemonset {}", entry.object.key()),
        message: message.clone(),
        ..Problem::default()
    });
    view::Sketch {
        object: entry.object.clone(),
        revision: current.map(|announced| announced.revision.clone()),
        counted: managed.status.wanted,
        progress: managed.progress(&entry.object),
        available_at: None,
        problems: too_large
            .into_iter()
            .chain(managed.problems().iter().cloned())
            .collect(),
        upkeep,
        creations: lane(managed, apply::Lane::Create),
        deletions: lane(managed, apply::Lane::Delete),
        pods: Vec::new(),
    }
}

fn lane(managed: &Managed, lane: apply::Lane) -> view::Lane {
    let load = managed.applier.load(lane);
    let now = Instant::now();
    let refusal = managed.refusal(lane, now);
    view::Lane {
        queued: load.waiting,
        in_progress: load.in_progress,
        refused: load.held,
        refusal: refusal.map(|refused| view::Refusal {
            words: refused.words.clone(),
            again: refused.until.saturating_duration_since(now),
        }),
    }
}

/// Whether there is more to report of a pod than that it runs, even if it doesn't wait for `minReadySeconds`.
fn remarkable(sketch: &view::Sketch) -> impl Fn(&Pod) -> bool + use<> {
    let revision = sketch
        .revision
        .clone()
        .filter(|_| view::is_on_delete(&sketch.object));
    move |pod| {
        let is_old = || {
            revision
                .as_ref()
                .is_some_and(|revision| pod.revision() != revision)
        };
        !pod.is_settled() || is_old()
    }
}
