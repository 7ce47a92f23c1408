//! How much a server takes at the same time, and for how long.

use std::time::Duration;

/// Unary calls that are worked on at the same time, unless something else is asked for.
pub const DEFAULT_MAX_CONCURRENT_CALLS: u32 = 16;
/// Streams that are open at the same time, unless something else is asked for.
pub const DEFAULT_MAX_STREAMS: u32 = 64;
/// How long a unary call may take, unless something else is asked for, as it is written on the command line.
pub const DEFAULT_CALL_DEADLINE: &str = "30s";

/// How long a call waits for its turn before it is refused, and when a refused one should be tried again: long enough
/// for a burst to pass, short enough that nobody hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A day: what is longer was a slip.
const LONGEST_DEADLINE: Duration = Duration::from_hours(24);
/// How many of the largest requests are held at the same time.
const LARGEST_REQUESTS: u64 = 4;
/// How many of the largest messages of streams are held at the same time, with what they take when they are decoded.
const LARGEST_STREAM_MESSAGES: u64 = 4;
/// The largest message of a stream. Executors send far smaller ones; those of the last release sent up to a thousand objects at once.
const MAX_STREAM_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Connections beside those that streams come on.
const CONNECTIONS_FOR_CALLS: u32 = 64;

/// Calls of health and reflection that are open at the same time, watches among them.
pub(super) const MAX_MINOR_CALLS: usize = 64;
/// How many of them one caller may have.
pub(super) const MAX_MINOR_CALLS_OF_ONE: usize = 16;
/// The largest message of such a call: the name of a service or a symbol.
pub(super) const MAX_MINOR_MESSAGE_BYTES: usize = 16 * 1024;
/// How long a call of reflection may stay open.
pub(super) const REFLECTION_DEADLINE: Duration = Duration::from_mins(1);

/// How much a server takes. What is more is refused with a [`Refusal`](super::Refusal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Unary calls that are worked on at the same time.
    pub max_concurrent_calls: u32,
    /// Streams that are open at the same time.
    pub max_streams: u32,
    /// What the service's streams are called in sentences, and in the flag that limits them: `sessions` is `--max-sessions`.
    pub streams: &'static str,
    /// How long a unary call may take, from its first byte to the last one of its answer, and a stream to begin.
    pub call_deadline: Duration,
    /// Bytes of one message. The generated server has to be told the same.
    pub max_message_bytes: usize,
}

impl Limits {
    /// Bytes of all unary requests together that are held at the same time: four of the largest. The answers to them
    /// that are on their way have as much again.
    pub fn max_request_bytes(&self) -> u64 {
        u64::try_from(self.max_message_bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(LARGEST_REQUESTS)
    }

    /// Bytes of memory that what is read of requests takes at the same time.
    pub fn max_work_bytes(&self) -> u64 {
        u64::try_from(self.max_message_bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(2)
    }

    /// Bytes of one message of a stream.
    pub fn max_stream_message_bytes(&self) -> usize {
        self.max_message_bytes.min(MAX_STREAM_MESSAGE_BYTES)
    }

    /// Bytes of memory that the messages of all streams together take before they are taken.
    pub fn max_stream_bytes(&self) -> u64 {
        u64::try_from(self.max_stream_message_bytes())
            .unwrap_or(u64::MAX)
            .saturating_mul(LARGEST_STREAM_MESSAGES)
    }

    /// Connections that are open at the same time: as many as there may be streams, which come on connections of their
    /// own, and some for calls.
    pub fn max_connections(&self) -> u32 {
        self.max_streams.saturating_add(CONNECTIONS_FOR_CALLS)
    }

    /// Connections that are open at the same time for calls, where those for streams are known apart.
    pub fn max_call_connections(&self) -> u32 {
        CONNECTIONS_FOR_CALLS
    }

    /// The limits of a port for this machine alone: a quarter of the places, which nobody else can take.
    #[must_use]
    pub(super) fn of_local_port(self) -> Self {
        Self {
            max_concurrent_calls: self.max_concurrent_calls.div_ceil(4),
            max_streams: self.max_streams.div_ceil(4),
            ..self
        }
    }
}

/// Reads a deadline as it is written on the command line: `30s`, `1m 30s`, or a number of seconds.
///
/// # Errors
/// A sentence for people: it is no time, or it isn't more than nothing and at most a day.
pub fn call_deadline(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<f64>()
        .ok()
        .map(jiff::SignedDuration::try_from_secs_f64);
    let time = match seconds {
        Some(Ok(seconds)) => seconds,
        Some(Err(_)) => jiff::SignedDuration::MAX,
        None => text
            .parse()
            .map_err(|_| "must be a time, such as 30s or 1m 30s, or a number of seconds".to_owned())?,
    };
    Duration::try_from(time)
        .ok()
        .filter(|time| !time.is_zero() && *time <= LONGEST_DEADLINE)
        .ok_or_else(|| "must be more than 0 s and at most 24 h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_with_or_without_units() {
        for (text, millis) in [
            ("30", 30_000),
            ("0.5", 500),
            ("30s", 30_000),
            ("250ms", 250),
            ("1m 30s", 90_000),
            ("1m30s", 90_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(call_deadline(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert!(call_deadline(DEFAULT_CALL_DEADLINE).is_ok());
    }

    #[test]
    fn a_deadline_that_makes_no_sense_is_refused() {
        for text in ["0", "0s", "-1", "-5s", "25h", "1e300", "inf", "NaN", "1e-12"] {
            let error = call_deadline(text).unwrap_err();
            assert!(error.contains("at most 24 h"), "{text}: {error}");
        }
        for text in ["", "soon", "30x", "s"] {
            let error = call_deadline(text).unwrap_err();
            assert!(error.contains("such as 30s"), "{text}: {error}");
        }
    }
}
