//! Connections that end with the claim. A request that has passed the gate may still be on its way out of this machine
//! when the claim ends: in a buffer of this process, or in one of the kernel's, which retransmits it while the network
//! is broken. It must not arrive when another executor leads.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use futures::FutureExt;
use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tower::{BoxError, Service};

use super::{Claim, gate::NotLeading};

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes connections that end with the claim.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    inner: HttpConnector,
    claim: Claim,
}

impl Connector {
    /// Makes connections with this connector, under this claim.
    pub(crate) fn new(inner: HttpConnector, claim: Claim) -> Self {
        Self { inner, claim }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<ClaimedStream<TcpStream>>;
    type Error = BoxError;
    type Future = Pending<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, claim) = (self.inner.call(uri), self.claim.clone());
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            // Whenever this process closes the connection, the kernel discards data that hasn't been sent.
            stream.set_zero_linger()?;
            Ok(TokioIo::new(ClaimedStream::new(stream, claim)))
        })
    }
}

/// A connection that ends when the claim ends, if something was written under the claim.
pub(crate) struct ClaimedStream<S> {
    stream: S,
    claim: Claim,
    given_up: Pending<()>,
    /// Whether something was written under the claim.
    is_used: bool,
}

impl<S> ClaimedStream<S> {
    pub(super) fn new(stream: S, claim: Claim) -> Self {
        Self {
            stream,
            given_up: Box::pin(claim.given_up()),
            claim,
            is_used: false,
        }
    }

    /// Checks whether writing is allowed. An executor that doesn't lead may still send read requests.
    fn check(&mut self) -> io::Result<()> {
        let is_current = self.claim.is_current();
        if self.is_used && !is_current {
            return Err(claim_ended());
        }
        self.is_used = is_current;
        Ok(())
    }
}

fn claim_ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, NotLeading)
}

impl<S: AsyncRead + Unpin> AsyncRead for ClaimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Connections are read from all the time, so a read notices the claim's end even while nothing is written.
        if self.given_up.poll_unpin(context).is_ready() {
            if self.is_used {
                return Poll::Ready(Err(claim_ended()));
            }
            self.given_up = Box::pin(self.claim.given_up());
            context.waker().wake_by_ref();
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClaimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: Connection> Connection for ClaimedStream<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for ClaimedStream<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ClaimedStream")
            .field("stream", &self.stream)
            .field("claim", &self.claim)
            .finish_non_exhaustive()
    }
}
