//! Lengths of the executor's queues.

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::labels::{ActionKind, ActionLabel, KindLabel};

/// The kinds of objects in [`QueueLengths::too_large`].
const KINDS: [&str; 3] = ["Node", "Pod", "DaemonSet"];

/// Queue lengths at some time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueueLengths {
    /// Watch events that the loop has not processed.
    pub changes: usize,
    /// Facts that have not been sent to the planner.
    pub facts: usize,
    /// Creations.
    pub creates: ActionCounts,
    /// Deletions.
    pub deletes: ActionCounts,
    /// Calls to the API server, of any kind, that have not been answered.
    pub calls: usize,
    /// Nodes, pods and `DaemonSet`s that are too large to be sent to the planner.
    pub too_large: [usize; 3],
}

/// Actions that have not ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ActionCounts {
    /// Actions that wait to be started.
    pub waiting: usize,
    /// Actions that are being carried out.
    pub in_progress: usize,
    /// Number of `DaemonSet`s whose actions of this kind are paused after a refusal.
    pub paused: usize,
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    changes: Gauge,
    facts: Gauge,
    calls: Gauge,
    too_large: Family<KindLabel, Gauge>,
    waiting: Family<ActionLabel, Gauge>,
    in_progress: Family<ActionLabel, Gauge>,
    paused: Family<ActionLabel, Gauge>,
}

impl Queues {
    pub(super) fn register(&self, registry: &mut Registry) {
        self.set(&QueueLengths::default());
        for (name, help, gauge) in [
            (
                "changes_waiting",
                "Watch events that the executor has not processed yet",
                &self.changes,
            ),
            (
                "facts_waiting",
                "Facts that have not been sent to the planner yet",
                &self.facts,
            ),
            (
                "calls_in_progress",
                "Calls to the API server in progress",
                &self.calls,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "objects_too_large",
            "Objects that are not sent to the planner because each exceeds the request size limit",
            self.too_large.clone(),
        );
        for (name, help, family) in [
            (
                "actions_waiting",
                "Actions that wait to be started",
                &self.waiting,
            ),
            ("actions_in_progress", "Actions in progress", &self.in_progress),
            (
                "paused_daemon_sets",
                "DaemonSets whose creations or deletions are paused after the API server refused one",
                &self.paused,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
    }

    pub(super) fn set(&self, now: &QueueLengths) {
        let set = |gauge: &Gauge, count: usize| gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        set(&self.changes, now.changes);
        set(&self.facts, now.facts);
        set(&self.calls, now.calls);
        for (kind, count) in KINDS.into_iter().zip(now.too_large) {
            set(&self.too_large.get_or_create(&KindLabel { kind }), count);
        }
        for (action, actions) in [
            (ActionKind::Create, now.creates),
            (ActionKind::Delete, now.deletes),
        ] {
            let label = ActionLabel { action };
            set(&self.waiting.get_or_create(&label), actions.waiting);
            set(&self.in_progress.get_or_create(&label), actions.in_progress);
            set(&self.paused.get_or_create(&label), actions.paused);
        }
    }
}
