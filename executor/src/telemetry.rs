//! What the executor reports about itself: [`health`] for probes, and [`metrics`] for Prometheus.

pub(crate) mod health;
pub(crate) mod metrics;
