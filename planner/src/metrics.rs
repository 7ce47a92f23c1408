//! What the planner counts, for Prometheus.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use everynode_proto::{
    serve::{self, Refusal},
    tls::Condition,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::session::Outcome;

/// The calls of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(
    missing_docs,
    reason = "the variants are the service's calls, by their names there"
)]
pub enum Method {
    GetInfo,
    Plan,
    Explain,
    SimulateNodes,
    Session,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Kind {
    Create,
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// All metrics of the planner.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<MethodLabel, Counter>,
    calls_in_progress: Gauge,
    refused_calls: Family<ReasonLabel, Counter>,
    certificate_not_after: Gauge,
    certificate_files_refused: Gauge,
    sessions: Gauge,
    facts: Counter,
    plans: Counter,
    actions: Family<KindLabel, Counter>,
    request_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("everynode_planner");
        let calls = Family::default();
        registry.register("calls", "gRPC calls begun", calls.clone());
        let calls_in_progress = Gauge::default();
        registry.register(
            "calls_in_progress",
            "gRPC calls that are worked on, without sessions",
            calls_in_progress.clone(),
        );
        let refused_calls = Family::<ReasonLabel, Counter>::default();
        registry.register(
            "refused_calls",
            "gRPC calls and connections that were refused or given up, because of a limit or of who made them",
            refused_calls.clone(),
        );
        for refusal in Refusal::ALL {
            // A series that is there from the start shows its first increase.
            let _ = refused_calls.get_or_create(&ReasonLabel {
                reason: refusal.as_str(),
            });
        }
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
        let sessions = Gauge::default();
        registry.register("sessions", "Sessions open", sessions.clone());
        let facts = Counter::default();
        registry.register("facts", "Facts taken in sessions", facts.clone());
        let plans = Counter::default();
        registry.register("plans", "Plans sent in sessions", plans.clone());
        let actions = Family::default();
        registry.register("actions", "Actions in those plans", actions.clone());
        let request_seconds = Histogram::new(exponential_buckets(0.000_01, 4.0, 10));
        registry.register(
            "session_request_seconds",
            "From a session's request to the plans that follow from it",
            request_seconds.clone(),
        );
        Self {
            registry,
            calls,
            calls_in_progress,
            refused_calls,
            certificate_not_after,
            certificate_files_refused,
            sessions,
            facts,
            plans,
            actions,
            request_seconds,
        }
    }
}

impl Metrics {
    /// A call began.
    pub fn call(&self, method: Method) {
        self.calls.get_or_create(&MethodLabel { method }).inc();
    }

    /// How the certificates fare.
    pub fn certificates(&self, condition: Condition) {
        let not_after = condition.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.certificate_not_after
            .set(not_after.as_secs().try_into().unwrap_or(i64::MAX));
        self.certificate_files_refused.set((!condition.is_usable).into());
    }

    /// A session is open until the answer is dropped.
    pub fn session_open(self: &Arc<Self>) -> impl Drop + use<> {
        self.sessions.inc();
        SessionOpen(self.clone())
    }

    /// A session's request has been answered.
    pub fn observe(&self, outcome: &Outcome, took: Duration) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.facts.inc_by(count(outcome.facts));
        self.plans.inc_by(count(outcome.plans));
        self.actions
            .get_or_create(&KindLabel { kind: Kind::Create })
            .inc_by(count(outcome.creates));
        self.actions
            .get_or_create(&KindLabel { kind: Kind::Delete })
            .inc_by(count(outcome.deletes));
        self.request_seconds.observe(took.as_secs_f64());
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
    fn began(&self, kind: serve::Kind) {
        if kind == serve::Kind::Call {
            self.calls_in_progress.inc();
        }
    }

    fn ended(&self, kind: serve::Kind) {
        if kind == serve::Kind::Call {
            self.calls_in_progress.dec();
        }
    }

    fn refused(&self, why: Refusal) {
        let reason = why.as_str();
        self.refused_calls.get_or_create(&ReasonLabel { reason }).inc();
    }
}

struct SessionOpen(Arc<Metrics>);

impl Drop for SessionOpen {
    fn drop(&mut self) {
        self.0.sessions.dec();
    }
}
