//! The admin port: `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::{Router, http::StatusCode, routing::get};
use tokio::sync::watch;

use crate::metrics::Metrics;

/// The pages of the admin port. The planner is ready while `ready` says so.
pub fn router(metrics: Arc<Metrics>, ready: watch::Receiver<bool>) -> Router {
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
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(move || async move { metrics.encode() }))
}
