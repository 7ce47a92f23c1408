//! Answer bodies. A body keeps the call's permit until it has been sent, and ends when the server shuts down.

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
    refusal::{self, rename_too_large},
    room::{Place, Room},
    shares::Share,
};

/// Largest piece handed to HTTP/2 at once. HTTP/2 accepts any amount of data even while the caller's window
/// is full. If it accepted a whole answer, the body would end while all of the answer is still in memory. Of
/// pieces, it accepts at most one more than the window allows.
const PIECE_BYTES: usize = 64 * 1024;

/// The body of an answer.
pub(super) struct Outgoing {
    body: Body,
    /// Bytes that the body has produced and that haven't been handed on.
    rest: Bytes,
    room: Arc<Room>,
    _place: Option<Place>,
    /// For streams, health and reflection: the server's shutdown.
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// For unary calls: cuts the connection if the caller doesn't take its answer.
    _watchdog: Option<AbortOnDropHandle<()>>,
    /// For health and reflection: their permit.
    _share: Option<Share>,
    /// When the answer ends at the latest, and after how long that is, for the error.
    end: Option<(Pin<Box<Sleep>>, Duration)>,
}

impl Outgoing {
    /// The answer to a call. If the caller hasn't taken it by `end`, the server cuts the connection, because
    /// a single stream can't be ended while it waits to be read.
    pub(super) fn of_call(
        body: Body,
        room: Arc<Room>,
        place: Place,
        connection: Option<connections::Handle>,
        end: Instant,
    ) -> Self {
        let watchdog = connection.filter(|_| !body.is_end_stream()).map(|connection| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                sleep_until(end).await;
                connection.cut();
            }))
        });
        Self {
            body,
            rest: Bytes::new(),
            room,
            _place: Some(place),
            shutdown: None,
            _watchdog: watchdog,
            _share: None,
            end: None,
        }
    }

    /// The answers of a stream. On shutdown, answers that the service has already given are still sent.
    pub(super) fn of_stream(
        body: Body,
        room: Arc<Room>,
        place: Option<Place>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            room,
            _place: place,
            shutdown: Some(Box::pin(shutdown.cancelled_owned())),
            _watchdog: None,
            _share: None,
            end: None,
        }
    }

    /// The answers of health or reflection, for at most `longest`.
    pub(super) fn minor(
        body: Body,
        room: Arc<Room>,
        share: Share,
        shutdown: CancellationToken,
        longest: Option<Duration>,
    ) -> Self {
        Self {
            _share: Some(share),
            end: longest.map(|longest| (Box::pin(sleep(longest)), longest)),
            ..Self::of_stream(body, room, None, shutdown)
        }
    }
}

impl Outgoing {
    /// The status that must end the answer now, even if the body has more to send.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Option<Status> {
        let shutdown = self.shutdown.as_mut();
        if shutdown.is_some_and(|shutdown| shutdown.as_mut().poll(context).is_ready()) {
            return Some(refusal::shutting_down());
        }
        let (end, longest) = self.end.as_mut()?;
        let is_over = end.as_mut().poll(context).is_ready();
        is_over.then(|| refusal::reflection_deadline_exceeded(*longest))
    }

    fn piece(&mut self) -> Frame<Bytes> {
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE_BYTES)))
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(this.piece())));
        }
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = match frame.into_data() {
                    Ok(bytes) => {
                        this.rest = bytes;
                        this.piece()
                    }
                    Err(mut frame) => {
                        if let Some(trailers) = frame.trailers_mut()
                            && rename_too_large(trailers, &this.room.limits)
                        {
                            this.room.observer.refused(Refusal::MessageSize);
                        }
                        frame
                    }
                };
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => match this.poll_end(context) {
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
        self.rest.is_empty() && self.body.is_end_stream()
    }
}
