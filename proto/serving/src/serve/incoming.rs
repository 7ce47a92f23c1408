//! Request bodies that wait for memory. tonic collects each message whole before a handler sees it, and
//! decodes it at once. So the memory for both is requested here: for the encoded bytes as the message
//! arrives, and for the decoded size once all of it has arrived. Only then is the message handed on.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use everynode_proto::weight::MessageType;
use http_body::{Body as _, Frame};
use prost::bytes::{Buf, Bytes};
use tokio::time::{Sleep, sleep};
use tonic::{Status, body::Body};

use super::{Refusal, refusal, room::Memory};

/// Length of the prefix of a message: one byte that says whether it is compressed, and its length in four
/// bytes.
const PREFIX_BYTES: usize = 5;
/// Step in which memory is requested while a message arrives.
const STEP_BYTES: usize = 256 * 1024;

/// How many messages a body may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Messages {
    /// One: the message of a unary call.
    One,
    /// Any number, one after the other. The memory of a message is returned when the next one is requested.
    Many,
}

/// A request body that waits for its memory.
pub(super) struct Incoming {
    body: Body,
    memory: Memory,
    messages: Messages,
    message: Option<MessageType>,
    state: State,
    /// Bytes that have arrived and haven't been handed on.
    pieces: VecDeque<Bytes>,
    /// Number of bytes in `pieces`.
    collected: usize,
    /// When a message of a stream must have arrived completely.
    deadline: Option<Pin<Box<Sleep>>>,
}

enum State {
    /// The length of the next message isn't known yet.
    Prefix,
    /// A message is arriving. It has `whole` bytes including its prefix, and `granted` of them may be held.
    Collecting { whole: usize, granted: usize },
    /// Waits for memory to collect more of the message.
    Growing {
        turn: Turn,
        whole: usize,
        granted: usize,
    },
    /// Waits for memory to decode the message.
    Weighed { turn: Turn, whole: usize },
    /// The message has arrived, and `left` bytes of it are still to be handed on.
    Passing { left: usize },
    /// The body has ended in the middle of a message. The reader reports the error.
    Broken,
    /// The only message has been handed on.
    Done,
}

type Turn = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

impl Incoming {
    /// A body whose messages are of this type. If the type isn't known, messages count with their encoded
    /// size.
    pub(super) fn new(body: Body, memory: Memory, messages: Messages, message: Option<MessageType>) -> Self {
        Self {
            body,
            memory,
            messages,
            message,
            state: State::Prefix,
            pieces: VecDeque::new(),
            collected: 0,
            deadline: None,
        }
    }

    /// Waits for the next bytes of the body, or for its end. The state machine has no use for trailers and
    /// hands them on.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<More, Status>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            let after = self.memory.message_deadline();
            let late = refusal::message_deadline_exceeded(after);
            return Poll::Ready(Err(self.memory.refuse(Refusal::Deadline, late)));
        }
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => Ok(More::End),
            Some(frame) => match frame?.into_data() {
                Ok(bytes) => {
                    self.collected += bytes.len();
                    if !bytes.is_empty() {
                        self.pieces.push_back(bytes);
                    }
                    Ok(More::Data)
                }
                Err(trailers) => Ok(More::Trailers(trailers)),
            },
        })
    }

    /// The length of the next message including its prefix, once the prefix has arrived.
    fn whole(&self) -> Option<usize> {
        let mut prefix = self.rope();
        if prefix.remaining() < PREFIX_BYTES {
            return None;
        }
        prefix.advance(1);
        let length = usize::try_from(prefix.try_get_u32().ok()?).ok()?;
        Some(PREFIX_BYTES.saturating_add(length))
    }

    fn rope(&self) -> Rope<'_> {
        Rope {
            pieces: &self.pieces,
            next: 0,
            offset: 0,
            left: self.collected,
        }
    }

    /// The next piece, at most `most` bytes of it.
    fn piece(&mut self, most: usize) -> Option<Bytes> {
        let piece = self.pieces.front_mut()?;
        let bytes = if piece.len() > most {
            piece.split_to(most)
        } else {
            self.pieces.pop_front()?
        };
        self.collected -= bytes.len();
        Some(bytes)
    }

    /// Waits for memory for the decoded message. The overhead of the outermost message itself isn't worth
    /// counting.
    fn weighed(&self, whole: usize) -> Turn {
        let mut encoded = self.rope();
        encoded.advance(PREFIX_BYTES);
        let length = whole - PREFIX_BYTES;
        let decoded = self.message.map_or(0, |kind| kind.weigh(encoded.take(length)));
        let more = decoded.saturating_sub(length) / STEP_OF_WEIGHTS * STEP_OF_WEIGHTS;
        Box::pin(self.memory.clone().grow_to(length + more))
    }
}

/// Step in which the decoded size counts beyond the encoded size. Smaller differences aren't worth counting.
const STEP_OF_WEIGHTS: usize = 1024;

enum More {
    Data,
    Trailers(Frame<Bytes>),
    End,
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Prefix => {
                    if this.messages == Messages::Many {
                        this.memory.release();
                        if this.collected > 0 && this.deadline.is_none() {
                            this.deadline = Some(Box::pin(sleep(this.memory.message_deadline())));
                        }
                    }
                    if let Some(whole) = this.whole() {
                        let most = this.memory.max_message_bytes();
                        if whole - PREFIX_BYTES > most {
                            let refused = refusal::message_too_large(most);
                            return Poll::Ready(Some(Err(this.memory.refuse(Refusal::MessageSize, refused))));
                        }
                        this.state = State::Collecting { whole, granted: 0 };
                        continue;
                    }
                    match ready!(this.poll_more(context))? {
                        More::Data => {}
                        More::Trailers(trailers) => return Poll::Ready(Some(Ok(trailers))),
                        More::End if this.collected == 0 => return Poll::Ready(None),
                        More::End => this.state = State::Broken,
                    }
                }
                State::Collecting { whole, granted } => {
                    let (whole, granted) = (*whole, *granted);
                    let here = this.collected.min(whole);
                    if here > granted {
                        let granted = here.next_multiple_of(STEP_BYTES).min(whole);
                        // The prefix isn't kept, so it needs no memory.
                        let turn =
                            Box::pin(this.memory.clone().grow_to(granted.saturating_sub(PREFIX_BYTES)));
                        this.state = State::Growing { turn, whole, granted };
                    } else if here == whole {
                        this.deadline = None;
                        let turn = this.weighed(whole);
                        this.state = State::Weighed { turn, whole };
                    } else {
                        match ready!(this.poll_more(context))? {
                            More::Data => {}
                            More::Trailers(trailers) => return Poll::Ready(Some(Ok(trailers))),
                            More::End => this.state = State::Broken,
                        }
                    }
                }
                State::Growing { turn, whole, granted } => {
                    ready!(turn.as_mut().poll(context))?;
                    this.state = State::Collecting {
                        whole: *whole,
                        granted: *granted,
                    };
                }
                State::Weighed { turn, whole } => {
                    ready!(turn.as_mut().poll(context))?;
                    this.state = State::Passing { left: *whole };
                }
                State::Passing { left: 0 } => {
                    this.state = match this.messages {
                        Messages::One => State::Done,
                        Messages::Many => State::Prefix,
                    };
                }
                State::Passing { left } => {
                    let most = *left;
                    let Some(bytes) = this.piece(most) else {
                        this.state = State::Broken;
                        continue;
                    };
                    this.state = State::Passing {
                        left: most - bytes.len(),
                    };
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                State::Broken => {
                    let bytes = this.piece(usize::MAX);
                    return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
                }
                State::Done => {
                    if this.collected > 0 {
                        let another = "this call takes one message, and there is another";
                        return Poll::Ready(Some(Err(Status::invalid_argument(another))));
                    }
                    match ready!(this.poll_more(context))? {
                        More::Data => {}
                        More::Trailers(trailers) => return Poll::Ready(Some(Ok(trailers))),
                        More::End => return Poll::Ready(None),
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.collected == 0
            && matches!(self.state, State::Prefix | State::Broken | State::Done)
            && self.body.is_end_stream()
    }
}

/// Reads bytes that lie in several pieces as if they were one.
struct Rope<'a> {
    pieces: &'a VecDeque<Bytes>,
    next: usize,
    offset: usize,
    left: usize,
}

impl Buf for Rope<'_> {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        let piece = self.pieces.get(self.next);
        piece
            .and_then(|piece| piece.get(self.offset..))
            .unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        self.offset += count;
        while let Some(piece) = self
            .pieces
            .get(self.next)
            .filter(|piece| piece.len() <= self.offset)
        {
            self.offset -= piece.len();
            self.next += 1;
        }
    }
}
