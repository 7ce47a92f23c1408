//! Lengths of the executor's queues.

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::labels::{ActionKind, ActionLabel, KindLabel};

/// The kinds of objects in [`Waiting::too_large`].
const KINDS: [&str; 3] = ["Node", "Pod", "DaemonSet"];

/// Queue lengths at some time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waiting {
    /// Watch events that the loop has not processed.
    pub changes: usize,
    /// Facts that have not been sent to the planner.
    pub facts: usize,
    /// Creations.
    pub creates: Actions,
    /// Deletions.
    pub deletes: Actions,
    /// Calls to the API server, of any kind, that have not been answered.
    pub calls: usize,
    /// Nodes, pods and `DaemonSet`s that are too large to be sent to the planner.
    pub too_large: [usize; 3],
}

/// Actions that have not ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Actions {
    /// Actions that wait for their turn.
    pub waiting: usize,
    /// Actions that are being carried out.
    pub in_progress: usize,
    /// Number of `DaemonSet`s for which no such action starts for a while, after a refusal.
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
        self.set(&Waiting::default());
        for (name, help, gauge) in [
            (
                "changes_waiting",
                "What watches have said and is not taken in yet",
                &self.changes,
            ),
            (
                "facts_waiting",
                "Facts that the planner has not been told yet",
                &self.facts,
            ),
            (
                "calls_in_progress",
                "Calls to the API server that have not ended",
                &self.calls,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "objects_too_large",
            "Objects that are left out of what the planner is told, because one of them alone is beyond its limit",
            self.too_large.clone(),
        );
        for (name, help, family) in [
            (
                "actions_waiting",
                "Actions that wait for their turn",
                &self.waiting,
            ),
            (
                "actions_in_progress",
                "Actions that are being carried out",
                &self.in_progress,
            ),
            (
                "paused_daemon_sets",
                "DaemonSets of which nothing of the sort is begun for a while, because the API server has refused one",
                &self.paused,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
    }

    pub(super) fn set(&self, now: &Waiting) {
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
