//! The body of a unary call's request. It holds one message, which tonic collects as a whole; so the memory for it is
//! asked for as soon as the message says how large it is, and the rest is read when there is room.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::Frame;
use prost::bytes::{Buf, Bytes, BytesMut};
use tonic::{Status, body::Body};

use super::room::Memory;

/// What precedes a message: whether it is compressed, and its length in four bytes.
const PREFIX_BYTES: usize = 5;

/// A body that waits for its memory.
pub(super) struct Incoming {
    body: Body,
    state: State,
}

enum State {
    /// The length isn't known yet.
    Prefix { memory: Memory, begun: BytesMut },
    /// The length is known, and memory of that size is waited for.
    Waiting {
        turn: Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>,
        begun: Bytes,
        length: usize,
    },
    /// So many bytes of the message are still to come.
    Reading { left: usize },
    /// It is too large, or broken: whoever reads it will say so.
    Passing,
}

impl Incoming {
    pub(super) fn new(body: Body, memory: Memory) -> Self {
        let begun = BytesMut::new();
        Self {
            body,
            state: State::Prefix { memory, begun },
        }
    }

    /// Passes bytes of the message on.
    fn pass(&mut self, bytes: Bytes) -> Result<Frame<Bytes>, Status> {
        if let State::Reading { left } = &mut self.state {
            *left = left.checked_sub(bytes.len()).ok_or_else(|| {
                Status::invalid_argument("this call takes one message, and there is another")
            })?;
        }
        Ok(Frame::data(bytes))
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            let this = &mut *self;
            match &mut this.state {
                State::Waiting { turn, begun, length } => {
                    ready!(turn.as_mut().poll(context))?;
                    let begun = std::mem::take(begun);
                    this.state = State::Reading {
                        left: PREFIX_BYTES.saturating_add(*length),
                    };
                    return Poll::Ready(Some(this.pass(begun)));
                }
                State::Reading { .. } | State::Passing => {
                    let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
                    return Poll::Ready(frame.map(|frame| match frame?.into_data() {
                        Ok(bytes) => this.pass(bytes),
                        Err(trailers) => Ok(trailers),
                    }));
                }
                State::Prefix { memory, begun } => {
                    let (bytes, ended) = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                        Some(frame) => match frame?.into_data() {
                            Ok(bytes) => (bytes, false),
                            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                        },
                        None if begun.is_empty() => return Poll::Ready(None),
                        None => (Bytes::new(), true),
                    };
                    // Nearly always the whole prefix comes at once, and nothing needs to be put together.
                    let joined = if begun.is_empty() {
                        bytes
                    } else {
                        begun.extend_from_slice(&bytes);
                        begun.split().freeze()
                    };
                    match length(&joined) {
                        Some(length) if length <= memory.max_message_bytes() => {
                            this.state = State::Waiting {
                                turn: Box::pin(memory.clone().take(length)),
                                begun: joined,
                                length,
                            };
                        }
                        None if !ended => begun.extend_from_slice(&joined),
                        _ => {
                            this.state = State::Passing;
                            return Poll::Ready(Some(Ok(Frame::data(joined))));
                        }
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Waiting { .. } => false,
            State::Prefix { ref begun, .. } => begun.is_empty() && self.body.is_end_stream(),
            State::Reading { .. } | State::Passing => self.body.is_end_stream(),
        }
    }
}

/// The length of a message, when its prefix is there.
fn length(message: &[u8]) -> Option<usize> {
    let prefix = message.get(..PREFIX_BYTES)?;
    let mut length = prefix.get(1..)?;
    usize::try_from(length.try_get_u32().ok()?).ok()
}
