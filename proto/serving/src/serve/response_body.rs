//! Response bodies. A body holds the call's permit until it has been sent. A stream ends when the server shuts
//! down.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderMap;
use http_body::{Body as _, Frame};
use prost::bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::AbortOnDropHandle,
};
use tonic::{Status, body::Body};

use super::{
    Refusal, connections,
    fair_semaphore::FairPermit,
    limiter::{Limiter, Slot},
    refusal::{self, correct_too_large},
};

/// Largest chunk passed to HTTP/2 at once. HTTP/2 accepts any amount of data even while the caller's window is
/// full. If it accepted a whole answer, the body would end while all of the answer is still in memory. With
/// small chunks, it accepts at most one chunk more than the window allows.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many frames are still sent once a stream must end, if the service has them ready. Without this limit, a service
/// that always has a message ready would keep the stream open.
const MAX_FRAMES_AFTER_END: u32 = 64;

pub(super) struct ResponseBody {
    body: Body,
    /// Bytes that the body has produced and that haven't been sent.
    buffered: Bytes,
    limiter: Arc<Limiter>,
    _slot: Option<Slot>,
    /// For streams, health and reflection: the server's shutdown.
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// For unary calls: closes the connection if the caller doesn't read its answer.
    _watchdog: Option<AbortOnDropHandle<()>>,
    /// For health and reflection: their permit.
    _auxiliary_permit: Option<FairPermit>,
    /// For reflection: the timer that ends the stream, and the timeout that the error reports.
    end: Option<(Pin<Box<Sleep>>, Duration)>,
    /// How many more frames may be sent once the stream must end.
    frames_after_end: u32,
}

impl ResponseBody {
    /// The answer to a unary call. If the caller hasn't read it by `close_at`, the server closes the connection,
    /// because a single HTTP/2 stream can't be ended while its data waits to be read.
    pub(super) fn unary(
        body: Body,
        limiter: Arc<Limiter>,
        slot: Slot,
        connection: Option<connections::Handle>,
        close_at: Instant,
    ) -> Self {
        let watchdog = connection.filter(|_| !body.is_end_stream()).map(|connection| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                sleep_until(close_at).await;
                connection.close();
            }))
        });
        Self {
            body,
            buffered: Bytes::new(),
            limiter,
            _slot: Some(slot),
            shutdown: None,
            _watchdog: watchdog,
            _auxiliary_permit: None,
            end: None,
            frames_after_end: MAX_FRAMES_AFTER_END,
        }
    }

    /// The answers of a stream. On shutdown, answers that the service has already produced are still sent.
    pub(super) fn stream(
        body: Body,
        limiter: Arc<Limiter>,
        slot: Option<Slot>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            body,
            buffered: Bytes::new(),
            limiter,
            _slot: slot,
            shutdown: Some(Box::pin(shutdown.cancelled_owned())),
            _watchdog: None,
            _auxiliary_permit: None,
            end: None,
            frames_after_end: MAX_FRAMES_AFTER_END,
        }
    }

    /// The answers of health or reflection. The stream ends after `timeout`, if there is one.
    pub(super) fn auxiliary(
        body: Body,
        limiter: Arc<Limiter>,
        permit: FairPermit,
        shutdown: CancellationToken,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            _auxiliary_permit: Some(permit),
            end: timeout.map(|timeout| (Box::pin(sleep(timeout)), timeout)),
            ..Self::stream(body, limiter, None, shutdown)
        }
    }

    /// The status that ends the stream once the service has no message ready, even if it would send more later.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Option<Status> {
        let shutdown = self.shutdown.as_mut();
        if shutdown.is_some_and(|shutdown| shutdown.as_mut().poll(context).is_ready()) {
            return Some(refusal::shutting_down());
        }
        let (end, timeout) = self.end.as_mut()?;
        let is_over = end.as_mut().poll(context).is_ready();
        is_over.then(|| refusal::reflection_deadline_exceeded(*timeout))
    }

    fn next_chunk(&mut self) -> Frame<Bytes> {
        Frame::data(self.buffered.split_to(self.buffered.len().min(CHUNK_BYTES)))
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if !this.buffered.is_empty() {
            return Poll::Ready(Some(Ok(this.next_chunk())));
        }
        let end = this.poll_end(context);
        let frame = if end.is_some() && this.frames_after_end == 0 {
            Poll::Pending
        } else {
            this.frames_after_end -= u32::from(end.is_some());
            Pin::new(&mut this.body).poll_frame(context)
        };
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = match frame.into_data() {
                    Ok(bytes) => {
                        this.buffered = bytes;
                        this.next_chunk()
                    }
                    Err(mut frame) => {
                        if let Some(trailers) = frame.trailers_mut()
                            && correct_too_large(trailers, &this.limiter.limits)
                        {
                            this.limiter.observer.on_refused(Refusal::MessageSize);
                        }
                        frame
                    }
                };
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => match end {
                Some(status) => {
                    this.shutdown = None;
                    this.end = None;
                    this.body = Body::empty();
                    let mut trailers = HeaderMap::new();
                    status.add_header(&mut trailers)?;
                    Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                }
                None => Poll::Pending,
            },
            other @ Poll::Ready(_) => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.buffered.is_empty() && self.body.is_end_stream()
    }
}
