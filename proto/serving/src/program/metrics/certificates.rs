//! Metrics about the state of a program's certificates.

use std::time::UNIX_EPOCH;

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use crate::tls::Condition;

/// Metrics about the state of a program's certificates.
#[derive(Debug, Default)]
pub struct Certificates {
    not_after: Gauge,
    files_refused: Gauge,
}

impl Certificates {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "certificate_not_after_seconds",
            "Until when the certificate in use is valid, in Unix time; 0 without TLS",
            self.not_after.clone(),
        );
        registry.register(
            "certificate_files_refused",
            "1 while the certificate files can't be used or aren't valid, so that the previous ones stay in use",
            self.files_refused.clone(),
        );
    }

    /// Sets the metrics to the current state.
    pub fn set(&self, condition: Condition) {
        let not_after = condition.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.not_after
            .set(not_after.as_secs().try_into().unwrap_or(i64::MAX));
        self.files_refused.set((!condition.is_usable).into());
    }
}
