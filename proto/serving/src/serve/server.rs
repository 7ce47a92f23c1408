//! Serves one service, health and reflection.

use std::{convert::Infallible, fmt, io, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    body::Body,
    server::NamedService,
    service::Routes,
    transport::server::{Connected, TcpIncoming},
};
use tower::Service;

use super::{
    AllowedClients, Authenticator, Health, Observer,
    acceptor::{Acceptor, TlsSettings},
    admission::AdmissionLayer,
    authenticate::LimitedAuthenticator,
    limiter::Limiter,
    limits::Limits,
    methods::Methods,
    observer::NoopObserver,
};
use crate::tls::{ClientCertificates, Credentials};

/// Interval of HTTP/2 pings. A stream carries nothing while nothing changes, so only pings detect a lost peer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// HTTP/2 windows: how many bytes a peer may send before the server reads them. A session starts with megabytes
/// of facts, and the default windows of 64 KiB would stall them at every round trip. Larger windows would let
/// every peer make the server hold more memory for each connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Largest HTTP/2 frame, in bytes. With the default of 16 KiB, a message of megabytes arrives in hundreds of
/// frames, each at a cost.
const MAX_FRAME_BYTES: u32 = 256 * 1024;
/// Limit of open calls on one connection. A client delays further calls until others have ended.
const MAX_STREAMS_PER_CONNECTION: u32 = 128;
/// Largest size of a request's headers with names and values, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;

/// Why a server can't be created. A correct build never fails with any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptor set of the services can't be decoded.
    #[error("decoding the descriptors of the services failed")]
    Descriptors(#[from] prost::DecodeError),
    /// Reflection rejects the descriptors.
    #[error("building the reflection service failed")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A server of one service with health and reflection, and with limits for all requests.
pub struct Server {
    limits: Limits,
    observer: Arc<dyn Observer>,
    shutdown: CancellationToken,
    health: Health,
    methods: Methods,
    routes: Routes,
    tls: Option<TlsSettings>,
    clients: Option<AllowedClients>,
    authenticator: Option<LimitedAuthenticator>,
    local_listener: Option<TcpListener>,
}

impl Server {
    /// Creates a server for `service`, a generated server that must accept messages of
    /// `limits.max_message_bytes`. The server shuts down when `shutdown` is cancelled. This ends all streams,
    /// whether or not the service ends them.
    ///
    /// # Errors
    /// The descriptors of the services can't be used. A correct build never fails with this.
    pub async fn new<S>(service: S, limits: Limits, shutdown: CancellationToken) -> Result<Self, Error>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let methods = Methods::from_descriptors(everynode_proto::FILE_DESCRIPTOR_SET)?;
        let health = Health::new(S::NAME).await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(everynode_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let routes = Routes::new(service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        Ok(Self {
            limits,
            observer: Arc::new(NoopObserver),
            shutdown,
            health,
            methods,
            routes,
            tls: None,
            clients: None,
            authenticator: None,
            local_listener: None,
        })
    }

    /// Serves mutual TLS. Only `clients` may make calls and open streams.
    #[must_use]
    pub fn with_mutual_tls(mut self, credentials: Credentials, clients: AllowedClients) -> Self {
        self.tls = Some(TlsSettings {
            credentials,
            client_certificates: ClientCertificates::Required,
        });
        self.clients = Some(clients);
        self
    }

    /// Serves TLS without client certificates. Callers must be authenticated in another way.
    #[must_use]
    pub fn with_tls(mut self, credentials: Credentials) -> Self {
        self.tls = Some(TlsSettings {
            credentials,
            client_certificates: ClientCertificates::None,
        });
        self
    }

    /// Authenticates callers of the service before their calls are admitted.
    #[must_use]
    pub fn with_authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(LimitedAuthenticator::new(authenticator));
        self
    }

    /// Also serves a local port, in plain text and for everybody who can reach it.
    #[must_use]
    pub fn with_local_port(mut self, listener: TcpListener) -> Self {
        self.local_listener = Some(listener);
        self
    }

    /// Serves this health status instead of a new one.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Reports calls and refusals to an observer.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The health status of the server. It is "not serving" until the program sets it.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves the connections of a port until the server has shut down.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub async fn serve_tcp(mut self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        // Messages are small and their receivers wait for each one, so Nagle's algorithm is off.
        let incoming = |listener| TcpIncoming::from(listener).with_nodelay(Some(true));
        let local = stream::iter(self.local_listener.take().map(incoming)).flatten();
        self.serve_ports(incoming(listener), local).await
    }

    /// Serves connections until the server has shut down and all its connections have ended. On shutdown, a
    /// connection ends after its last call.
    ///
    /// # Errors
    /// The transport can't be set up.
    pub async fn serve<IO>(
        self,
        incoming: impl Stream<Item = io::Result<IO>>,
    ) -> Result<(), tonic::transport::Error>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        self.serve_ports(incoming, stream::empty()).await
    }

    /// Serves `incoming` with TLS if it is configured, and `local` in plain text.
    async fn serve_ports<IO>(
        self,
        incoming: impl Stream<Item = io::Result<IO>>,
        local: impl Stream<Item = io::Result<IO>>,
    ) -> Result<(), tonic::transport::Error>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let clients = self.clients.map(Arc::new);
        let main = Acceptor::new(&self.limits, self.tls, clients.clone(), &self.observer);
        let incoming = main.accept_all(incoming);
        let local = Acceptor::local(&self.observer, &self.limits).accept_all(local);
        let connections = stream::select(Box::pin(incoming), Box::pin(local));
        let limiter = Limiter::new(self.limits, self.observer, self.shutdown.clone());
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .max_frame_size(MAX_FRAME_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
            .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
            .layer(AdmissionLayer::new(
                limiter,
                self.methods,
                clients,
                self.authenticator,
            ))
            .add_routes(self.routes.add_service(self.health.service()))
            .serve_with_incoming_shutdown(connections, self.shutdown.cancelled_owned())
            .await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
