//! Answers queries to the controller's loop.

use std::collections::HashMap;

use everynode_proto::{
    executor::v1::{PlannerChanged, PlannerInfo, watch_plans_response::Event},
    planner::v1::{KnownRollout, Problem, RolloutPolicyKnowledge},
};
use tokio::time::Instant;

use super::{Controller, managed::ManagedDaemonSet};
use crate::{
    actions::queue,
    cluster::{Entry, Pod, SharedStr},
    live_view::{
        queries::{DaemonSetSnapshot, EventSubscription, Overview, PodFilter, Query},
        view,
    },
};

impl Controller {
    /// Answers a query. If the caller is gone by now, the answer is dropped.
    pub(super) fn answer(&self, query: Query) {
        match query {
            Query::Overview(reply) => {
                let daemon_sets = self.cluster.daemon_sets();
                let _ = reply.send(Overview {
                    planner: self.planner_info(),
                    daemon_sets: daemon_sets.map(|entry| entry.object.clone()).collect(),
                });
            }
            Query::Nodes(reply) => {
                let _ = reply.send(self.cluster.nodes().cloned().collect());
            }
            Query::DaemonSet(uid, filter, reply) => {
                let _ = reply.send(self.daemon_set_snapshot(&uid, &filter));
            }
            Query::Subscribe(reply) => {
                let _ = reply.send(EventSubscription {
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

    fn daemon_set_snapshot(&self, uid: &str, filter: &PodFilter) -> Option<DaemonSetSnapshot> {
        let entry = self.cluster.daemon_set(uid)?;
        // A standby knows which objects exist, but not what is being done about them.
        let unmanaged = ManagedDaemonSet::default();
        let managed = self.managed.get(uid).unwrap_or(&unmanaged);
        let mut snapshot = snapshot(entry, managed);
        snapshot.known_rollout = self.known_rollout(entry, managed).map(Box::new);
        let available_at = managed.available_at.as_ref();
        let is_remarkable = remarkable(&snapshot);
        let is_requested = |uid: &SharedStr, pod: &Pod| match filter {
            PodFilter::All => true,
            PodFilter::OnNode(node) => pod.node() == Some(node),
            PodFilter::Remarkable => {
                is_remarkable(pod) || available_at.is_some_and(|waiting| waiting.contains_key(uid))
            }
        };
        let pods = self.cluster.pods().owned_by(entry.owner());
        let pods: Vec<_> = pods
            .filter(|(uid, pod)| is_requested(uid, pod))
            .map(|(uid, pod)| (uid.clone(), pod.clone()))
            .collect();
        snapshot.available_at = available_at.map(|waiting| {
            let requested = pods.iter().filter_map(|(uid, _)| waiting.get_key_value(uid));
            requested.map(|(uid, at)| (uid.clone(), *at)).collect()
        });
        Some(DaemonSetSnapshot { snapshot, pods })
    }
}

impl Controller {
    /// Returns what is known of the rollout of a `DaemonSet`. `None` if no policy applies and no rollout is remembered.
    fn known_rollout(&self, entry: &Entry, managed: &ManagedDaemonSet) -> Option<KnownRollout> {
        let report = managed.rollout.report();
        let knowledge = self.cluster.rollout_knowledge();
        let is_held = self.cluster.has_open_rollout(entry);
        // Without a session there is no report, and no policy that a planner has chosen.
        if !is_held && report.is_none_or(|report| report.policy_uid.is_empty()) {
            return None;
        }
        let policy = report.and_then(|report| self.cluster.policy(&report.policy_uid));
        let announced = managed.announced.as_ref();
        Some(KnownRollout {
            daemon_set: entry.object.key(),
            // Only the planner says which policy applies. Until it does, nothing is replaced.
            knowledge: if report.is_some() {
                knowledge.into()
            } else {
                RolloutPolicyKnowledge::Unknown.into()
            },
            policy: policy.map(|policy| policy.facts.clone()),
            rollout: self.cluster.rollout_facts(&entry.owner().uid),
            report: report.cloned(),
            status: managed.status.counters,
            update_revision: announced
                .map(|announced| announced.revision.clone())
                .unwrap_or_default(),
            pods: Vec::new(),
        })
    }
}

fn snapshot(entry: &Entry, managed: &ManagedDaemonSet) -> view::Snapshot {
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
    view::Snapshot {
        object: entry.object.clone(),
        revision: current.map(|announced| announced.revision.clone()),
        counters: managed.status.counters,
        progress: managed.progress(&entry.object),
        available_at: None,
        known_rollout: None,
        problems: too_large
            .into_iter()
            .chain(managed.problems().iter().cloned())
            .collect(),
        upkeep,
        creations: requested_actions(managed, queue::Lane::Create),
        deletions: requested_actions(managed, queue::Lane::Delete),
        pods: Vec::new(),
        pod_reasons: HashMap::new(),
    }
}

fn requested_actions(managed: &ManagedDaemonSet, lane: queue::Lane) -> view::RequestedActions {
    let load = managed.actions.load(lane);
    let now = Instant::now();
    let refusal = managed.refusal(lane, now);
    view::RequestedActions {
        queued: load.waiting,
        in_progress: load.in_progress,
        refused: load.held,
        refusal: refusal.map(|refused| view::Refusal {
            message: refused.message.clone(),
            retry_after: refused.until.saturating_duration_since(now),
        }),
    }
}

/// Returns a filter for pods that may explain a wait. It doesn't select pods that only wait for `minReadySeconds`.
fn remarkable(snapshot: &view::Snapshot) -> impl Fn(&Pod) -> bool + use<> {
    let revision = snapshot
        .revision
        .clone()
        .filter(|_| view::is_on_delete(&snapshot.object));
    move |pod| {
        let is_old = || {
            revision
                .as_ref()
                .is_some_and(|revision| pod.revision() != revision)
        };
        !pod.is_running_and_ready() || is_old()
    }
}
