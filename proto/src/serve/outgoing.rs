//! The body of an answer: it keeps the call's place until it is through, and ends when the server shuts down.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::HeaderMap;
use http_body::{Body as _, Frame};
use prost::bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::AbortOnDropHandle,
};
use tonic::{Status, body::Body};

use super::{
    Refusal, connections,
    refusal::{self, rename_too_large},
    room::{Place, Room},
};

/// What is handed on at once. HTTP/2 takes whatever it is given though the caller's window is full, and the body would
/// be through while it is still all there; of pieces it takes one more at most.
const PIECE_BYTES: usize = 64 * 1024;

/// The body of an answer.
pub(super) struct Outgoing {
    body: Body,
    /// What has come from the body and hasn't been handed on.
    rest: Bytes,
    room: Arc<Room>,
    _place: Option<Place>,
    /// With a stream.
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// With a call: who cuts the connection if the caller doesn't take its answer.
    _watchdog: Option<AbortOnDropHandle<()>>,
}

impl Outgoing {
    /// The answer to a call. A caller who hasn't taken it at the end is cut off: its connection is, because no single
    /// stream can be ended while it waits to be read.
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
        }
    }

    /// The answers of a stream, of one that is limited if there is a place. When the server shuts down what has been
    /// said already still goes out.
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
        }
    }
}

impl Outgoing {
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
            Poll::Pending
                if this
                    .shutdown
                    .as_mut()
                    .is_some_and(|shutdown| shutdown.as_mut().poll(context).is_ready()) =>
            {
                this.shutdown = None;
                this.body = Body::empty();
                let mut trailers = HeaderMap::new();
                refusal::shutting_down().add_header(&mut trailers)?;
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}
