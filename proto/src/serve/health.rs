//! What `grpc.health.v1.Health` says of a server.

use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

/// Says whether a server serves: of itself as a whole, and of its service by name. At first it doesn't.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
    service: &'static str,
}

impl Health {
    /// What the paths of its calls begin with, as axum writes it.
    pub const ROUTE: &str = "/grpc.health.v1.Health/{*call}";

    /// Of a server whose service has this name.
    pub async fn of(service: &'static str) -> Self {
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

    /// The service that says it. An admin port has it too: the kubelet's gRPC probes speak no TLS.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}
