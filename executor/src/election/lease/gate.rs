//! The gate in front of the connection: without a current claim, it refuses every request that writes. The gate is the
//! last layer that a request passes on its way to the connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Method, Request};
use http_body::{Frame, SizeHint};
use kube::client::Body;
use prost::bytes::Bytes;
use tower::{BoxError, Layer, Service};

use super::Claim;

/// This executor's claim to lead has ended.
#[derive(Debug, thiserror::Error)]
#[error("not sent: this executor no longer leads")]
pub(crate) struct NotLeading;

/// The layer that puts the gate in front of a connection.
#[derive(Debug, Clone)]
pub(crate) struct GateLayer(Claim);

impl GateLayer {
    /// Lets requests that write pass only while the claim is current.
    pub(crate) fn new(claim: Claim) -> Self {
        Self(claim)
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            claim: self.0.clone(),
        }
    }
}

/// A connection behind the gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate<S> {
    inner: S,
    claim: Claim,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<ClaimedBody>, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let claim = match *request.method() {
            Method::GET | Method::HEAD => Claim::forever(),
            _ => self.claim.clone(),
        };
        if !claim.is_current() {
            return Box::pin(async { Err(NotLeading.into()) });
        }
        let answer = self.inner.call(request.map(|body| ClaimedBody { body, claim }));
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

/// The body of a request, and the claim under which it is sent. A request may wait for its turn on the connection, and
/// the process may be frozen meanwhile. So the claim is checked again when the body is read. Without the body, the
/// server carries out nothing.
#[derive(Debug)]
pub(crate) struct ClaimedBody {
    body: Body,
    claim: Claim,
}

impl http_body::Body for ClaimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.claim.is_current() {
            return Poll::Ready(Some(Err(NotLeading.into())));
        }
        let frame = ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), context));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}
