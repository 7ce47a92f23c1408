//! How much one call or one message may hold.

use everynode_proto::planner::v1::Limits;
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt};

use crate::convert::FieldError;

/// Facts in one `SessionRequest`.
pub const MAX_FACTS: usize = 1_000;
/// `DaemonSet`s in one unary call.
pub const MAX_DAEMON_SETS: usize = 1_000;
/// Nodes in one unary call.
pub const MAX_NODES: usize = 20_000;
/// Pods in one unary call.
pub const MAX_PODS: usize = 200_000;
/// Node templates in one unary call.
pub const MAX_NODE_TEMPLATES: usize = 10_000;
/// Pairs of `DaemonSet` and node, or node template, in one unary call.
pub const MAX_PAIRS: usize = 100_000;
/// Bytes of one message.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// All limits, as `GetInfo` tells them.
pub fn limits() -> Limits {
    let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    Limits {
        max_facts_per_request: number(MAX_FACTS),
        max_daemon_sets: number(MAX_DAEMON_SETS),
        max_nodes: number(MAX_NODES),
        max_pods: number(MAX_PODS),
        max_pairs: number(MAX_PAIRS),
        max_message_bytes: number(MAX_MESSAGE_BYTES),
        max_node_templates: number(MAX_NODE_TEMPLATES),
        ..Limits::default()
    }
}

/// Refuses more objects in a field than a call may hold.
///
/// # Errors
/// `RESOURCE_EXHAUSTED`, naming the field.
pub fn check(field: &str, count: usize, limit: usize) -> Result<(), Status> {
    if count <= limit {
        return Ok(());
    }
    let message = format!("holds {count}, at most {limit} are taken at once; split the request");
    Err(refusal(Code::ResourceExhausted, &FieldError::new(field, message)))
}

/// Refuses more pairs of `DaemonSet` and node than a call may ask for.
///
/// # Errors
/// `RESOURCE_EXHAUSTED`, naming the nodes' field.
pub fn check_pairs(field: &str, daemon_sets: usize, nodes: usize) -> Result<(), Status> {
    let pairs = daemon_sets.saturating_mul(nodes);
    if pairs <= MAX_PAIRS {
        return Ok(());
    }
    let message = format!(
        "makes {pairs} pairs with daemon_sets, at most {MAX_PAIRS} are taken at once; split the request"
    );
    Err(refusal(Code::ResourceExhausted, &FieldError::new(field, message)))
}

/// `INVALID_ARGUMENT`, naming the field.
pub fn invalid(error: &FieldError) -> Status {
    refusal(Code::InvalidArgument, error)
}

fn refusal(code: Code, error: &FieldError) -> Status {
    let details = ErrorDetails::with_bad_request_violation(&error.field, &error.message);
    Status::with_error_details(code, error.to_string(), details)
}

/// tonic says `OUT_OF_RANGE` of a message over the limit; gRPC's own word for it is `RESOURCE_EXHAUSTED`.
pub fn too_large(status: Status) -> Status {
    if status.code() == Code::OutOfRange {
        let message = format!("the message is larger than {MAX_MESSAGE_BYTES} bytes; split the request");
        return Status::new(Code::ResourceExhausted, message);
    }
    status
}

/// The same for a whole HTTP response, where the status is in the headers.
pub fn rename_too_large(mut response: http::Response<Body>) -> http::Response<Body> {
    const STATUS: &str = "grpc-status";
    let out_of_range = i32::from(Code::OutOfRange).to_string();
    if response
        .headers()
        .get(STATUS)
        .is_some_and(|status| status.as_bytes() == out_of_range.as_bytes())
        && let Ok(code) = i32::from(Code::ResourceExhausted).to_string().parse()
    {
        response.headers_mut().insert(STATUS, code);
    }
    response
}
