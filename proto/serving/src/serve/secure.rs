//! Connections ready to be served: in plain text, or under TLS after the handshake.

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
    Clients, Limits, Observer, Refusal,
    connections::{Connection, Slots},
    peer::{Identity, Peer},
    shares::Caller,
};
use crate::tls::{ClientCertificates, Credentials, names, not_after};

/// How long a handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Handshakes that run at the same time. They have slots of their own, and a newcomer takes the slot of the
/// oldest. A handshake that makes progress takes only a few round trips; one that doesn't is in the way.
const MAX_HANDSHAKES: u32 = 64;
const MAX_HANDSHAKES_OF_ONE: u32 = MAX_HANDSHAKES / 4;
/// Connections of the local port, which only this machine can reach.
const MAX_LOCAL_CONNECTIONS: u32 = 32;
/// How often a failed handshake is logged as a warning: anybody who can reach the port can make handshakes
/// fail.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// TLS settings of a port.
#[derive(Debug, Clone)]
pub(super) struct Security {
    pub(super) credentials: Credentials,
    pub(super) clients: ClientCertificates,
}

/// A connection that is ready to be served.
#[derive(Debug)]
pub(super) enum Served<IO> {
    /// A plain-text connection.
    Plain(Connection<IO>),
    /// A TLS connection, with the peer's identity and the expiry of its certificate.
    Secure(Box<TlsStream<Connection<IO>>>, Identity, Option<SystemTime>),
}

/// The entrance of a port. It does the handshake of a connection and finds it a slot before it is served.
#[derive(Debug)]
pub(super) struct Entrance {
    security: Option<Security>,
    handshakes: Arc<Slots>,
    /// Slots for connections.
    slots: Arc<Slots>,
    /// Slots for peers whose certificates let them open streams, where the port knows who may. No other peer
    /// can take them; those peers can take the slots of `slots` too.
    for_streams: Option<(Arc<Slots>, Arc<Clients>)>,
    failures: Failures,
    /// Whether this is the local port.
    is_local: bool,
}

impl Entrance {
    /// An entrance for TLS connections, or for plain text without `security`.
    pub(super) fn new(
        limits: &Limits,
        security: Option<Security>,
        clients: Option<Arc<Clients>>,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        let slots = |most: u32, most_for_one: u32| Slots::new(most, most_for_one, observer.clone());
        let (most, for_streams) = match clients {
            Some(clients) => {
                let streams = limits.max_streams;
                (
                    limits.max_call_connections(),
                    Some((slots(streams, streams), clients)),
                )
            }
            None => (limits.max_connections(), None),
        };
        Self {
            security,
            handshakes: slots(MAX_HANDSHAKES, MAX_HANDSHAKES_OF_ONE),
            slots: slots(most, most.div_ceil(2)),
            for_streams,
            failures: Failures {
                observer: observer.clone(),
                warned: Mutex::new(None),
            },
            is_local: false,
        }
    }

    /// The entrance of the local port, in plain text. It has slots of its own, and one caller may hold all of
    /// them.
    pub(super) fn local(observer: &Arc<dyn Observer>, limits: &Limits) -> Self {
        Self {
            slots: Slots::new(MAX_LOCAL_CONNECTIONS, MAX_LOCAL_CONNECTIONS, observer.clone()),
            is_local: true,
            ..Self::new(limits, None, None, observer)
        }
    }

    /// Does the handshakes of connections concurrently and admits the connections. Connections whose
    /// handshakes fail are closed.
    pub(super) fn admit<IO>(
        self,
        incoming: impl Stream<Item = io::Result<IO>>,
    ) -> impl Stream<Item = io::Result<Served<IO>>>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin,
    {
        let this = Arc::new(self);
        let admitted = move |io: io::Result<IO>| {
            let this = this.clone();
            async move {
                match io {
                    Ok(io) => this.admitted(io).await.map(Ok),
                    Err(error) => Some(Err(error)),
                }
            }
        };
        // The slots of handshakes already limit how many run at the same time.
        incoming
            .map(admitted)
            .buffer_unordered(usize::MAX)
            .filter_map(future::ready)
    }

    async fn admitted<IO>(&self, io: IO) -> Option<Served<IO>>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin,
    {
        let connection = Connection::new(io, self.is_local);
        let (handle, address) = (connection.handle(), connection.address());
        let mut served = match &self.security {
            None => Served::Plain(connection),
            Some(security) => {
                let caller = Peer::new(Identity::Unknown, connection.ip())
                    .network()
                    .map(Caller::Network);
                let slot = self.handshakes.admit(caller, &handle);
                let _slot = slot.or_else(|| self.refuse(&address))?;
                security.accept(connection, &self.failures).await?
            }
        };
        let peer = served.connect_info();
        let caller = || peer.network().map(Caller::Network);
        let reserved = self.for_streams.as_ref();
        let reserved = reserved.filter(|(_, clients)| clients.may_stream(&peer));
        let slot = reserved
            .and_then(|(slots, _)| slots.admit(caller(), &handle))
            .or_else(|| self.slots.admit(caller(), &handle))
            .or_else(|| self.refuse(&address))?;
        served.connection_mut().admit(slot);
        Some(served)
    }

    /// Closes a connection that gets no slot.
    fn refuse<T>(&self, address: &str) -> Option<T> {
        self.failures.observer.refused(Refusal::Connections);
        tracing::debug!(address, "connection refused: every other one is in use");
        None
    }
}

impl Security {
    async fn accept<IO>(&self, connection: Connection<IO>, failures: &Failures) -> Option<Served<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let (address, handle) = (connection.address(), connection.handle());
        let acceptor = TlsAcceptor::from(self.credentials.server(self.clients));
        let failure = match timeout(HANDSHAKE_DEADLINE, acceptor.accept(connection)).await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates();
                let certificate = chain.and_then(<[_]>::first);
                let (identity, not_after) = match certificate {
                    Some(certificate) => (
                        Identity::Certified(names(certificate).into()),
                        not_after(certificate),
                    ),
                    None => (Identity::Unknown, None),
                };
                return Some(Served::Secure(Box::new(stream), identity, not_after));
            }
            // A client only checked whether the port is open.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
            // A newer handshake took its slot, which was counted then.
            Ok(Err(_)) if handle.is_cut() => return None,
            Ok(Err(error)) => explained(&error),
            Err(_) => format!("it took longer than {} s", HANDSHAKE_DEADLINE.as_secs()),
        };
        failures.tell(&address, &failure);
        None
    }
}

/// The reason why a handshake failed, in words for the operator.
fn explained(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("{error} (the client doesn't seem to speak TLS)")
        }
        Some(rustls::Error::NoCertificatesPresented) => "the client has no certificate".to_owned(),
        Some(rustls::Error::InvalidCertificate(reason)) => {
            format!("the client's certificate can't be accepted: {reason}")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the client doesn't accept this server's certificate, or can't go on: {alert:?}")
        }
        _ => error.to_string(),
    }
}

/// Reports failed handshakes.
#[derive(Debug)]
struct Failures {
    observer: Arc<dyn Observer>,
    warned: Mutex<Option<Instant>>,
}

impl Failures {
    fn tell(&self, address: &str, reason: &str) {
        self.observer.refused(Refusal::Handshake);
        let now = Instant::now();
        let mut warned = self.warned.lock();
        if warned.is_some_and(|at| now.duration_since(at) < WARN_EVERY) {
            tracing::debug!(address, reason, "a TLS handshake failed");
        } else {
            *warned = Some(now);
            tracing::warn!(
                address,
                reason,
                "a TLS handshake failed; more are told of at the level debug for {} s",
                WARN_EVERY.as_secs()
            );
        }
    }
}

impl<IO> Served<IO> {
    fn connection_mut(&mut self) -> &mut Connection<IO> {
        match self {
            Self::Plain(connection) => connection,
            Self::Secure(stream, ..) => stream.get_mut().0,
        }
    }
}

impl<IO> Connected for Served<IO> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let (connection, identity, not_after) = match self {
            Self::Plain(connection) => (connection, Identity::Unasked, None),
            Self::Secure(stream, identity, not_after) => (stream.get_ref().0, identity.clone(), *not_after),
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

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Served<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Self::Secure(io, ..) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Served<IO> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Self::Secure(io, ..) => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(context),
            Self::Secure(io, ..) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Secure(io, ..) => Pin::new(io).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Self::Secure(io, ..) => Pin::new(io).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Secure(io, ..) => io.is_write_vectored(),
        }
    }
}
