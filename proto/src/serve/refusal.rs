//! What is said when a request is refused: the gRPC code, a sentence, and the same for programs (`google.rpc`).

use std::time::Duration;

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::limits::{Limits, PATIENCE};

/// Why a server refused a call, or gave it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// As many unary calls as may be are worked on.
    Calls,
    /// As many streams as may be are open.
    Streams,
    /// As many connections as may be are open.
    Connections,
    /// The requests that are worked on, or the answers that are on their way, take as much memory as they may.
    Memory,
    /// A message is larger than one may be.
    MessageSize,
    /// The deadline has passed.
    Deadline,
    /// A TLS handshake has failed.
    Handshake,
    /// The client's certificate is not among those that may ask for it.
    Forbidden,
    /// The caller can't be authenticated.
    Unauthenticated,
    /// As many callers as may be are being authenticated.
    Authentications,
    /// As many calls of health and reflection as may be are open.
    Minor,
}

impl Refusal {
    /// All of them.
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

    /// The name, for metrics.
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

/// `INVALID_ARGUMENT`, naming the field by its path in the request.
pub fn invalid(field: &str, message: &str) -> Status {
    violation(Code::InvalidArgument, field, message)
}

/// `RESOURCE_EXHAUSTED` for a field that holds more than a call may, naming the field by its path in the request.
pub fn too_many(field: &str, message: &str) -> Status {
    violation(Code::ResourceExhausted, field, message)
}

fn violation(code: Code, field: &str, message: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, message);
    Status::with_error_details(code, format!("{field}: {message}"), details)
}

/// `RESOURCE_EXHAUSTED` for an answer that would be larger than a message may be.
pub fn answer_too_large(max_message_bytes: usize) -> Status {
    Status::resource_exhausted(format!(
        "the answer would be larger than {max_message_bytes} bytes; ask for less at once"
    ))
}

/// `RESOURCE_EXHAUSTED` for a message that is larger than one may be.
pub(super) fn message_too_large(max_message_bytes: usize) -> Status {
    Status::resource_exhausted(format!(
        "the message is larger than {max_message_bytes} bytes; split the request"
    ))
}

/// `RESOURCE_EXHAUSTED` for a message that would take more memory than one may, though its encoding is small.
pub(super) fn too_large_in_memory(bytes: usize, most: usize) -> Status {
    Status::resource_exhausted(format!(
        "the message would take {bytes} bytes in memory, and one may take at most {most}; split the request"
    ))
}

/// `UNAVAILABLE`: what a stream ends with when the server shuts down.
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

/// `RESOURCE_EXHAUSTED` for one more call of health or reflection.
pub(super) fn too_many_minor_calls() -> Status {
    exhausted("as many calls of health and reflection are open as one caller, or all together, may have")
}

/// `RESOURCE_EXHAUSTED` with `RetryInfo`, when so many callers are already being authenticated.
pub(super) fn too_many_authentications(most: usize, callers: &str) -> Status {
    exhausted(&format!(
        "{most} {callers} are being authenticated, and no more at the same time"
    ))
}

/// `RESOURCE_EXHAUSTED` with `RetryInfo`, for a limit that the caller doesn't exceed if it tries again later.
pub fn exhausted(why: &str) -> Status {
    try_again(Code::ResourceExhausted, why)
}

/// `RESOURCE_EXHAUSTED` for memory of which others hold so much that there is not enough.
pub(super) fn memory_full(of: &str, most: u64) -> Status {
    exhausted(&format!(
        "the {of} of other calls hold up to {most} bytes together, and no more at the same time"
    ))
}

/// `DEADLINE_EXCEEDED` for a message of a stream that doesn't come to its end.
pub(super) fn message_deadline_exceeded(after: Duration) -> Status {
    Status::deadline_exceeded(format!(
        "a message of the stream has not come whole within {} s",
        after.as_secs_f64()
    ))
}

/// `DEADLINE_EXCEEDED` for a call of reflection that stays open.
pub(super) fn reflection_deadline_exceeded(after: Duration) -> Status {
    Status::deadline_exceeded(format!(
        "reflection is open for {} s at most; open it again",
        after.as_secs_f64()
    ))
}

/// `DEADLINE_EXCEEDED`, saying whose deadline it was.
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

/// Puts right what tonic says of a message over the limit: `OUT_OF_RANGE`, where gRPC's own word is
/// `RESOURCE_EXHAUSTED`. Returns whether it was that. No handler of ours says `OUT_OF_RANGE`.
pub(super) fn rename_too_large(headers: &mut HeaderMap, limits: &Limits) -> bool {
    let bytes = |name: &http::HeaderName| headers.get(name).map(http::HeaderValue::as_bytes);
    if bytes(&Status::GRPC_STATUS) != Some(i32::from(Code::OutOfRange).to_string().as_bytes()) {
        return false;
    }
    // tonic's words are "decoded message length" for a request, "encoded message length" for an answer.
    let of_answer = bytes(&Status::GRPC_MESSAGE)
        .is_some_and(|said| said.windows(b"encoded".len()).any(|word| word == b"encoded"));
    let status = if of_answer {
        answer_too_large(limits.max_message_bytes)
    } else {
        message_too_large(limits.max_message_bytes)
    };
    // The sentences are plain text, which fits into a header.
    let _ = status.add_header(headers);
    true
}
