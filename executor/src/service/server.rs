//! The service on its port, with health and reflection.

use std::{net, sync::Arc, time::Duration};

use anyhow::Context;
use everynode_proto::executor::v1::executor_service_server::{ExecutorServiceServer, SERVICE_NAME};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{
    Server,
    server::{Router, TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::Executor;
use crate::health::Health;

/// Somebody who watches may hear nothing for a long time, so a lost peer is noticed by pings.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The whole gRPC server: the executor, health (not serving yet) and reflection.
///
/// # Errors
/// The descriptors for reflection can't be read, which a build should never let happen.
pub async fn router(executor: Executor) -> anyhow::Result<(HealthReporter, Router)> {
    let (health, health_service) = tonic_health::server::health_reporter();
    set_serving(&health, ServingStatus::NotServing).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(everynode_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_service(health_service)
        .add_service(reflection().build_v1().context("reflection v1")?)
        .add_service(reflection().build_v1alpha().context("reflection v1alpha")?)
        .add_service(ExecutorServiceServer::new(executor));
    Ok((health, router))
}

/// Sets what health says of the server as a whole and of the executor.
async fn set_serving(health: &HealthReporter, status: ServingStatus) {
    health.set_service_status("", status).await;
    health.set_service_status(SERVICE_NAME, status).await;
}

/// Says that the executor serves from when the cluster is listed until `shutdown`.
pub async fn follow(health: HealthReporter, state: Arc<Health>, shutdown: CancellationToken) {
    tokio::select! {
        () = state.listed() => set_serving(&health, ServingStatus::Serving).await,
        () = shutdown.cancelled() => {}
    }
    shutdown.cancelled().await;
    set_serving(&health, ServingStatus::NotServing).await;
}

/// Serves until `shutdown`, and then until every call has ended. Health says first that it is over.
///
/// # Errors
/// The server fails.
pub async fn serve(
    listener: net::TcpListener,
    executor: Executor,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let incoming = TcpIncoming::from(TcpListener::from_std(listener)?).with_nodelay(Some(true));
    let (state, calls_end) = (executor.health.clone(), executor.shutdown.clone());
    let (health, router) = router(executor).await?;
    let served = router.serve_with_incoming_shutdown(incoming, calls_end.clone().cancelled_owned());
    let following = async {
        follow(health, state, shutdown).await;
        calls_end.cancel();
        std::future::pending().await
    };
    tokio::select! {
        end = served => end.context("the gRPC server failed"),
        never = following => never,
    }
}
