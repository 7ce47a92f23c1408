//! The limits of a server: concurrent calls, memory, connections, and times.

use std::time::Duration;

/// Default limit of concurrent unary calls.
pub const DEFAULT_MAX_CONCURRENT_CALLS: u32 = 16;
/// Default limit of open streams.
pub const DEFAULT_MAX_STREAMS: u32 = 64;
/// Default deadline of a unary call, as written on the command line.
pub const DEFAULT_CALL_DEADLINE: &str = "30s";

/// How long a call waits for a permit or for memory before it is refused. This is long enough for a burst to
/// pass, and short enough that no caller hangs.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a refused caller should wait before it retries.
pub(super) const RETRY_DELAY: Duration = ACQUIRE_TIMEOUT;

/// How many requests of the largest size fit into the memory budget for requests.
const BUDGET_REQUESTS: u64 = 4;
/// How many times the largest size of a request fits into the memory budget for what calls read from their
/// requests.
const BUDGET_READ_REQUESTS: u64 = 2;
/// How many messages of the largest size fit into the memory budget for stream messages.
const BUDGET_STREAM_MESSAGES: u64 = 4;
/// Largest message of a stream, in bytes. Executors send far smaller messages. Those of earlier releases may
/// send a thousand objects in one message.
const MAX_STREAM_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Connections for unary calls, in addition to the connections for streams.
pub(super) const CONNECTIONS_FOR_CALLS: u32 = 64;

/// Limit of open health and reflection calls, including health watches.
pub(super) const MAX_AUXILIARY_CALLS: usize = 64;
/// Limit of open health and reflection calls of one caller.
pub(super) const MAX_AUXILIARY_CALLS_PER_CALLER: usize = 16;
/// Largest message of a health or reflection call, in bytes. It holds only the name of a service or a symbol.
pub(super) const MAX_AUXILIARY_MESSAGE_BYTES: usize = 16 * 1024;
/// How long a reflection call may stay open.
pub(super) const REFLECTION_TIMEOUT: Duration = Duration::from_mins(1);

/// Limits of a server. Requests over a limit are refused with a [`Refusal`](super::Refusal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Concurrent unary calls.
    pub max_concurrent_calls: u32,
    /// Open streams.
    pub max_streams: u32,
    /// Name of the service's streams in messages, and in the flag that limits them: `sessions` means
    /// `--max-sessions`.
    pub streams: &'static str,
    /// How long a unary call may take until its answer begins, and how long a stream may take to begin. If the
    /// caller reads the answer too slowly, the server closes the connection soon after this time.
    pub call_deadline: Duration,
    /// Largest message, in bytes. The generated server must be configured with the same limit.
    pub max_message_bytes: usize,
}

impl Limits {
    /// Memory budget in bytes for the messages of all unary calls: four of the largest. The answers to unary
    /// calls have another budget of the same size.
    pub fn max_request_bytes(&self) -> u64 {
        u64::try_from(self.max_message_bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(BUDGET_REQUESTS)
    }

    /// Memory budget in bytes for what all calls together read from their requests.
    pub(super) fn max_read_bytes(&self) -> u64 {
        u64::try_from(self.max_message_bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(BUDGET_READ_REQUESTS)
    }

    /// Largest message of a stream, in bytes.
    pub(super) fn max_stream_message_bytes(&self) -> usize {
        self.max_message_bytes.min(MAX_STREAM_MESSAGE_BYTES)
    }

    /// Memory budget in bytes for stream messages that have arrived and that no handler has taken yet, over
    /// all streams.
    pub(super) fn max_stream_bytes(&self) -> u64 {
        u64::try_from(self.max_stream_message_bytes())
            .unwrap_or(u64::MAX)
            .saturating_mul(BUDGET_STREAM_MESSAGES)
    }

    /// Open connections: one for each permitted stream, since each stream uses a connection of its own, and
    /// some for unary calls.
    pub fn max_connections(&self) -> u32 {
        self.max_streams.saturating_add(CONNECTIONS_FOR_CALLS)
    }

    /// Limits of the local port: a quarter of the permits, in addition to those of the main port.
    #[must_use]
    pub(super) fn for_local_port(self) -> Self {
        Self {
            max_concurrent_calls: self.max_concurrent_calls.div_ceil(4),
            max_streams: self.max_streams.div_ceil(4),
            ..self
        }
    }
}
