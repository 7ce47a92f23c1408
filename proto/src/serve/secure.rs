//! Connections as they are served: in plain text, or by TLS once the handshake is done.

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
    Observer, Refusal,
    connections::Connection,
    peer::{Identity, Peer},
};
use crate::tls::{ClientCertificates, Credentials, names, not_after};

/// How long a handshake may take. Meanwhile the connection counts as one.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How often a handshake that fails is worth a warning: anybody who can reach the port can have them fail.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// How connections become secure.
#[derive(Debug, Clone)]
pub(super) struct Security {
    pub(super) credentials: Credentials,
    pub(super) clients: ClientCertificates,
}

/// A connection that can be served.
#[derive(Debug)]
pub(super) enum Served<IO> {
    /// It is as it came.
    Plain(Connection<IO>),
    /// It is encrypted.
    Secure(Box<TlsStream<Connection<IO>>>, Identity, Option<SystemTime>),
}

/// Does the handshakes of connections, each beside all others. Those that fail are closed.
pub(super) fn secured<IO>(
    incoming: impl Stream<Item = io::Result<Connection<IO>>>,
    security: Option<Security>,
    observer: Arc<dyn Observer>,
) -> impl Stream<Item = io::Result<Served<IO>>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let failures = Arc::new(Failures {
        observer,
        warned: Mutex::new(None),
    });
    let handshake = move |connection: io::Result<Connection<IO>>| {
        let (security, failures) = (security.clone(), failures.clone());
        async move {
            match (connection, security) {
                (Err(error), _) => Some(Err(error)),
                (Ok(connection), None) => Some(Ok(Served::Plain(connection))),
                (Ok(connection), Some(security)) => security.accept(connection, &failures).await.map(Ok),
            }
        }
    };
    // There are no more at the same time than there may be connections.
    incoming
        .map(handshake)
        .buffer_unordered(usize::MAX)
        .filter_map(future::ready)
}

impl Security {
    async fn accept<IO>(&self, connection: Connection<IO>, failures: &Failures) -> Option<Served<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let address = connection.address();
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
            // Somebody wanted to know whether the port is open.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
            Ok(Err(error)) => explained(&error),
            Err(_) => format!("it took longer than {} s", HANDSHAKE_DEADLINE.as_secs()),
        };
        failures.tell(&address, &failure);
        None
    }
}

/// Why a handshake failed, in words for whoever runs the server.
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

/// Tells of handshakes that fail.
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
            address: connection.remote_address().map(|address| address.ip()),
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
