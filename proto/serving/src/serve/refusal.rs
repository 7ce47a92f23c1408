//! Statuses of refused calls: the gRPC code, a message for people, and typed details for programs
//! (`google.rpc`).

use std::time::Duration;

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::limits::{Limits, RETRY_DELAY};

/// Why a server refused or abandoned a call, or closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The limit of concurrent unary calls is reached.
    Calls,
    /// The limit of open streams is reached.
    Streams,
    /// The limit of open connections is reached.
    Connections,
    /// A memory budget is exhausted, such as the one for requests in progress.
    Memory,
    /// A message is larger than the limit.
    MessageSize,
    /// The deadline has passed.
    Deadline,
    /// A TLS handshake has failed.
    Handshake,
    /// The client has no certificate, or no name in its certificate is allowed to make the request.
    Forbidden,
    /// The caller can't be authenticated.
    Unauthenticated,
    /// The limit of concurrent authentications is reached.
    Authentications,
    /// The limit of open health and reflection calls is reached.
    AuxiliaryCalls,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Calls,
        Self::Streams,
        Self::Connections,
        Self::Memory,
        Self::MessageSize,
        Self::Deadline,
        Self::Handshake,
        Self::Forbidden,
        Self::Unauthenticated,
        Self::Authentications,
        Self::AuxiliaryCalls,
    ];

    /// The label value of the reason in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Streams => "streams",
            Self::Connections => "connections",
            Self::Memory => "memory",
            Self::MessageSize => "message_size",
            Self::Deadline => "deadline",
            Self::Handshake => "handshake",
            Self::Forbidden => "forbidden",
            Self::Unauthenticated => "unauthenticated",
            Self::Authentications => "authentications",
            Self::AuxiliaryCalls => "health_and_reflection",
        }
    }
}

/// `RESOURCE_EXHAUSTED` for an answer that would exceed the message limit.
pub fn answer_too_large(max_message_bytes: usize) -> Status {
    Status::resource_exhausted(format!(
        "the answer would be larger than {max_message_bytes} bytes; ask for less at once"
    ))
}

/// `RESOURCE_EXHAUSTED` for a message that exceeds the limit.
pub(super) fn message_too_large(max_message_bytes: usize) -> Status {
    Status::resource_exhausted(format!(
        "the message is larger than {max_message_bytes} bytes; split the request"
    ))
}

/// `RESOURCE_EXHAUSTED` for a message that would take too much memory once decoded, although its encoding is
/// small.
pub(super) fn decoded_message_too_large(bytes: usize, max_bytes: usize) -> Status {
    Status::resource_exhausted(format!(
        "the decoded message would take {bytes} bytes of memory, and the limit is {max_bytes} bytes; split the request"
    ))
}

/// `UNAVAILABLE`: the status that ends a stream when the server shuts down.
pub fn shutting_down() -> Status {
    Status::unavailable("the server is shutting down; connect again")
}

pub(super) fn too_many_calls(limits: &Limits) -> Status {
    exhausted(&format!(
        "the limit of {} concurrent calls (--max-concurrent-calls) is reached",
        limits.max_concurrent_calls
    ))
}

pub(super) fn too_many_streams(limits: &Limits) -> Status {
    exhausted(&format!(
        "the limit of {} open {streams} (--max-{streams}) is reached",
        limits.max_streams,
        streams = limits.streams
    ))
}

/// `RESOURCE_EXHAUSTED` for a health or reflection call over the limit.
pub(super) fn too_many_auxiliary_calls() -> Status {
    exhausted("the limit of open health and reflection calls is reached")
}

/// `RESOURCE_EXHAUSTED` when `max` authentications of these `callers` are in progress.
pub(super) fn too_many_authentications(max: usize, callers: &str) -> Status {
    exhausted(&format!(
        "the limit of {max} concurrent authentications of {callers} is reached"
    ))
}

/// `RESOURCE_EXHAUSTED` with `RetryInfo`, for a limit that a later retry may not exceed.
pub fn exhausted(reason: &str) -> Status {
    retryable(Code::ResourceExhausted, reason)
}

/// `RESOURCE_EXHAUSTED` when the calls in progress hold too much of the memory budget for this `content`.
pub(super) fn memory_exhausted(content: &str, max_bytes: u64) -> Status {
    exhausted(&format!(
        "the memory limit of {max_bytes} bytes for the {content} of all calls is reached"
    ))
}

/// `DEADLINE_EXCEEDED` for a stream message that didn't arrive completely in time.
pub(super) fn message_deadline_exceeded(timeout: Duration) -> Status {
    Status::deadline_exceeded(format!(
        "a message of the stream did not arrive completely within {} s",
        timeout.as_secs_f64()
    ))
}

/// `DEADLINE_EXCEEDED` for a reflection call that stays open too long.
pub(super) fn reflection_deadline_exceeded(timeout: Duration) -> Status {
    Status::deadline_exceeded(format!(
        "a reflection call may stay open for {} s; open another one",
        timeout.as_secs_f64()
    ))
}

/// `DEADLINE_EXCEEDED` for a call. The message says whether the caller or the server set the deadline.
pub(super) fn deadline_exceeded(timeout: Duration, is_set_by_caller: bool) -> Status {
    let deadline = if is_set_by_caller {
        "the caller's deadline (grpc-timeout)"
    } else {
        "the server's deadline for calls (--call-deadline)"
    };
    retryable(
        Code::DeadlineExceeded,
        &format!(
            "the call took longer than {} s, {deadline}",
            timeout.as_secs_f64()
        ),
    )
}

fn retryable(code: Code, reason: &str) -> Status {
    let message = format!("{reason}; try again in {} s", RETRY_DELAY.as_secs_f64());
    Status::with_error_details(code, message, ErrorDetails::with_retry_info(Some(RETRY_DELAY)))
}

/// Corrects tonic's status for a message over the limit. tonic reports `OUT_OF_RANGE`, where gRPC itself uses
/// `RESOURCE_EXHAUSTED`. Returns whether the status was `OUT_OF_RANGE`, a code that none of our handlers
/// returns.
pub(super) fn correct_too_large(headers: &mut HeaderMap, limits: &Limits) -> bool {
    let bytes = |name: &http::HeaderName| headers.get(name).map(http::HeaderValue::as_bytes);
    if bytes(&Status::GRPC_STATUS) != Some(i32::from(Code::OutOfRange).to_string().as_bytes()) {
        return false;
    }
    // tonic writes "decoded message length" for a request and "encoded message length" for an answer.
    let is_answer = bytes(&Status::GRPC_MESSAGE)
        .is_some_and(|message| message.windows(b"encoded".len()).any(|word| word == b"encoded"));
    let status = if is_answer {
        answer_too_large(limits.max_message_bytes)
    } else {
        message_too_large(limits.max_message_bytes)
    };
    // The messages are plain text, which fits into a header.
    let _ = status.add_header(headers);
    true
}
