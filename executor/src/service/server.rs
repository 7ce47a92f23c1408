//! The service on its port, with health and reflection.

use std::{net, sync::Arc};

use anyhow::Context;
use everynode_proto::{
    executor::v1::executor_service_server::ExecutorServiceServer,
    serve::{self, Limits, Server},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Executor;
use crate::health::Health;

/// The largest request: a few names.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// The whole gRPC server: the executor, health (not serving yet) and reflection. It shuts down when the executor's calls
/// are to end.
///
/// # Errors
/// The descriptors can't be read, which a build should never let happen.
pub async fn server(executor: Executor, limits: Limits) -> Result<Server, serve::Error> {
    let (metrics, shutdown) = (executor.metrics.clone(), executor.shutdown.clone());
    let service = ExecutorServiceServer::new(executor).max_decoding_message_size(limits.max_message_bytes);
    let server = Server::new(service, limits, shutdown).await?;
    Ok(server.observed_by(metrics))
}

/// Says that the executor serves from when the cluster is listed until `shutdown`.
pub async fn follow(health: serve::Health, state: Arc<Health>, shutdown: CancellationToken) {
    tokio::select! {
        () = state.listed() => health.set_serving(true).await,
        () = shutdown.cancelled() => {}
    }
    shutdown.cancelled().await;
    health.set_serving(false).await;
}

/// Serves until `shutdown`, and then until every call has ended. Health says first that it is over.
///
/// # Errors
/// The server fails.
pub async fn serve(
    listener: net::TcpListener,
    executor: Executor,
    limits: Limits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (state, calls_end) = (executor.health.clone(), executor.shutdown.clone());
    let server = server(executor, limits).await?;
    let health = server.health();
    let following = async {
        follow(health, state, shutdown).await;
        calls_end.cancel();
        std::future::pending().await
    };
    tokio::select! {
        end = server.serve_tcp(listener) => end.context("the gRPC server failed"),
        never = following => never,
    }
}
