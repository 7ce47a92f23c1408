//! Prometheus metrics of the executor.

mod daemon_sets;
mod labels;
mod queues;
mod registration;
mod rollouts;

use std::time::Duration;

use everynode_proto::planner::v1::DaemonSetStatus;
use everynode_serving::{
    program::{self, metrics::CertificateMetrics},
    serve::{self, Refusal},
    tls::CertificateStatus,
};
use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use self::{
    daemon_sets::DaemonSets,
    labels::{
        ActionLabels, CompetitorLabel, KindLabel, MethodLabel, ReasonLabel, ReviewLabels, ViolationLabel,
    },
    queues::Queues,
    rollouts::Rollouts,
};
pub(crate) use self::{
    labels::{ActionKind, CompetitorWork, Method, Outcome, PlanViolation, Review, ReviewOutcome},
    queues::{ActionCounts, QueueLengths},
    rollouts::RolloutCounts,
};

/// All metrics of the executor.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    actions: Family<ActionLabels, Counter>,
    plans: Counter,
    actions_planned: Counter,
    event_to_plan: Histogram,
    event_to_action: Histogram,
    facts: Counter,
    leader: Gauge,
    planner_connected: Gauge,
    planner_sessions: Counter,
    planner_losses: Counter,
    full_syncs: Counter,
    status_writes: Counter,
    watch_errors: Family<KindLabel, Counter>,
    watches: Family<KindLabel, Counter>,
    lists: Family<KindLabel, Counter>,
    events_dropped: Counter,
    competitors: Family<CompetitorLabel, Counter>,
    plan_violations: Family<ViolationLabel, Counter>,
    view_calls: Family<MethodLabel, Counter>,
    view_refused_calls: Family<ReasonLabel, Counter>,
    caller_reviews: Family<ReviewLabels, Counter>,
    certificates: CertificateMetrics,
    queues: Queues,
    rollouts: Rollouts,
    daemon_sets: Option<DaemonSets>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Metrics {
    /// Creates all metrics at zero, with or without gauges for each `DaemonSet`.
    pub(crate) fn new(per_daemon_set: bool) -> Self {
        // From a millisecond to a minute.
        let latency = || Histogram::new(exponential_buckets(0.001, 2.0, 17));
        let mut metrics = Self {
            registry: Registry::default(),
            actions: Family::default(),
            plans: Counter::default(),
            actions_planned: Counter::default(),
            event_to_plan: latency(),
            event_to_action: latency(),
            facts: Counter::default(),
            leader: Gauge::default(),
            planner_connected: Gauge::default(),
            planner_sessions: Counter::default(),
            planner_losses: Counter::default(),
            full_syncs: Counter::default(),
            status_writes: Counter::default(),
            watch_errors: Family::default(),
            watches: Family::default(),
            lists: Family::default(),
            events_dropped: Counter::default(),
            competitors: Family::default(),
            plan_violations: Family::default(),
            view_calls: Family::default(),
            view_refused_calls: Family::default(),
            caller_reviews: Family::default(),
            certificates: CertificateMetrics::default(),
            queues: Queues::default(),
            rollouts: Rollouts::default(),
            daemon_sets: per_daemon_set.then(DaemonSets::default),
        };
        metrics.begin();
        let version = env!("CARGO_PKG_VERSION");
        metrics.registry = program::metrics::registry("everynode_executor", version, &[], |registry| {
            metrics.register(registry);
        });
        metrics
    }

    /// Creates the series of closed label sets, at zero. Otherwise Prometheus would miss the first increase of each.
    fn begin(&self) {
        for action in ActionKind::ALL {
            for outcome in Outcome::ALL {
                let _ = self.actions.get_or_create(&ActionLabels { action, outcome });
            }
        }
        for work in CompetitorWork::ALL {
            let _ = self.competitors.get_or_create(&CompetitorLabel { work });
        }
        for kind in PlanViolation::ALL {
            let _ = self.plan_violations.get_or_create(&ViolationLabel { kind });
        }
        for method in Method::ALL {
            let _ = self.view_calls.get_or_create(&MethodLabel { method });
        }
        for refusal in Refusal::ALL {
            let reason = refusal.as_str();
            let _ = self.view_refused_calls.get_or_create(&ReasonLabel { reason });
        }
        for review in Review::ALL {
            for outcome in ReviewOutcome::ALL {
                let _ = self
                    .caller_reviews
                    .get_or_create(&ReviewLabels { review, outcome });
            }
        }
    }

    /// Counts work of another controller.
    pub(crate) fn competitor_seen(&self, work: CompetitorWork) {
        self.competitors.get_or_create(&CompetitorLabel { work }).inc();
    }

    /// Counts a part of a plan that exceeds a limit.
    pub(crate) fn plan_violation(&self, kind: PlanViolation) {
        self.plan_violations.get_or_create(&ViolationLabel { kind }).inc();
    }

    /// Counts a call to the live view.
    pub(crate) fn view_call(&self, method: Method) {
        self.view_calls.get_or_create(&MethodLabel { method }).inc();
    }

    /// Counts a review of a caller of the live view, by how it was handled.
    pub(crate) fn caller_review(&self, review: Review, outcome: ReviewOutcome) {
        self.caller_reviews
            .get_or_create(&ReviewLabels { review, outcome })
            .inc();
    }

    /// Counts an action that has ended.
    pub(crate) fn action(&self, action: ActionKind, outcome: Outcome) {
        self.actions
            .get_or_create(&ActionLabels { action, outcome })
            .inc();
    }

    /// Counts a plan and its actions.
    pub(crate) fn plan(&self, actions: usize) {
        self.plans.inc();
        self.actions_planned
            .inc_by(u64::try_from(actions).unwrap_or(u64::MAX));
    }

    /// Records the time from receiving an event to receiving a plan that follows from it.
    pub(crate) fn event_to_plan(&self, took: Duration) {
        self.event_to_plan.observe(took.as_secs_f64());
    }

    /// Records the time from receiving an event to the API server's response to an action that follows from it.
    pub(crate) fn event_to_action(&self, took: Duration) {
        self.event_to_action.observe(took.as_secs_f64());
    }

    /// Counts facts that have been sent.
    pub(crate) fn facts(&self, count: usize) {
        self.facts.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Sets whether this executor leads.
    pub(crate) fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Counts a planner session that has opened.
    pub(crate) fn on_session_opened(&self) {
        self.planner_connected.set(1);
        self.planner_sessions.inc();
    }

    /// Counts a planner session that has ended.
    pub(crate) fn on_session_ended(&self) {
        self.planner_connected.set(0);
        self.planner_losses.inc();
    }

    /// Counts a full sync that the planner has accepted.
    pub(crate) fn full_sync(&self) {
        self.full_syncs.inc();
    }

    /// Counts a status write.
    pub(crate) fn status_write(&self) {
        self.status_writes.inc();
    }

    /// Counts the start of a watch, for the first time or again.
    pub(crate) fn watch_begins(&self, kind: &'static str) {
        let label = KindLabel { kind };
        self.watches.get_or_create(&label).inc();
        for family in [&self.watch_errors, &self.lists] {
            let _ = family.get_or_create(&label);
        }
    }

    /// Counts a failure of a watch, or an unreadable event.
    pub(crate) fn watch_error(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&KindLabel { kind }).inc();
    }

    /// Counts a complete list of the objects of a kind.
    pub(crate) fn list(&self, kind: &'static str) {
        self.lists.get_or_create(&KindLabel { kind }).inc();
    }

    /// Counts an event that was not written.
    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Sets the status of the certificates.
    pub(crate) fn certificates(&self, status: CertificateStatus) {
        self.certificates.set(status);
    }

    pub(crate) fn set_queue_lengths(&self, now: &QueueLengths) {
        self.queues.set(now);
    }

    /// Sets the numbers of rollouts and of rollout policies.
    pub(crate) fn set_rollouts(&self, now: &RolloutCounts) {
        self.rollouts.set(now);
    }

    /// Sets a `DaemonSet`'s current counters, and whether a rollout is in progress. `key` is its namespace and name.
    pub(crate) fn daemon_set(&self, key: (&str, &str), status: &DaemonSetStatus, rolls_out: bool) {
        if let Some(daemon_sets) = &self.daemon_sets {
            daemon_sets.set(key, status, rolls_out);
        }
    }

    /// Removes the series of a `DaemonSet` that is gone.
    pub(crate) fn forget_daemon_set(&self, key: (&str, &str)) {
        if let Some(daemon_sets) = &self.daemon_sets {
            daemon_sets.forget(key);
        }
    }

    /// Removes the series of all `DaemonSet`s, because another executor exports them now.
    pub(crate) fn forget_daemon_sets(&self) {
        if let Some(daemon_sets) = &self.daemon_sets {
            daemon_sets.forget_all();
        }
    }

    /// Renders all metrics in Prometheus' text format.
    pub(crate) fn encode(&self) -> String {
        program::metrics::page(&self.registry)
    }
}

impl serve::Observer for Metrics {
    fn on_call_started(&self, _: serve::CallKind) {}

    fn on_call_ended(&self, _: serve::CallKind) {}

    fn on_refused(&self, reason: Refusal) {
        let reason = reason.as_str();
        self.view_refused_calls
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }
}

#[cfg(test)]
mod tests;
