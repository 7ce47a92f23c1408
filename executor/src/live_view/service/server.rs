//! Serves the service on its port, with health and reflection.

use std::{io, net, sync::Arc};

use everynode_proto::executor::v1::executor_service_server::ExecutorServiceServer;
use everynode_serving::serve::{self, AllowedClients, AllowedNames, Limits, Server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Executor, callers::Callers};
use crate::telemetry::health::Health;

/// Maximum size of a request, which holds only a few names.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Creates the gRPC server with the executor's service, health (not serving yet) and reflection. It shuts down when the
/// executor's `shutdown` token is cancelled.
///
/// # Errors
/// The descriptors can't be read, which would be a bug in the build.
pub(crate) async fn server(executor: Executor, limits: Limits) -> Result<Server, serve::Error> {
    let (metrics, shutdown) = (executor.metrics.clone(), executor.shutdown.clone());
    let tokens = executor.tokens.clone();
    let service = ExecutorServiceServer::new(executor).max_decoding_message_size(limits.max_message_bytes);
    let server = Server::new(service, limits, shutdown).await?;
    let server = server.with_observer(metrics);
    Ok(match tokens {
        Some(tokens) => server.with_authenticator(tokens),
        None => server,
    })
}

/// Reports the executor as serving once the cluster is listed, and as not serving after `shutdown`.
pub(crate) async fn track_health(health: serve::Health, state: Arc<Health>, shutdown: CancellationToken) {
    tokio::select! {
        () = state.listed() => health.set_serving(true).await,
        () = shutdown.cancelled() => {}
    }
    shutdown.cancelled().await;
    health.set_serving(false).await;
}

/// The ports of the service, and the callers that it accepts.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) listener: net::TcpListener,
    /// An additional plain-text port that only this machine can reach.
    pub(crate) local: Option<net::TcpListener>,
    pub(crate) callers: Callers,
    /// Reports whether the executor serves.
    pub(crate) health: serve::Health,
}

/// Configures TLS and which callers the server accepts.
fn accept_callers(server: Server, callers: Callers) -> Server {
    match callers {
        Callers::Anybody => server,
        Callers::Certified { credentials, names } => {
            let flag = "--caller-names";
            let allowed = AllowedNames { flag, names };
            let clients = AllowedClients {
                calls: allowed.clone(),
                streams: allowed,
            };
            server.with_mutual_tls(credentials, clients)
        }
        Callers::WithTokens { credentials } => server.with_tls(credentials),
    }
}

/// Why the service ended before `shutdown`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// A listener can't be used.
    #[error("the listener of the gRPC server can't be used")]
    Listener(#[from] io::Error),
    /// The server can't be built from the generated code.
    #[error("the gRPC server can't be built")]
    Build(#[from] serve::Error),
    /// The server has failed.
    #[error("the gRPC server failed")]
    Serve(#[from] tonic::transport::Error),
}

/// Serves until `shutdown`. Then it reports that it no longer serves, and waits until every call has ended.
///
/// # Errors
/// The server fails.
pub(crate) async fn serve(
    listeners: Listeners,
    executor: Executor,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let Listeners {
        listener,
        local,
        callers,
        health,
    } = listeners;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (state, calls_end) = (executor.health.clone(), executor.shutdown.clone());
    let server = server(executor, limits).await?.with_health(health.clone());
    let mut server = accept_callers(server, callers);
    if let Some(local) = local {
        local.set_nonblocking(true)?;
        server = server.with_local_port(TcpListener::from_std(local)?);
    }
    let health_tracker = async {
        track_health(health, state, shutdown).await;
        calls_end.cancel();
        std::future::pending().await
    };
    tokio::select! {
        end = server.serve_tcp(listener) => Ok(end?),
        never = health_tracker => never,
    }
}
