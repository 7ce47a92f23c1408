//! Builds the errors of the service.

use everynode_render::ErrorChain;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{
    apiserver::failure::ApiError, election::leadership::Leadership, live_view::queries::LoopUnavailable,
};

/// The main loop doesn't answer: `UNAVAILABLE`.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
pub(super) fn loop_unavailable(error: LoopUnavailable) -> Status {
    Status::unavailable(error.to_string())
}

/// Fields of the request are invalid: `INVALID_ARGUMENT` with a violation for each.
pub(super) fn invalid(violations: Vec<FieldViolation>) -> Status {
    let messages: Vec<_> = violations
        .iter()
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect();
    let details = ErrorDetails::with_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, messages.join("; "), details)
}

/// This executor isn't the leader, and only the leader can answer.
pub(super) fn not_leading(leadership: &Leadership) -> Status {
    Status::failed_precondition(match leadership.leader.as_str() {
        "" => "this executor isn't the leader, and no leader is known; try again in a moment".to_owned(),
        leader => format!("this executor isn't the leader; ask {leader}"),
    })
}

/// This executor is shutting down.
pub(super) fn stopping() -> Status {
    Status::unavailable("the executor is shutting down")
}

/// The client certificate that the watch was opened with has expired.
pub(super) fn certificate_expired() -> Status {
    Status::unauthenticated("the client's certificate has expired; open another watch with a new one")
}

/// The API server doesn't return what was requested.
pub(super) fn api(what: &str, error: &ApiError) -> Status {
    match error {
        ApiError::Refused(_) => {
            Status::failed_precondition(format!("the API server refuses to show {what}: {error}"))
        }
        ApiError::Name(error) => Status::invalid_argument(error.to_string()),
        ApiError::Encode(_) => Status::internal(format!("{what} can't be read: {}", ErrorChain(error))),
        _ => Status::unavailable(format!("{what} can't be read: {}", ErrorChain(error))),
    }
}
