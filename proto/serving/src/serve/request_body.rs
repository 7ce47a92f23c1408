//! Request bodies that wait for memory. tonic buffers each message completely and then decodes it, before a handler
//! sees it. This module acquires memory for both steps: for the encoded bytes as they arrive, and for the decoded
//! message once all bytes have arrived. Then it forwards the message to tonic.

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

use super::{Refusal, limiter::MessageMemory, refusal};

/// Length of the prefix of a message: one byte for the compression flag, and four bytes for the length.
const PREFIX_BYTES: usize = 5;
/// While a message arrives, memory is acquired in steps of this size.
const RECEIVE_STEP_BYTES: usize = 256 * 1024;
/// The amount by which the decoded size exceeds the encoded size is rounded down to a multiple of this. Smaller amounts
/// aren't worth counting.
const DECODE_STEP_BYTES: usize = 1024;

/// How many messages a body may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageCount {
    /// One: the message of a unary call.
    One,
    /// Any number, one after the other. When tonic requests the next message, the body releases the memory of the
    /// previous one.
    Many,
}

/// A request body that waits for memory before it forwards messages.
pub(super) struct RequestBody {
    body: Body,
    memory: MessageMemory,
    message_count: MessageCount,
    message_type: Option<MessageType>,
    state: State,
    /// Bytes that have arrived and haven't been forwarded.
    chunks: VecDeque<Bytes>,
    /// Number of bytes in `chunks`.
    buffered: usize,
    /// When a message of a stream must have arrived completely.
    deadline: Option<Pin<Box<Sleep>>>,
}

enum State {
    /// The length of the next message isn't known yet.
    ReadingPrefix,
    /// A message is arriving. It has `length` bytes including its prefix, and `granted` of them may be held.
    Receiving { length: usize, granted: usize },
    /// Waits for memory to receive more of the message.
    AwaitingReceiveMemory {
        acquire: AcquireMemory,
        length: usize,
        granted: usize,
    },
    /// Waits for memory to decode the message.
    AwaitingDecodeMemory { acquire: AcquireMemory, length: usize },
    /// The message has arrived. `remaining` bytes of it are still to be forwarded.
    Forwarding { remaining: usize },
    /// The body has ended in the middle of a message. tonic reports the error.
    Truncated,
    /// The only message has been forwarded.
    Done,
}

type AcquireMemory = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

impl RequestBody {
    /// Creates a body. If `message_type` is `None`, only the encoded size of a message counts.
    pub(super) fn new(
        body: Body,
        memory: MessageMemory,
        message_count: MessageCount,
        message_type: Option<MessageType>,
    ) -> Self {
        Self {
            body,
            memory,
            message_count,
            message_type,
            state: State::ReadingPrefix,
            chunks: VecDeque::new(),
            buffered: 0,
            deadline: None,
        }
    }

    /// Waits for the next bytes of the body, or for its end. The caller forwards trailers.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Result<Input, Status>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            let status = refusal::message_deadline_exceeded(self.memory.message_timeout());
            return Poll::Ready(Err(self.memory.refuse(Refusal::Deadline, status)));
        }
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => Ok(Input::End),
            Some(frame) => match frame?.into_data() {
                Ok(bytes) => {
                    self.buffered += bytes.len();
                    if !bytes.is_empty() {
                        self.chunks.push_back(bytes);
                    }
                    Ok(Input::Data)
                }
                Err(trailers) => Ok(Input::Trailers(trailers)),
            },
        })
    }

    /// The length of the next message including its prefix, once the prefix has arrived.
    fn message_length(&self) -> Option<usize> {
        let mut prefix = self.buffered_bytes();
        if prefix.remaining() < PREFIX_BYTES {
            return None;
        }
        prefix.advance(1);
        let length = usize::try_from(prefix.try_get_u32().ok()?).ok()?;
        Some(PREFIX_BYTES.saturating_add(length))
    }

    fn buffered_bytes(&self) -> ChunkReader<'_> {
        ChunkReader {
            chunks: &self.chunks,
            next: 0,
            offset: 0,
            remaining: self.buffered,
        }
    }

    /// Takes the next buffered chunk, or its first `max` bytes.
    fn take_chunk(&mut self, max: usize) -> Option<Bytes> {
        let chunk = self.chunks.front_mut()?;
        let bytes = if chunk.len() > max {
            chunk.split_to(max)
        } else {
            self.chunks.pop_front()?
        };
        self.buffered -= bytes.len();
        Some(bytes)
    }

    /// Returns a future that acquires memory for the decoded message. Less than `DECODE_STEP_BYTES` beyond the encoded
    /// size, such as the overhead of the outermost message, doesn't count.
    fn acquire_decode_memory(&self, length: usize) -> AcquireMemory {
        let mut encoded = self.buffered_bytes();
        encoded.advance(PREFIX_BYTES);
        let length = length - PREFIX_BYTES;
        let decoded = self
            .message_type
            .map_or(0, |message_type| message_type.weigh(encoded.take(length)));
        let excess = decoded.saturating_sub(length) / DECODE_STEP_BYTES * DECODE_STEP_BYTES;
        Box::pin(self.memory.clone().grow_to(length + excess))
    }
}

enum Input {
    Data,
    Trailers(Frame<Bytes>),
    End,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::ReadingPrefix => {
                    if this.message_count == MessageCount::Many {
                        this.memory.release();
                        if this.buffered > 0 && this.deadline.is_none() {
                            this.deadline = Some(Box::pin(sleep(this.memory.message_timeout())));
                        }
                    }
                    if let Some(length) = this.message_length() {
                        let max = this.memory.max_message_bytes();
                        if length - PREFIX_BYTES > max {
                            let status = refusal::message_too_large(max);
                            return Poll::Ready(Some(Err(this.memory.refuse(Refusal::MessageSize, status))));
                        }
                        this.state = State::Receiving { length, granted: 0 };
                        continue;
                    }
                    match ready!(this.poll_input(context))? {
                        Input::Data => {}
                        Input::Trailers(trailers) => return Poll::Ready(Some(Ok(trailers))),
                        Input::End if this.buffered == 0 => return Poll::Ready(None),
                        Input::End => this.state = State::Truncated,
                    }
                }
                State::Receiving { length, granted } => {
                    let (length, granted) = (*length, *granted);
                    let arrived = this.buffered.min(length);
                    if arrived > granted {
                        let granted = arrived.next_multiple_of(RECEIVE_STEP_BYTES).min(length);
                        // tonic doesn't keep the prefix, so it needs no memory.
                        let acquire =
                            Box::pin(this.memory.clone().grow_to(granted.saturating_sub(PREFIX_BYTES)));
                        this.state = State::AwaitingReceiveMemory {
                            acquire,
                            length,
                            granted,
                        };
                    } else if arrived == length {
                        this.deadline = None;
                        let acquire = this.acquire_decode_memory(length);
                        this.state = State::AwaitingDecodeMemory { acquire, length };
                    } else {
                        match ready!(this.poll_input(context))? {
                            Input::Data => {}
                            Input::Trailers(trailers) => return Poll::Ready(Some(Ok(trailers))),
                            Input::End => this.state = State::Truncated,
                        }
                    }
                }
                State::AwaitingReceiveMemory {
                    acquire,
                    length,
                    granted,
                } => {
                    ready!(acquire.as_mut().poll(context))?;
                    this.state = State::Receiving {
                        length: *length,
                        granted: *granted,
                    };
                }
                State::AwaitingDecodeMemory { acquire, length } => {
                    ready!(acquire.as_mut().poll(context))?;
                    this.state = State::Forwarding { remaining: *length };
                }
                State::Forwarding { remaining: 0 } => {
                    this.state = match this.message_count {
                        MessageCount::One => State::Done,
                        MessageCount::Many => State::ReadingPrefix,
                    };
                }
                State::Forwarding { remaining } => {
                    let remaining = *remaining;
                    let Some(bytes) = this.take_chunk(remaining) else {
                        this.state = State::Truncated;
                        continue;
                    };
                    this.state = State::Forwarding {
                        remaining: remaining - bytes.len(),
                    };
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                State::Truncated => {
                    let bytes = this.take_chunk(usize::MAX);
                    return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
                }
                State::Done => {
                    if this.buffered > 0 {
                        let message = "the call takes one message, and the body holds another";
                        return Poll::Ready(Some(Err(Status::invalid_argument(message))));
                    }
                    match ready!(this.poll_input(context))? {
                        Input::Data => {}
                        Input::Trailers(trailers) => return Poll::Ready(Some(Ok(trailers))),
                        Input::End => return Poll::Ready(None),
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.buffered == 0
            && matches!(self.state, State::ReadingPrefix | State::Truncated | State::Done)
            && self.body.is_end_stream()
    }
}

/// Reads the bytes of several chunks as if they were one.
struct ChunkReader<'a> {
    chunks: &'a VecDeque<Bytes>,
    next: usize,
    offset: usize,
    remaining: usize,
}

impl Buf for ChunkReader<'_> {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        let chunk = self.chunks.get(self.next);
        chunk
            .and_then(|chunk| chunk.get(self.offset..))
            .unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        self.offset += count;
        while let Some(chunk) = self
            .chunks
            .get(self.next)
            .filter(|chunk| chunk.len() <= self.offset)
        {
            self.offset -= chunk.len();
            self.next += 1;
        }
    }
}
