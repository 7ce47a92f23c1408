//! What the executor counts, for Prometheus.

use std::time::UNIX_EPOCH;

use everynode_proto::{
    serve::{self, Refusal},
    tls::Condition,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The kinds of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(
    missing_docs,
    reason = "the variants are the planner's actions, by their names there"
)]
pub enum ActionKind {
    Create,
    Delete,
}

/// How actions end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// Carried out.
    Done,
    /// Refused by the API server.
    Refused,
    /// Not needed any more.
    Skipped,
}

/// What another controller has done to a `DaemonSet` of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum RivalWork {
    /// Created a pod.
    Pod,
    /// Written the status.
    Status,
}

/// The calls of the live view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(
    missing_docs,
    reason = "the variants are the service's methods, by their names there"
)]
pub enum Method {
    GetInfo,
    ListDaemonSets,
    Explain,
    GetNodeOverhead,
    WatchPlans,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RivalLabels {
    work: RivalWork,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: ActionKind,
    outcome: Outcome,
}

/// All metrics of the executor.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    actions: Family<ActionLabels, Counter>,
    plans: Counter,
    actions_planned: Counter,
    facts: Counter,
    leader: Gauge,
    planner_connected: Gauge,
    planner_losses: Counter,
    status_writes: Counter,
    watch_errors: Counter,
    events_dropped: Counter,
    rivals: Family<RivalLabels, Counter>,
    view_calls: Family<MethodLabels, Counter>,
    view_refused_calls: Family<ReasonLabels, Counter>,
    certificate_not_after: Gauge,
    certificate_files_refused: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("everynode_executor");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let plans = counter("plans", "Plans received");
        let actions_planned = counter("actions_planned", "Actions that planners have asked for");
        let facts = counter("facts", "Facts sent to planners");
        let planner_losses = counter("planner_losses", "Planner sessions that ended");
        let status_writes = counter("status_writes", "DaemonSet statuses written");
        let watch_errors = counter("watch_errors", "Interruptions of watches");
        let events_dropped = counter("events_dropped", "Events not written, to spare the API server");
        let actions = Family::default();
        registry.register("actions", "Actions ended", actions.clone());
        let rivals = Family::default();
        let help = "Traces of another controller at work on the same DaemonSets";
        registry.register("competing_controller", help, rivals.clone());
        let view_calls = Family::default();
        registry.register("view_calls", "Calls to the live view", view_calls.clone());
        let view_refused_calls = Family::<ReasonLabels, Counter>::default();
        registry.register(
            "view_refused_calls",
            "Calls and connections to the live view that were refused or given up, because of a limit or of who made them",
            view_refused_calls.clone(),
        );
        for refusal in Refusal::ALL {
            // A series that is there from the start shows its first increase.
            let _ = view_refused_calls.get_or_create(&ReasonLabels {
                reason: refusal.as_str(),
            });
        }
        let leader = Gauge::default();
        registry.register("leader", "Whether this executor leads", leader.clone());
        let planner_connected = Gauge::default();
        registry.register(
            "planner_connected",
            "Whether a planner session is open",
            planner_connected.clone(),
        );
        let certificate_not_after = Gauge::default();
        registry.register(
            "certificate_not_after_seconds",
            "Until when the certificate in use is valid, in Unix time; 0 without TLS",
            certificate_not_after.clone(),
        );
        let certificate_files_refused = Gauge::default();
        registry.register(
            "certificate_files_refused",
            "1 while what the certificates' files hold can't be used, and what they held before is",
            certificate_files_refused.clone(),
        );
        Self {
            registry,
            actions,
            plans,
            actions_planned,
            facts,
            leader,
            planner_connected,
            planner_losses,
            status_writes,
            watch_errors,
            events_dropped,
            rivals,
            view_calls,
            view_refused_calls,
            certificate_not_after,
            certificate_files_refused,
        }
    }
}

impl Metrics {
    /// Another controller was seen at work.
    pub fn rival(&self, work: RivalWork) {
        self.rivals.get_or_create(&RivalLabels { work }).inc();
    }

    /// Somebody has asked the live view.
    pub fn view_call(&self, method: Method) {
        self.view_calls.get_or_create(&MethodLabels { method }).inc();
    }

    /// An action has ended.
    pub fn action(&self, action: ActionKind, outcome: Outcome) {
        self.actions
            .get_or_create(&ActionLabels { action, outcome })
            .inc();
    }

    /// A plan has come that asks for so many actions.
    pub fn plan(&self, actions: usize) {
        self.plans.inc();
        self.actions_planned
            .inc_by(u64::try_from(actions).unwrap_or(u64::MAX));
    }

    /// Facts have been sent.
    pub fn facts(&self, count: usize) {
        self.facts.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Whether this executor leads from now on.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// A planner session is open.
    pub fn planner_found(&self) {
        self.planner_connected.set(1);
    }

    /// The planner session has ended.
    pub fn planner_lost(&self) {
        self.planner_connected.set(0);
        self.planner_losses.inc();
    }

    /// A status has been written.
    pub fn status_write(&self) {
        self.status_writes.inc();
    }

    /// A watch was interrupted.
    pub fn watch_error(&self) {
        self.watch_errors.inc();
    }

    /// An event was not written.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// How the certificates fare.
    pub fn certificates(&self, condition: Condition) {
        let not_after = condition.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.certificate_not_after
            .set(not_after.as_secs().try_into().unwrap_or(i64::MAX));
        self.certificate_files_refused.set((!condition.is_usable).into());
    }

    /// Everything in Prometheus' text format.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // Writing to a String can't fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

impl serve::Observer for Metrics {
    fn began(&self, _: serve::Kind) {}

    fn ended(&self, _: serve::Kind) {}

    fn refused(&self, why: Refusal) {
        let reason = why.as_str();
        self.view_refused_calls
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }
}
