//! The planner's Prometheus metrics.

use std::{sync::Arc, time::Duration};

use everynode_serving::{
    program::{self, metrics::CertificateMetrics},
    serve::{self, Refusal},
    tls::CertificateStatus,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::{decide::RULES_VERSION, fleet::Size, session::Outcome};

/// A call of the service.
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
    SimulateRollout,
    Session,
}

impl Method {
    const ALL: [Self; 6] = [
        Self::GetInfo,
        Self::Plan,
        Self::Explain,
        Self::SimulateNodes,
        Self::SimulateRollout,
        Self::Session,
    ];
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
    certificates: CertificateMetrics,
    sessions: Gauge,
    facts: Counter,
    full_syncs: Counter,
    plans: Counter,
    actions: Family<KindLabel, Counter>,
    request_seconds: Histogram,
    fleets: Fleets,
}

/// Gauges of the facts of all open sessions together.
#[derive(Debug, Default)]
struct Fleets {
    nodes: Gauge,
    daemon_sets: Gauge,
    pods: Gauge,
    cells: Gauge,
    bytes: Gauge,
}

impl Fleets {
    fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            ("nodes", "Nodes in the facts of all open sessions", &self.nodes),
            (
                "daemon_sets",
                "DaemonSets in the facts of all open sessions",
                &self.daemon_sets,
            ),
            ("pods", "Pods in the facts of all open sessions", &self.pods),
            (
                "cells",
                "Pairs of a DaemonSet and a node in all open sessions",
                &self.cells,
            ),
            (
                "session_memory_bytes",
                "Estimated memory of the facts of all open sessions; --max-session-memory limits it",
                &self.bytes,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// Updates the sums when one session's size changes.
    fn update(&self, from: Size, to: Size) {
        let change = |gauge: &Gauge, from: usize, to: usize| {
            let signed = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
            gauge.inc_by(signed(to) - signed(from));
        };
        change(&self.nodes, from.nodes, to.nodes);
        change(&self.daemon_sets, from.daemon_sets, to.daemon_sets);
        change(&self.pods, from.pods, to.pods);
        change(&self.cells, from.cells, to.cells);
        change(&self.bytes, from.bytes, to.bytes);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let calls = Family::<MethodLabel, Counter>::default();
        let calls_in_progress = Gauge::default();
        let refused_calls = Family::<ReasonLabel, Counter>::default();
        let sessions = Gauge::default();
        let (facts, full_syncs, plans) = (Counter::default(), Counter::default(), Counter::default());
        let actions = Family::<KindLabel, Counter>::default();
        let request_seconds = Histogram::new(exponential_buckets(0.000_01, 4.0, 10));
        let (certificates, fleets) = (CertificateMetrics::default(), Fleets::default());
        // A series that exists from the start shows its first increase.
        for method in Method::ALL {
            let _ = calls.get_or_create(&MethodLabel { method });
        }
        for refusal in Refusal::ALL {
            let reason = refusal.as_str();
            let _ = refused_calls.get_or_create(&ReasonLabel { reason });
        }
        for kind in [Kind::Create, Kind::Delete] {
            let _ = actions.get_or_create(&KindLabel { kind });
        }
        let labels = [("rules_version", RULES_VERSION)];
        let version = env!("CARGO_PKG_VERSION");
        let registry = program::metrics::registry("everynode_planner", version, &labels, |registry| {
            registry.register("calls", "gRPC calls started", calls.clone());
            registry.register(
                "calls_in_progress",
                "gRPC calls in progress, without sessions",
                calls_in_progress.clone(),
            );
            registry.register(
                "refused_calls",
                "gRPC calls and connections that were refused or aborted, by reason",
                refused_calls.clone(),
            );
            registry.register("sessions", "Open sessions", sessions.clone());
            registry.register("facts", "Facts received in sessions", facts.clone());
            registry.register(
                "full_syncs",
                "Full syncs completed in sessions",
                full_syncs.clone(),
            );
            registry.register("plans", "Plans sent in sessions", plans.clone());
            registry.register(
                "actions",
                "Actions in the plans sent in sessions",
                actions.clone(),
            );
            registry.register(
                "session_request_seconds",
                "Time from a session's request to the plans that follow from it",
                request_seconds.clone(),
            );
            certificates.register(registry);
            fleets.register(registry);
        });
        Self {
            registry,
            calls,
            calls_in_progress,
            refused_calls,
            certificates,
            sessions,
            facts,
            full_syncs,
            plans,
            actions,
            request_seconds,
            fleets,
        }
    }
}

impl Metrics {
    /// Counts a call that started.
    pub fn count_call(&self, method: Method) {
        self.calls.get_or_create(&MethodLabel { method }).inc();
    }

    /// Sets the metrics of the certificates.
    pub fn certificates(&self, status: CertificateStatus) {
        self.certificates.set(status);
    }

    /// Counts an open session. Dropping the returned value ends the count.
    pub fn open_session(self: &Arc<Self>) -> OpenSession {
        self.sessions.inc();
        OpenSession {
            metrics: self.clone(),
            size: Size::default(),
        }
    }

    /// All metrics in Prometheus' text format.
    pub fn encode(&self) -> String {
        program::metrics::page(&self.registry)
    }
}

impl serve::Observer for Metrics {
    fn on_call_started(&self, kind: serve::CallKind) {
        if kind == serve::CallKind::Unary {
            self.calls_in_progress.inc();
        }
    }

    fn on_call_ended(&self, kind: serve::CallKind) {
        if kind == serve::CallKind::Unary {
            self.calls_in_progress.dec();
        }
    }

    fn on_refused(&self, reason: Refusal) {
        let reason = reason.as_str();
        self.refused_calls.get_or_create(&ReasonLabel { reason }).inc();
    }
}

/// The metrics of one open session. Dropping it removes the session from the counts.
#[derive(Debug)]
pub struct OpenSession {
    metrics: Arc<Metrics>,
    /// The size of the session's facts.
    size: Size,
}

impl OpenSession {
    /// Counts an answered request.
    pub fn observe(&mut self, outcome: &Outcome, took: Duration) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let actions = |kind, number| {
            let actions = self.metrics.actions.get_or_create(&KindLabel { kind });
            actions.inc_by(count(number));
        };
        actions(Kind::Create, outcome.creates);
        actions(Kind::Delete, outcome.deletes);
        self.metrics.facts.inc_by(count(outcome.facts));
        self.metrics.full_syncs.inc_by(u64::from(outcome.has_synced));
        self.metrics.plans.inc_by(count(outcome.plans));
        self.metrics.request_seconds.observe(took.as_secs_f64());
        let before = std::mem::replace(&mut self.size, outcome.size);
        self.metrics.fleets.update(before, outcome.size);
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.metrics.sessions.dec();
        self.metrics.fleets.update(self.size, Size::default());
    }
}
