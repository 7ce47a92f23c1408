//! Why a call is refused.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{controller::questions::Silent, failure::ApiError, leadership::Leadership};

/// The loop doesn't answer.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
pub(super) fn silent(error: Silent) -> Status {
    Status::unavailable(error.to_string())
}

/// Some fields of the request are malformed: `INVALID_ARGUMENT`, naming each.
pub(super) fn invalid(violations: Vec<FieldViolation>) -> Status {
    let words: Vec<_> = violations
        .iter()
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect();
    let details = ErrorDetails::with_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, words.join("; "), details)
}

/// Only the leader knows.
pub(super) fn not_leading(leadership: &Leadership) -> Status {
    Status::failed_precondition(match leadership.leader.as_str() {
        "" => "this executor doesn't lead, and none is known to; try again in a moment".to_owned(),
        leader => format!("this executor doesn't lead; ask {leader}"),
    })
}

/// This executor is about to stop.
pub(super) fn stopping() -> Status {
    Status::unavailable("the executor is shutting down")
}

/// The API server doesn't give what was asked of it.
pub(super) fn api(what: &str, error: &ApiError) -> Status {
    match error {
        ApiError::Refused(_) => {
            Status::failed_precondition(format!("the API server refuses to show {what}: {error}"))
        }
        ApiError::Name(error) => Status::invalid_argument(error.to_string()),
        ApiError::Busy { .. } | ApiError::Unclear(_) => {
            Status::unavailable(format!("{what} can't be read: {error}"))
        }
    }
}
