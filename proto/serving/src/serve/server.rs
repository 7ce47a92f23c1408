//! A port with one service, health and reflection.

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
    Authenticator, Clients, Health, Observer, Unobserved,
    authenticate::Authentication,
    gate::GateLayer,
    limits::Limits,
    methods::Methods,
    room::Room,
    secure::{Entrance, Security},
};
use crate::tls::{ClientCertificates, Credentials};

/// Interval of HTTP/2 pings. A stream is silent while nothing happens, so only pings detect a lost peer.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How many bytes a peer may send before the server reads them. An executor begins with a burst of megabytes,
/// which the usual windows of 64 KiB would stall at every round trip. But any peer can make the server hold
/// this much for each connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Largest HTTP/2 frame, in bytes. With the usual 16 KiB, a message of megabytes comes in a thousand pieces,
/// each with its own cost.
const MAX_FRAME_BYTES: u32 = 256 * 1024;
/// Calls and streams that are open at the same time on one connection. A client holds back further ones until
/// others have ended.
const MAX_STREAMS_PER_CONNECTION: u32 = 128;
/// Largest size of a request's headers, names and values together, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;

/// Why a server can't be created. A correct build never fails with any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptor set of the services can't be decoded.
    #[error("the descriptors of the services can't be read")]
    Descriptors(#[from] prost::DecodeError),
    /// Reflection rejects the descriptors.
    #[error("reflection can't be served")]
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
    security: Option<Security>,
    clients: Option<Clients>,
    authentication: Option<Authentication>,
    local: Option<TcpListener>,
}

impl Server {
    /// Creates a server for `service`, a generated server that must accept messages of
    /// `limits.max_message_bytes`. The server begins to shut down when `shutdown` is cancelled. Its streams
    /// end then, whether or not the service ends them.
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
        let methods = Methods::described_in(everynode_proto::FILE_DESCRIPTOR_SET)?;
        let health = Health::of(S::NAME).await;
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
            observer: Arc::new(Unobserved),
            shutdown,
            health,
            methods,
            routes,
            security: None,
            clients: None,
            authentication: None,
            local: None,
        })
    }

    /// Serves TLS to clients that prove by their certificates who they are.
    #[must_use]
    pub fn for_certified(mut self, credentials: Credentials, clients: Clients) -> Self {
        let required = ClientCertificates::Required;
        self.security = Some(Security {
            credentials,
            clients: required,
        });
        self.clients = Some(clients);
        self
    }

    /// Serves TLS without client certificates. The service itself must find out who its clients are.
    #[must_use]
    pub fn for_uncertified(mut self, credentials: Credentials) -> Self {
        let clients = ClientCertificates::None;
        self.security = Some(Security { credentials, clients });
        self
    }

    /// Authenticates callers of the service before their calls are admitted.
    #[must_use]
    pub fn authenticated_by(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authentication = Some(Authentication::new(authenticator));
        self
    }

    /// Serves another port too, in plain text and for everybody who can reach it.
    #[must_use]
    pub fn with_local(mut self, listener: TcpListener) -> Self {
        self.local = Some(listener);
        self
    }

    /// Makes the server report the health that another part of the program sets.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Reports calls and refusals to an observer.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The health that the server reports: not serving, until the program sets it.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves the connections of a port until the server has shut down.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub async fn serve_tcp(mut self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        // Messages are small and their receivers wait for each, so Nagle's algorithm is off.
        let incoming = |listener| TcpIncoming::from(listener).with_nodelay(Some(true));
        let local = stream::iter(self.local.take().map(incoming)).flatten();
        self.serve_beside(incoming(listener), local).await
    }

    /// Serves connections until the server has shut down and all its connections have ended. On shutdown, a
    /// connection ends with its last call.
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
        self.serve_beside(incoming, stream::empty()).await
    }

    /// Serves `incoming` with the server's security, and `local` in plain text in any case.
    async fn serve_beside<IO>(
        self,
        incoming: impl Stream<Item = io::Result<IO>>,
        local: impl Stream<Item = io::Result<IO>>,
    ) -> Result<(), tonic::transport::Error>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let clients = self.clients.map(Arc::new);
        let main = Entrance::new(&self.limits, self.security, clients.clone(), &self.observer);
        let incoming = main.admit(incoming);
        let local = Entrance::local(&self.observer, &self.limits).admit(local);
        let both = stream::select(Box::pin(incoming), Box::pin(local));
        let room = Room::new(self.limits, self.observer, self.shutdown.clone());
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .max_frame_size(MAX_FRAME_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
            .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
            .layer(GateLayer::new(room, self.methods, clients, self.authentication))
            .add_routes(self.routes.add_service(self.health.service()))
            .serve_with_incoming_shutdown(both, self.shutdown.cancelled_owned())
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
