//! The first request of a stream.

use everynode_proto::planner::v1::{Hello, SessionRequest};
use tonic::Status;

use super::PROTOCOL;
use crate::{
    convert::FieldError,
    limits::{self, MAX_NAME_BYTES},
};

/// The most capabilities that an executor may name.
const MAX_CAPABILITIES: usize = 64;
/// The most names of Everynode's own nodes that the planner reads.
const MAX_OWN_NODES: usize = 16;

/// Reads the first request of a stream.
///
/// The planner keeps and logs the names of the cluster and the executor while the session lasts. So their length is
/// limited, and they can't have control characters.
///
/// # Errors
/// `INVALID_ARGUMENT` when `hello` or one of its fields is missing or can't be used, `FAILED_PRECONDITION` when the
/// executor uses another protocol.
pub fn read_hello(request: &SessionRequest) -> Result<&Hello, Status> {
    let invalid = |field: &str, message: &str| limits::invalid(&FieldError::new(field, message));
    let hello = request
        .hello
        .as_ref()
        .ok_or_else(|| invalid("hello", "must be in the first request of a session"))?;
    for (field, value) in [
        ("hello.cluster", &hello.cluster),
        ("hello.identity", &hello.identity),
    ] {
        if value.is_empty() {
            return Err(invalid(field, "must not be empty"));
        }
        if let Some(error) = name_error(value) {
            return Err(invalid(field, &error));
        }
    }
    let count = hello.capabilities.len();
    if count > MAX_CAPABILITIES {
        let message = format!("must name at most {MAX_CAPABILITIES}, found {count}");
        return Err(invalid("hello.capabilities", &message));
    }
    for (index, capability) in hello.capabilities.iter().enumerate() {
        if let Some(error) = name_error(capability) {
            return Err(invalid(&format!("hello.capabilities[{index}]"), &error));
        }
    }
    if hello.protocol != PROTOCOL {
        let message = format!(
            "this planner supports session protocol {PROTOCOL}, the executor uses {}; upgrade the older one",
            hello.protocol
        );
        return Err(Status::failed_precondition(message));
    }
    Ok(hello)
}

/// Returns the nodes on which Everynode runs. They only make stages pick better nodes, so further and longer names are
/// ignored, and are no reason to refuse a session.
pub(super) fn own_nodes(hello: &Hello) -> impl Iterator<Item = &str> {
    let names = hello.own_nodes.iter().take(MAX_OWN_NODES);
    names
        .map(String::as_str)
        .filter(|name| name.len() <= MAX_NAME_BYTES)
}

/// Returns what is wrong with a name, or `None` if the name is valid. The text doesn't repeat the name.
fn name_error(name: &str) -> Option<String> {
    let bytes = name.len();
    if bytes > MAX_NAME_BYTES {
        return Some(format!("must have at most {MAX_NAME_BYTES} bytes, found {bytes}"));
    }
    name.chars()
        .any(char::is_control)
        .then(|| "must not have control characters".to_owned())
}
