//! What `grpc.health.v1.Health` says of a server.

use tonic_health::{ServingStatus, server::HealthReporter};

/// Says whether a server serves: of itself as a whole, and of its service by name. At first it doesn't.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
    service: &'static str,
}

impl Health {
    pub(super) async fn of(service: &'static str) -> Self {
        let this = Self {
            reporter: HealthReporter::new(),
            service,
        };
        this.set_serving(false).await;
        this
    }

    /// Sets what is said; who watches hears it at once. On shutdown this comes first.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in ["", self.service] {
            self.reporter.set_service_status(service, status).await;
        }
    }

    pub(super) fn reporter(&self) -> HealthReporter {
        self.reporter.clone()
    }
}
