//! Errors for refused requests: the gRPC code, a sentence for people, and typed details for programs
//! (`google.rpc`).

use std::time::Duration;

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::limits::{Limits, PATIENCE};

/// Why a server refused a call, or gave it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The limit of unary calls in progress is reached.
    Calls,
    /// The limit of open streams is reached.
    Streams,
    /// The limit of open connections is reached.
    Connections,
    /// The requests in progress, or the answers on their way to callers, use up their memory budget.
    Memory,
    /// A message is larger than the limit.
    MessageSize,
    /// The deadline has passed.
    Deadline,
    /// A TLS handshake has failed.
    Handshake,
    /// The client's certificate bears no name that is allowed to make the request.
    Forbidden,
    /// The caller can't be authenticated.
    Unauthenticated,
    /// The limit of callers that are being authenticated is reached.
    Authentications,
    /// The limit of open health and reflection calls is reached.
    Minor,
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
        Self::Minor,
    ];

    /// The name of the reason, for metrics.
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
            Self::Minor => "health_and_reflection",
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
pub(super) fn too_large_in_memory(bytes: usize, most: usize) -> Status {
    Status::resource_exhausted(format!(
        "the message would take {bytes} bytes in memory, and one may take at most {most}; split the request"
    ))
}

/// `UNAVAILABLE`: the status that ends a stream when the server shuts down.
pub fn shutting_down() -> Status {
    Status::unavailable("the server is shutting down; connect again")
}

pub(super) fn too_many_calls(limits: &Limits) -> Status {
    try_again(
        Code::ResourceExhausted,
        &format!(
            "{} calls are being worked on, and no more at the same time (--max-concurrent-calls)",
            limits.max_concurrent_calls
        ),
    )
}

pub(super) fn too_many_streams(limits: &Limits) -> Status {
    try_again(
        Code::ResourceExhausted,
        &format!(
            "{} {streams} are open, and no more at the same time (--max-{streams})",
            limits.max_streams,
            streams = limits.streams
        ),
    )
}

/// `RESOURCE_EXHAUSTED` for a health or reflection call over the limit.
pub(super) fn too_many_minor_calls() -> Status {
    exhausted("as many calls of health and reflection are open as one caller, or all together, may have")
}

/// `RESOURCE_EXHAUSTED` with `RetryInfo`, when `most` callers are already being authenticated.
pub(super) fn too_many_authentications(most: usize, callers: &str) -> Status {
    exhausted(&format!(
        "{most} {callers} are being authenticated, and no more at the same time"
    ))
}

/// `RESOURCE_EXHAUSTED` with `RetryInfo`, for a limit that a later retry may stay within.
pub fn exhausted(why: &str) -> Status {
    try_again(Code::ResourceExhausted, why)
}

/// `RESOURCE_EXHAUSTED` when other calls hold too much of a memory budget.
pub(super) fn memory_full(of: &str, most: u64) -> Status {
    exhausted(&format!(
        "the {of} of other calls hold up to {most} bytes together, and no more at the same time"
    ))
}

/// `DEADLINE_EXCEEDED` for a stream message that didn't arrive completely in time.
pub(super) fn message_deadline_exceeded(after: Duration) -> Status {
    Status::deadline_exceeded(format!(
        "a message of the stream has not come whole within {} s",
        after.as_secs_f64()
    ))
}

/// `DEADLINE_EXCEEDED` for a reflection call that stays open too long.
pub(super) fn reflection_deadline_exceeded(after: Duration) -> Status {
    Status::deadline_exceeded(format!(
        "reflection is open for {} s at most; open it again",
        after.as_secs_f64()
    ))
}

/// `DEADLINE_EXCEEDED` for a call. It says whose deadline has passed.
pub(super) fn deadline_exceeded(after: Duration, by_caller: bool) -> Status {
    let whose = if by_caller {
        "the caller's deadline (grpc-timeout)"
    } else {
        "the server's deadline for calls (--call-deadline)"
    };
    try_again(
        Code::DeadlineExceeded,
        &format!("the call took longer than {} s, {whose}", after.as_secs_f64()),
    )
}

fn try_again(code: Code, why: &str) -> Status {
    let message = format!("{why}; try again in {} s", PATIENCE.as_secs_f64());
    Status::with_error_details(code, message, ErrorDetails::with_retry_info(Some(PATIENCE)))
}

/// Corrects tonic's status for a message over the limit. tonic reports `OUT_OF_RANGE`, where gRPC itself uses
/// `RESOURCE_EXHAUSTED`. Returns whether the status was such an `OUT_OF_RANGE`: none of our handlers returns
/// that code.
pub(super) fn rename_too_large(headers: &mut HeaderMap, limits: &Limits) -> bool {
    let bytes = |name: &http::HeaderName| headers.get(name).map(http::HeaderValue::as_bytes);
    if bytes(&Status::GRPC_STATUS) != Some(i32::from(Code::OutOfRange).to_string().as_bytes()) {
        return false;
    }
    // tonic writes "decoded message length" for a request and "encoded message length" for an answer.
    let of_answer = bytes(&Status::GRPC_MESSAGE)
        .is_some_and(|said| said.windows(b"encoded".len()).any(|word| word == b"encoded"));
    let status = if of_answer {
        answer_too_large(limits.max_message_bytes)
    } else {
        message_too_large(limits.max_message_bytes)
    };
    // The messages are plain text, which fits into a header.
    let _ = status.add_header(headers);
    true
}
