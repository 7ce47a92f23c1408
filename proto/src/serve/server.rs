//! One port with one service, health and reflection.

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

/// A stream idles for as long as nothing happens, so a lost peer is noticed by pings.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// What a peer may send before it is read. An executor begins with a burst of megabytes, which the usual windows of 64 KiB would
/// halt at every round trip; but each connection may make the server hold as much, whoever makes it.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// What comes in one piece. Of a message of megabytes the usual 16 KiB make a thousand pieces, each with its own cost.
const MAX_FRAME_BYTES: u32 = 256 * 1024;
/// Calls and streams on one connection. A client keeps what is more to itself until others have ended.
const MAX_STREAMS_PER_CONNECTION: u32 = 128;
/// Names and values of a request's headers together.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;

/// Why a server can't be made. A build should never let it happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptor set of the services can't be decoded.
    #[error("the descriptors of the services can't be read")]
    Descriptors(#[from] prost::DecodeError),
    /// Reflection doesn't take the descriptors.
    #[error("reflection can't be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// One service with health and reflection, and limits for all that asks for it.
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
    /// A server of the service, a generated server that takes messages of `limits.max_message_bytes`. It begins to shut
    /// down when `shutdown` is cancelled: streams end then, whether or not the service ends them.
    ///
    /// # Errors
    /// The descriptors of the services can't be used, which a build should never let happen.
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
        let methods = Methods::described_in(crate::FILE_DESCRIPTOR_SET)?;
        let health = Health::of(S::NAME).await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(crate::FILE_DESCRIPTOR_SET)
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

    /// Has TLS spoken, with clients that show by their certificates who they are.
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

    /// Has TLS spoken, and leaves it to the service to find out who its clients are.
    #[must_use]
    pub fn for_uncertified(mut self, credentials: Credentials) -> Self {
        let clients = ClientCertificates::None;
        self.security = Some(Security { credentials, clients });
        self
    }

    /// Has callers of the service authenticated before their calls are admitted.
    #[must_use]
    pub fn authenticated_by(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authentication = Some(Authentication::new(authenticator));
        self
    }

    /// Has another port served too, in plain text and for whoever reaches it.
    #[must_use]
    pub fn with_local(mut self, listener: TcpListener) -> Self {
        self.local = Some(listener);
        self
    }

    /// Has the server tell of its health what another part of the program says.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Has everything told to an observer.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Where to say whether the server serves. Until it is said, it doesn't.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves the connections of a port until the server has shut down.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub async fn serve_tcp(mut self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        // Messages are small, and each is waited for.
        let incoming = |listener| TcpIncoming::from(listener).with_nodelay(Some(true));
        let local = stream::iter(self.local.take().map(incoming)).flatten();
        self.serve_beside(incoming(listener), local).await
    }

    /// Serves connections until the server has shut down: until the connections that were there have ended, which they
    /// do with the last call on them.
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

    /// Serves connections as they are meant to come, and some beside them that are plain text in any case.
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
