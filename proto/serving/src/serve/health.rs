//! The `grpc.health.v1.Health` service of a server.

use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

/// The health status of a server, for the server as a whole and for its service by name. It is "not serving" at first.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
    service: &'static str,
}

impl Health {
    /// The route of health calls, in axum's syntax.
    pub const ROUTE: &str = "/grpc.health.v1.Health/{*call}";

    /// The health status of a server whose service has this name.
    pub async fn new(service: &'static str) -> Self {
        let this = Self {
            reporter: HealthReporter::new(),
            service,
        };
        this.set_serving(false).await;
        this
    }

    /// Sets the status. Watchers receive it at once. On shutdown, a program sets "not serving" first.
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

    /// The gRPC health service. The admin port serves it as well, because the kubelet's gRPC probes don't speak TLS.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}
