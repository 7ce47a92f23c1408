//! Accepts connections: does the TLS handshake, finds a slot, and identifies the peer.

use std::{
    future, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};
use tonic::transport::server::Connected;

use super::{
    AllowedClients, Limits, Observer, Refusal,
    connections::{Connection, ConnectionSlots},
    fair_semaphore::Caller,
    limits::CONNECTIONS_FOR_CALLS,
    peer::{Identity, Peer},
};
use crate::tls::{ClientCertificates, Credentials, names, not_after};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit of concurrent handshakes. They have slots of their own, and a new handshake evicts the oldest. A
/// healthy handshake takes only a few round trips, so the oldest is most likely stuck.
const MAX_HANDSHAKES: u32 = 64;
const MAX_HANDSHAKES_PER_CALLER: u32 = MAX_HANDSHAKES / 4;
/// Limit of connections to the local port, which only this machine can reach.
const MAX_LOCAL_CONNECTIONS: u32 = 32;
/// Minimum time between two warnings about failed handshakes. Anybody who can reach the port can make
/// handshakes fail.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// TLS settings of a port.
#[derive(Debug, Clone)]
pub(super) struct TlsSettings {
    pub(super) credentials: Credentials,
    pub(super) client_certificates: ClientCertificates,
}

/// A connection that has a slot, after its handshake if the port uses TLS.
#[derive(Debug)]
pub(super) enum AcceptedConnection<IO> {
    /// A plain-text connection.
    Plain(Connection<IO>),
    /// A TLS connection, with the peer's identity and the expiry of its certificate.
    Tls(Box<TlsStream<Connection<IO>>>, Identity, Option<SystemTime>),
}

/// Accepts the connections of a port.
#[derive(Debug)]
pub(super) struct Acceptor {
    tls: Option<TlsSettings>,
    handshake_slots: Arc<ConnectionSlots>,
    slots: Arc<ConnectionSlots>,
    /// Slots reserved for peers whose certificates allow streams, if the port restricts who may open them.
    /// These peers can also use `slots`.
    stream_slots: Option<(Arc<ConnectionSlots>, Arc<AllowedClients>)>,
    failures: HandshakeFailures,
    /// Whether this is the local port.
    is_local: bool,
}

impl Acceptor {
    /// Accepts TLS connections, or plain-text connections if `tls` is `None`.
    pub(super) fn new(
        limits: &Limits,
        tls: Option<TlsSettings>,
        clients: Option<Arc<AllowedClients>>,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        let slots =
            |max: u32, max_per_caller: u32| ConnectionSlots::new(max, max_per_caller, observer.clone());
        let (max, stream_slots) = match clients {
            Some(clients) => {
                let streams = limits.max_streams;
                (CONNECTIONS_FOR_CALLS, Some((slots(streams, streams), clients)))
            }
            None => (limits.max_connections(), None),
        };
        Self {
            tls,
            handshake_slots: slots(MAX_HANDSHAKES, MAX_HANDSHAKES_PER_CALLER),
            slots: slots(max, max.div_ceil(2)),
            stream_slots,
            failures: HandshakeFailures {
                observer: observer.clone(),
                last_warning: Mutex::new(None),
            },
            is_local: false,
        }
    }

    /// Accepts the plain-text connections of the local port. The port has slots of its own, and one caller may
    /// hold all of them.
    pub(super) fn local(observer: &Arc<dyn Observer>, limits: &Limits) -> Self {
        Self {
            slots: ConnectionSlots::new(MAX_LOCAL_CONNECTIONS, MAX_LOCAL_CONNECTIONS, observer.clone()),
            is_local: true,
            ..Self::new(limits, None, None, observer)
        }
    }

    /// Accepts connections concurrently. A connection is closed if its handshake fails or no slot is free.
    pub(super) fn accept_all<IO>(
        self,
        incoming: impl Stream<Item = io::Result<IO>>,
    ) -> impl Stream<Item = io::Result<AcceptedConnection<IO>>>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin,
    {
        let this = Arc::new(self);
        let accept = move |io: io::Result<IO>| {
            let this = this.clone();
            async move {
                match io {
                    Ok(io) => this.accept(io).await.map(Ok),
                    Err(error) => Some(Err(error)),
                }
            }
        };
        // The handshake slots already limit the concurrency.
        incoming
            .map(accept)
            .buffer_unordered(usize::MAX)
            .filter_map(future::ready)
    }

    async fn accept<IO>(&self, io: IO) -> Option<AcceptedConnection<IO>>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin,
    {
        let connection = Connection::new(io, self.is_local);
        let (handle, address) = (connection.handle(), connection.address());
        let mut accepted = match &self.tls {
            None => AcceptedConnection::Plain(connection),
            Some(tls) => {
                let caller = Peer::new(Identity::Anonymous, connection.ip())
                    .network()
                    .map(Caller::Network);
                let slot = self.handshake_slots.acquire(caller, &handle);
                let _slot = slot.or_else(|| self.refuse(&address))?;
                tls.handshake(connection, &self.failures).await?
            }
        };
        let peer = accepted.connect_info();
        let caller = || peer.network().map(Caller::Network);
        let reserved = self.stream_slots.as_ref();
        let reserved = reserved.filter(|(_, clients)| clients.may_stream(&peer));
        let slot = reserved
            .and_then(|(slots, _)| slots.acquire(caller(), &handle))
            .or_else(|| self.slots.acquire(caller(), &handle))
            .or_else(|| self.refuse(&address))?;
        accepted.connection_mut().set_slot(slot);
        Some(accepted)
    }

    /// Reports that no slot is free for a connection.
    fn refuse<T>(&self, address: &str) -> Option<T> {
        self.failures.observer.on_refused(Refusal::Connections);
        tracing::debug!(address, "connection refused; no slot is free");
        None
    }
}

impl TlsSettings {
    async fn handshake<IO>(
        &self,
        connection: Connection<IO>,
        failures: &HandshakeFailures,
    ) -> Option<AcceptedConnection<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let (address, handle) = (connection.address(), connection.handle());
        let acceptor = TlsAcceptor::from(self.credentials.server(self.client_certificates));
        let reason = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(connection)).await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates();
                let certificate = chain.and_then(<[_]>::first);
                let (identity, not_after) = match certificate {
                    Some(certificate) => (
                        Identity::Certificate(names(certificate).into()),
                        not_after(certificate),
                    ),
                    None => (Identity::Anonymous, None),
                };
                return Some(AcceptedConnection::Tls(Box::new(stream), identity, not_after));
            }
            // Most likely, the client only checked whether the port is open.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
            // A newer handshake has evicted this one. The observer received a report of the eviction.
            Ok(Err(_)) if handle.is_closed() => return None,
            Ok(Err(error)) => failure_reason(&error),
            Err(_) => format!("timed out after {} s", HANDSHAKE_TIMEOUT.as_secs()),
        };
        failures.report(&address, &reason);
        None
    }
}

/// Why a handshake failed, for the operator.
fn failure_reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("{error} (the client doesn't seem to use TLS)")
        }
        Some(rustls::Error::NoCertificatesPresented) => "the client sent no certificate".to_owned(),
        Some(rustls::Error::InvalidCertificate(reason)) => {
            format!("the client's certificate is not accepted: {reason}")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!(
                "the client ended the handshake, probably because it doesn't trust this server's certificate: {alert:?}"
            )
        }
        _ => error.to_string(),
    }
}

/// Reports failed handshakes.
#[derive(Debug)]
struct HandshakeFailures {
    observer: Arc<dyn Observer>,
    last_warning: Mutex<Option<Instant>>,
}

impl HandshakeFailures {
    fn report(&self, address: &str, reason: &str) {
        self.observer.on_refused(Refusal::Handshake);
        let now = Instant::now();
        let mut last_warning = self.last_warning.lock();
        if last_warning.is_some_and(|at| now.duration_since(at) < WARN_INTERVAL) {
            tracing::debug!(address, reason, "TLS handshake failed");
        } else {
            *last_warning = Some(now);
            tracing::warn!(
                address,
                reason,
                "TLS handshake failed; further failures are logged at debug for {} s",
                WARN_INTERVAL.as_secs()
            );
        }
    }
}

impl<IO> AcceptedConnection<IO> {
    fn connection_mut(&mut self) -> &mut Connection<IO> {
        match self {
            Self::Plain(connection) => connection,
            Self::Tls(stream, ..) => stream.get_mut().0,
        }
    }
}

impl<IO> Connected for AcceptedConnection<IO> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let (connection, identity, not_after) = match self {
            Self::Plain(connection) => (connection, Identity::Plaintext, None),
            Self::Tls(stream, identity, not_after) => (stream.get_ref().0, identity.clone(), *not_after),
        };
        Peer {
            handle: connection.handle(),
            identity,
            address: connection.ip(),
            is_local: connection.is_local(),
            not_after,
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for AcceptedConnection<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tls(io, ..) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for AcceptedConnection<IO> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tls(io, ..) => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(context),
            Self::Tls(io, ..) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io, ..) => Pin::new(io).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Self::Tls(io, ..) => Pin::new(io).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io, ..) => io.is_write_vectored(),
        }
    }
}
