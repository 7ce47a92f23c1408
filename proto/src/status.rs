//! gRPC statuses with typed details, which both ends of a call read: a code, a sentence for people, and details for
//! programs (`google.rpc`).

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of the executor's reasons in `google.rpc.ErrorInfo`.
const EXECUTOR_DOMAIN: &str = "executor.everynode";
/// The reason of [`watch_expired`].
const WATCH_LASTED: &str = "WATCH_LASTED";

/// Creates an `INVALID_ARGUMENT` status for a field, given by its path in the request.
pub fn invalid(field: &str, message: &str) -> Status {
    violation(Code::InvalidArgument, field, message)
}

/// Creates an `INVALID_ARGUMENT` status for a field of an object. `path` is the field's path in the request, for
/// programs. The message is for people: it names the object, and the field by its path in the object.
pub fn invalid_object(path: &str, object: &str, field: &str, message: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(path, message);
    let separator = if field.is_empty() { "" } else { ": " };
    let text = format!("{object}: {field}{separator}{message}");
    Status::with_error_details(Code::InvalidArgument, text, details)
}

/// Creates a `RESOURCE_EXHAUSTED` status for a field that exceeds a limit, given by its path in the request.
pub fn too_many(field: &str, message: &str) -> Status {
    violation(Code::ResourceExhausted, field, message)
}

fn violation(code: Code, field: &str, message: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, message);
    Status::with_error_details(code, format!("{field}: {message}"), details)
}

/// Creates an `UNAVAILABLE` status for a watch that has reached its maximum duration. Clients recognize its reason and
/// open another watch.
pub fn watch_expired() -> Status {
    let details = ErrorDetails::with_error_info(WATCH_LASTED, EXECUTOR_DOMAIN, HashMap::new());
    let message = "the watch has reached its maximum duration; open another";
    Status::with_error_details(Code::Unavailable, message, details)
}

/// Whether a watch ended because it reached its maximum duration.
pub fn is_watch_expired(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| info.domain == EXECUTOR_DOMAIN && info.reason == WATCH_LASTED)
}
