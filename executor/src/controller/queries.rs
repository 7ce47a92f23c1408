//! Answers queries to the loop.

use everynode_proto::{
    executor::v1::{PlannerChanged, PlannerInfo, watch_plans_response::Event},
    planner::v1::Problem,
};
use tokio::time::Instant;

use super::{Controller, managed::ManagedDaemonSet};
use crate::{
    actions::queue,
    cluster::{Entry, Pod, Text},
    live_view::{
        questions::{Known, Overview, Question, Watch, Which},
        view,
    },
};

impl Controller {
    /// Answers a query. The caller may be gone by now.
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
                    events: self.event_bus.subscribe(),
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

    /// Publishes that a planner has connected, has accepted the full sync, or is gone.
    pub(super) fn publish_planner_change(&self) {
        self.event_bus.publish(|| {
            Event::PlannerChanged(PlannerChanged {
                planner: self.planner_info(),
            })
        });
    }

    fn known(&self, uid: &str, which: &Which) -> Option<Known> {
        let entry = self.cluster.daemon_set(uid)?;
        // A standby knows which objects exist, but not what is being done about them.
        let unmanaged = ManagedDaemonSet::default();
        let managed = self.managed.get(uid).unwrap_or(&unmanaged);
        let mut sketch = sketch(entry, managed);
        let available_at = managed.available_at.as_ref();
        let is_remarkable = remarkable(&sketch);
        let is_requested = |uid: &Text, pod: &Pod| match which {
            Which::All => true,
            Which::OnNode(node) => pod.node() == Some(node),
            Which::Remarkable => {
                is_remarkable(pod) || available_at.is_some_and(|waiting| waiting.contains_key(uid))
            }
        };
        let pods = self.cluster.pods().of(entry.owner());
        let pods: Vec<_> = pods
            .filter(|(uid, pod)| is_requested(uid, pod))
            .map(|(uid, pod)| (uid.clone(), pod.clone()))
            .collect();
        sketch.available_at = available_at.map(|waiting| {
            let requested = pods.iter().filter_map(|(uid, _)| waiting.get_key_value(uid));
            requested.map(|(uid, at)| (uid.clone(), *at)).collect()
        });
        Some(Known { sketch, pods })
    }
}

fn sketch(entry: &Entry, managed: &ManagedDaemonSet) -> view::Sketch {
    let announced = managed.announced.as_ref();
    let current = announced
        .filter(|announced| announced.object.metadata.generation == entry.object.metadata.generation);
    let upkeep = match &managed.upkeep.last_error {
        Some(error) => view::Upkeep::Failing(error.clone()),
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
        counted: managed.status.counters,
        progress: managed.progress(&entry.object),
        available_at: None,
        problems: too_large
            .into_iter()
            .chain(managed.problems().iter().cloned())
            .collect(),
        upkeep,
        creations: lane(managed, queue::Lane::Create),
        deletions: lane(managed, queue::Lane::Delete),
        pods: Vec::new(),
    }
}

fn lane(managed: &ManagedDaemonSet, lane: queue::Lane) -> view::Lane {
    let load = managed.actions.load(lane);
    let now = Instant::now();
    let refusal = managed.refusal(lane, now);
    view::Lane {
        queued: load.waiting,
        in_progress: load.in_progress,
        refused: load.held,
        refusal: refusal.map(|refused| view::Refusal {
            words: refused.message.clone(),
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
