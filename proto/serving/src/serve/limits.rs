//! How many requests and how much memory a server accepts at the same time, and for how long.

use std::time::Duration;

/// Default limit of unary calls in progress at the same time.
pub const DEFAULT_MAX_CONCURRENT_CALLS: u32 = 16;
/// Default limit of streams that are open at the same time.
pub const DEFAULT_MAX_STREAMS: u32 = 64;
/// Default deadline of a unary call, as written on the command line.
pub const DEFAULT_CALL_DEADLINE: &str = "30s";

/// How long a call waits for a permit before it is refused, and how long a refused caller should wait before
/// it retries. Long enough for a burst to pass, short enough that no caller hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How many requests of the largest size the server holds at the same time.
const LARGEST_REQUESTS: u64 = 4;
/// How many stream messages of the largest size the server holds at the same time, counted with their decoded
/// size.
const LARGEST_STREAM_MESSAGES: u64 = 4;
/// Largest message of a stream, in bytes. Executors send far smaller messages; those of the last release sent
/// up to a thousand objects in one.
const MAX_STREAM_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Connections on top of those that carry streams.
const CONNECTIONS_FOR_CALLS: u32 = 64;

/// Limit of health and reflection calls that are open at the same time, including watches.
pub(super) const MAX_MINOR_CALLS: usize = 64;
/// Limit of such calls for one caller.
pub(super) const MAX_MINOR_CALLS_OF_ONE: usize = 16;
/// Largest message of such a call, in bytes. It holds only the name of a service or a symbol.
pub(super) const MAX_MINOR_MESSAGE_BYTES: usize = 16 * 1024;
/// How long a call of reflection may stay open.
pub(super) const REFLECTION_DEADLINE: Duration = Duration::from_mins(1);

/// Limits of a server. Requests over a limit are refused with a [`Refusal`](super::Refusal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Unary calls in progress at the same time.
    pub max_concurrent_calls: u32,
    /// Streams that are open at the same time.
    pub max_streams: u32,
    /// Name of the service's streams in messages, and in the flag that limits them: `sessions` means
    /// `--max-sessions`.
    pub streams: &'static str,
    /// How long a unary call may take, from its first byte to the last byte of its answer, and how long a
    /// stream may take to begin.
    pub call_deadline: Duration,
    /// Largest message, in bytes. The generated server must be configured with the same limit.
    pub max_message_bytes: usize,
}

impl Limits {
    /// Memory budget in bytes for the unary requests that are held at the same time: four of the largest. The
    /// answers on their way to callers have a budget of the same size.
    pub fn max_request_bytes(&self) -> u64 {
        u64::try_from(self.max_message_bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(LARGEST_REQUESTS)
    }

    /// Memory budget in bytes for what all calls together read from their requests.
    pub fn max_work_bytes(&self) -> u64 {
        u64::try_from(self.max_message_bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(2)
    }

    /// Largest message of a stream, in bytes.
    pub fn max_stream_message_bytes(&self) -> usize {
        self.max_message_bytes.min(MAX_STREAM_MESSAGE_BYTES)
    }

    /// Memory budget in bytes for stream messages that have arrived and that no handler has taken yet, over
    /// all streams.
    pub fn max_stream_bytes(&self) -> u64 {
        u64::try_from(self.max_stream_message_bytes())
            .unwrap_or(u64::MAX)
            .saturating_mul(LARGEST_STREAM_MESSAGES)
    }

    /// Connections that are open at the same time: one for each permitted stream, since streams come on
    /// connections of their own, and some for calls.
    pub fn max_connections(&self) -> u32 {
        self.max_streams.saturating_add(CONNECTIONS_FOR_CALLS)
    }

    /// Connections that are open at the same time for calls, where connections for streams have slots of
    /// their own.
    pub fn max_call_connections(&self) -> u32 {
        CONNECTIONS_FOR_CALLS
    }

    /// Limits of the local port: a quarter of the permits, which callers of the main port can't take.
    #[must_use]
    pub(super) fn of_local_port(self) -> Self {
        Self {
            max_concurrent_calls: self.max_concurrent_calls.div_ceil(4),
            max_streams: self.max_streams.div_ceil(4),
            ..self
        }
    }
}
