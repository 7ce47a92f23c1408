//! Serves an admin port. Anyone who can reach the port can connect without a certificate, but nobody must be able to
//! block the kubelet's probes. So everything here is limited: the number of connections, the time of each phase of a
//! connection, and the memory of each connection.
//!
//! - [`serve`]: accepts connections.
//! - `connections`: tracks the open connections, their deadlines and their eviction.
//! - `requests`: tracks and limits the requests in progress on a connection.

mod connections;
mod requests;

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tracing::{debug, warn};

use self::{
    connections::{Connection, Connections, TrackedIo},
    requests::{RequestLimits, RequestService},
};

/// The limit of concurrent connections. Probes and scrapers need only a few.
const MAX_CONNECTIONS: usize = 64;
/// How long a request's head may take. On a new connection, the limit also covers everything before the first request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take until its response has been sent. Health watches have no limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay open without a request.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// How often deadlines are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a closing connection may take to shut down gracefully.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait before accepting again after a failure, for example when the process has no file descriptors left.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The size limit of a request's head, in bytes.
const MAX_HEAD_BYTES: u32 = 16 * 1024;
const MAX_STREAMS_PER_CONNECTION: u32 = 16;
const STREAM_WINDOW_BYTES: u32 = 16 * 1024;
/// HTTP/2 starts with this window, which can only be raised.
const CONNECTION_WINDOW_BYTES: u32 = 65_535;
/// How many unsent bytes of a response HTTP/2 buffers.
const SEND_BUFFER_BYTES: usize = 16 * 1024;
/// Interval of HTTP/2 pings. A watch can be silent for hours, so only pings detect a lost caller.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the pages of an admin port over HTTP/1.1, and over HTTP/2 with prior knowledge.
pub async fn serve(listener: TcpListener, pages: Router) -> Infallible {
    let port = Port::new(pages);
    loop {
        match listener.accept().await {
            Ok((io, _)) => port.accept(io),
            // The caller disconnected before its connection was accepted.
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                warn!(%error, "accepting connections to the admin port failed; retrying in 1 s");
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// The state that all connections of a port share.
#[derive(Debug)]
struct Port {
    pages: Router,
    connections: Arc<Connections>,
    limits: Arc<RequestLimits>,
}

impl Port {
    fn new(pages: Router) -> Self {
        Self {
            pages,
            connections: Arc::default(),
            limits: Arc::default(),
        }
    }

    /// Serves a connection if the connection limit admits it.
    fn accept<IO>(&self, io: IO)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(connection) = self.connections.admit() else {
            debug!(
                limit = MAX_CONNECTIONS,
                "connection to the admin port refused; all others have a request in progress"
            );
            return;
        };
        let requests = RequestService {
            pages: self.pages.clone(),
            limits: self.limits.clone(),
            connection: connection.clone(),
        };
        let connections = self.connections.clone();
        tokio::spawn(async move {
            serve_connection(io, requests, &connection).await;
            connections.remove(&connection);
        });
    }
}

/// Serves a connection until it ends, is evicted, or exceeds a deadline.
async fn serve_connection<IO>(io: IO, requests: RequestService, connection: &Arc<Connection>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(TrackedIo::new(io, connection.clone()));
    let http = http();
    let mut served = pin!(http.serve_connection(io, TowerToHyperService::new(requests)));
    tokio::select! {
        // Errors of the connection concern only the caller.
        _ = served.as_mut() => return,
        () = connection.evicted() => return,
        () = connection.deadline_exceeded() => {}
    }
    // HTTP/2 callers learn that the server doesn't process requests that they may be sending now.
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, served).await;
}

/// Configures HTTP with small limits. Deadlines are enforced outside of hyper, because hyper has none for the time
/// before the first byte, and doesn't distinguish the time of a request's head from the time between two requests.
fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .max_buf_size(MAX_HEAD_BYTES as usize)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    http
}

#[cfg(test)]
mod tests;
