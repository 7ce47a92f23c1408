//! Serves the admin port: `/livez`, `/readyz`, `/metrics`, and gRPC health.

use std::sync::Arc;

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use everynode_serving::{program, serve::Health};
use tokio::sync::watch;

use crate::metrics::Metrics;

/// The routes of the admin port. `/readyz` succeeds while `ready` is true.
pub fn router(metrics: Arc<Metrics>, ready: watch::Receiver<bool>, health: &Health) -> Router {
    let readyz = move || async move {
        if *ready.borrow() {
            (StatusCode::OK, "ok\n")
        } else {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "not serving: starting or shutting down\n",
            )
        }
    };
    let page = move || async move { ([(CONTENT_TYPE, program::metrics::CONTENT_TYPE)], metrics.encode()) };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(page))
        .route_service(Health::ROUTE, health.service())
}
