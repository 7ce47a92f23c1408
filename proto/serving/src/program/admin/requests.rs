//! The requests of one connection of an admin port, and the limits that they share with other connections.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
};
use futures::future::BoxFuture;
use http::{Request, Response, Version};
use http_body::{Frame, SizeHint};
use http_body_util::Limited;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tower::{Service, ServiceExt};

use super::connections::{Connection, InProgress};

/// The size limit of a request's body, in bytes. Only health requests have a body, and it names a service.
const MAX_BODY_BYTES: usize = 4 * 1024;
/// The limit of concurrent health watches.
const MAX_WATCHES: usize = 8;
/// The limit of metrics pages that are produced at once.
const MAX_ENCODERS: usize = 2;
/// The limit of metrics pages that are produced or sent at once. Each page stays in memory until its caller has read
/// it.
const MAX_PAGES: usize = 8;
/// Responses are passed to HTTP in chunks of this size. A request is in progress until HTTP has taken the last chunk.
const CHUNK_BYTES: usize = 16 * 1024;

const METRICS: &str = "/metrics";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The limits that the requests of all connections share.
#[derive(Debug)]
pub(super) struct RequestLimits {
    watches: Arc<Semaphore>,
    encoders: Arc<Semaphore>,
    pages: Arc<Semaphore>,
}

impl Default for RequestLimits {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            watches: semaphore(MAX_WATCHES),
            encoders: semaphore(MAX_ENCODERS),
            pages: semaphore(MAX_PAGES),
        }
    }
}

/// Serves the requests of a connection.
#[derive(Debug, Clone)]
pub(super) struct RequestService {
    pub(super) pages: Router,
    pub(super) limits: Arc<RequestLimits>,
    pub(super) connection: Arc<Connection>,
}

impl<B> Service<Request<B>> for RequestService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let (is_watch, is_metrics) = (path == WATCH, path == METRICS);
        let is_http2 = request.version() == Version::HTTP_2;
        let in_progress = self.connection.begin_request(is_http2, is_watch);
        let (pages, limits) = (self.pages.clone(), self.limits.clone());
        let request = request.map(|body| Body::new(Limited::new(body, MAX_BODY_BYTES)));
        Box::pin(async move {
            let mut permit = None;
            let mut encoder = None;
            if is_watch {
                permit = limits.watches.clone().try_acquire_owned().ok();
                if permit.is_none() {
                    let response = too_many_watches().into_http();
                    return Ok(response.map(|body| ResponseBody::new(body, in_progress, None)));
                }
            } else if is_metrics {
                // The connection's deadline bounds the wait. The semaphores are never closed.
                permit = limits.pages.clone().acquire_owned().await.ok();
                encoder = limits.encoders.acquire().await.ok();
            }
            let response = pages.oneshot(request).await?;
            drop(encoder);
            Ok(response.map(|body| ResponseBody::new(body, in_progress, permit)))
        })
    }
}

fn too_many_watches() -> Status {
    Status::resource_exhausted(format!(
        "the limit of {MAX_WATCHES} health watches is reached; call Check instead"
    ))
}

/// The body of a response. The request is in progress until the body has been read or dropped.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    /// The unsent rest of the last frame.
    rest: Bytes,
    _in_progress: InProgress,
    _permit: Option<OwnedSemaphorePermit>,
}

impl ResponseBody {
    fn new(body: Body, in_progress: InProgress, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            _in_progress: in_progress,
            _permit: permit,
        }
    }

    fn next_chunk(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(CHUNK_BYTES);
        Frame::data(self.rest.split_to(length))
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.next_chunk())));
        }
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            other => return other,
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => {
                self.rest = data;
                self.next_chunk()
            }
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper + rest);
        }
        whole
    }
}
