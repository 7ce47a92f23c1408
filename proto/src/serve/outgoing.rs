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

/// The body of an answer.
pub(super) struct Outgoing {
    body: Body,
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
            room,
            _place: place,
            shutdown: Some(Box::pin(shutdown.cancelled_owned())),
            _watchdog: None,
        }
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
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut()
                    && rename_too_large(trailers, &this.room.limits)
                {
                    this.room.observer.refused(Refusal::MessageSize);
                }
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
        self.body.is_end_stream()
    }
}
