//! Metrics of a program's certificates.

use std::time::UNIX_EPOCH;

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use crate::tls::CertificateStatus;

/// Metrics of a program's certificates.
#[derive(Debug, Default)]
pub struct CertificateMetrics {
    not_after: Gauge,
    files_refused: Gauge,
}

impl CertificateMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "certificate_not_after_seconds",
            "Expiry of the certificate in use, in seconds since the Unix epoch; 0 without TLS",
            self.not_after.clone(),
        );
        registry.register(
            "certificate_files_refused",
            "1 while the certificate files are unusable or not valid and the previous certificates stay in use, else 0",
            self.files_refused.clone(),
        );
    }

    /// Sets the metrics to the current status.
    pub fn set(&self, status: CertificateStatus) {
        let not_after = status.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.not_after
            .set(not_after.as_secs().try_into().unwrap_or(i64::MAX));
        self.files_refused.set((!status.is_usable).into());
    }
}
