//! Why a call is refused.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{controller::questions::Silent, failure::ApiError, leadership::Leadership};

/// Who gives the reasons (`google.rpc.ErrorInfo`).
const DOMAIN: &str = "executor.everynode";
/// The reason of [`watch_lasted`].
const WATCH_LASTED: &str = "WATCH_LASTED";

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

/// A watch has lasted as long as it may. What tells programs so is typed: the plugin opens another one without a word.
pub(crate) fn watch_lasted() -> Status {
    let details = ErrorDetails::with_error_info(WATCH_LASTED, DOMAIN, HashMap::new());
    let words = "the watch has lasted its time; open another";
    Status::with_error_details(Code::Unavailable, words, details)
}

/// Whether a watch has ended because it has lasted as long as it may.
pub(crate) fn is_watch_lasted(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| info.domain == DOMAIN && info.reason == WATCH_LASTED)
}

/// The certificate that a watch was opened with isn't valid any more.
pub(super) fn certificate_expired() -> Status {
    Status::unauthenticated("the client's certificate has expired; open another watch with a new one")
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
