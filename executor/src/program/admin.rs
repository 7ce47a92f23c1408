//! The admin port: `/livez`, `/readyz`, `/metrics`, and health over gRPC.

use std::sync::Arc;

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use everynode_serving::{program, serve};

use crate::telemetry::{health::Health, metrics::Metrics};

/// The routes of the admin port. Its gRPC health is the same as on the live view's port.
pub(crate) fn router(metrics: Arc<Metrics>, health: Arc<Health>, served: &serve::Health) -> Router {
    let liveness = health.clone();
    let livez = move || async move {
        if liveness.is_alive() {
            (StatusCode::OK, "ok\n".to_owned())
        } else {
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the main loop is stuck\n".to_owned(),
            )
        }
    };
    let readyz = move || async move {
        match health.unready_reason() {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    };
    let page = move || async move { ([(CONTENT_TYPE, program::metrics::CONTENT_TYPE)], metrics.encode()) };
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(page))
        .route_service(serve::Health::ROUTE, served.service())
}
