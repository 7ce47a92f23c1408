//! The connections of a server: so many at most, and each can be cut.

use std::{
    any::Any,
    future, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{Observer, Refusal};

/// A connection of a server. It closes when it is cut by its handle.
#[derive(Debug)]
pub(super) struct Connection<IO> {
    io: IO,
    address: Option<SocketAddr>,
    handle: Handle,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
}

/// What the requests of a connection know of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Handle(CancellationToken);

impl Handle {
    /// Closes the connection, with everything that is on it.
    pub(super) fn cut(&self) {
        self.0.cancel();
    }
}

/// The places of all connections of a server.
#[derive(Debug, Clone)]
pub(super) struct Places {
    most: u32,
    free: Arc<Semaphore>,
    observer: Arc<dyn Observer>,
}

impl Places {
    pub(super) fn new(most: u32, observer: Arc<dyn Observer>) -> Self {
        let free = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(usize::MAX)));
        Self { most, free, observer }
    }

    /// The connections that come in, while there is a place for them. One more is closed at once: its caller then tries
    /// another server, or again later, where it would otherwise hang.
    pub(super) fn for_each<IO: Connected>(
        self,
        incoming: impl Stream<Item = io::Result<IO>>,
    ) -> impl Stream<Item = io::Result<Connection<IO>>> {
        incoming.filter_map(move |io| {
            future::ready(match (io, self.free.clone().try_acquire_owned()) {
                (Err(error), _) => Some(Err(error)),
                (Ok(io), Ok(permit)) => Some(Ok(Connection::new(io, permit))),
                (Ok(_), Err(_)) => {
                    self.observer.refused(Refusal::Connections);
                    tracing::debug!(
                        most = self.most,
                        "a connection was closed, because there are as many as may be"
                    );
                    None
                }
            })
        })
    }
}

impl<IO> Connection<IO> {
    fn new(io: IO, permit: OwnedSemaphorePermit) -> Self
    where
        IO: Connected,
    {
        let token = CancellationToken::new();
        let info = io.connect_info();
        let tcp = (&info as &dyn Any).downcast_ref::<TcpConnectInfo>();
        Self {
            address: tcp.and_then(TcpConnectInfo::remote_addr),
            io,
            cut: Box::pin(token.clone().cancelled_owned()),
            handle: Handle(token),
            _permit: permit,
        }
    }

    /// Closes the connection from elsewhere.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where it comes from, if that is known.
    pub(super) fn remote_address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where it comes from, for people.
    pub(super) fn address(&self) -> String {
        self.address
            .map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever serves HTTP/2 always waits for something to read.
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
