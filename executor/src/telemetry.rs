//! What the executor reports about itself: [`health`] for probes, and [`metrics`] for Prometheus.

pub mod health;
pub mod metrics;
