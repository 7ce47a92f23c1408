//! Why a call failed, and what follows from that.

use std::time::Duration;

use http::header::RETRY_AFTER;
use kube::core::{Status, request};
use prost::bytes::Bytes;
use tower::BoxError;

use crate::apiserver::{
    names::InvalidName,
    objects::{self, Encoding, Unreadable},
};

/// The longest wait after a call without a clear answer: the server may be back at any time.
const LONGEST_WAIT_FOR_AN_ANSWER: Duration = Duration::from_secs(5);

/// The longest time that a server is left alone because it asks for it. A proxy in front of the server may ask for
/// any time.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server has refused the call for good: the same call will be refused again until something changes.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// The server is overloaded and has not carried out the call.
    #[error("the API server is busy: {message}")]
    Busy {
        /// The server's words.
        message: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The server has failed (5xx), or the call's credentials or time have run out there (401, 408). The call may have
    /// been carried out.
    #[error("the API server gave no clear answer: {message} ({code})")]
    Server {
        /// The HTTP status code.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// No answer came in time. The call may have been carried out.
    #[error("the API server gave no clear answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The connection failed. The call may have been carried out.
    #[error("the API server gave no clear answer")]
    Transport(#[source] BoxError),
    /// The answer can't be decoded. The call may have been carried out.
    #[error("the API server's answer can't be read")]
    Decode(#[source] Unreadable),
    /// The object that has the name is being deleted. Its name is free once it is gone.
    #[error("{0} is being deleted")]
    Terminating(String),
    /// The call was not made, because its request can't be encoded. This is a fault of this program.
    #[error("the request can't be encoded")]
    Encode(#[source] request::Error),
    /// The call was not made, because no URL can name the object.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

impl ApiError {
    /// Whether the same call would fail again. A conflict doesn't count: somebody else was merely faster.
    pub fn is_final(&self) -> bool {
        !self.is_passing() && !self.is_conflict()
    }

    /// Whether the same call may succeed without any change: the server is busy, or its answer isn't known.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::Server { .. }
            | Self::Timeout(_)
            | Self::Transport(_)
            | Self::Decode(_)
            | Self::Terminating(_) => true,
            Self::Refused(_) | Self::Encode(_) | Self::Name(_) => false,
        }
    }

    /// How long to wait before a retry. The wait starts at `first`, doubles with each earlier failure, and is never
    /// shorter than the server asks for. Only refusals back off up to `longest`, because somebody has to change
    /// something first.
    pub fn wait(&self, failures: u32, first: Duration, longest: Duration) -> Duration {
        let longest = if self.is_passing() {
            longest.min(LONGEST_WAIT_FOR_AN_ANSWER)
        } else {
            longest
        };
        let wait = first.saturating_mul(1 << failures.min(16)).min(longest);
        wait.max(self.retry_after().unwrap_or_default())
    }

    /// How long the server asks to be left alone, but no longer than a minute.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => retry_after.map(|after| after.min(LONGEST_RETRY_AFTER)),
            _ => None,
        }
    }

    /// Whether the server rejects the object as invalid.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 422)
    }

    /// Whether the object doesn't exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_not_found())
    }

    /// Whether somebody else has changed the object, or the name now belongs to another object.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_conflict() && !status.is_already_exists())
    }

    /// Whether an object with that name exists already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_already_exists())
    }

    /// Whether the namespace is being deleted, so that nothing can be created in it.
    pub fn is_namespace_terminating(&self) -> bool {
        let Self::Refused(status) = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .into_iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of(*status, None),
            kube::Error::BuildRequest(error) => Self::Encode(error),
            kube::Error::SerdeError(error) => Self::Decode(error.into()),
            kube::Error::Service(error) => Self::Transport(error),
            other => Self::Transport(other.into()),
        }
    }
}

impl ApiError {
    /// Classifies an answer that reports a failure. Not every answer comes from the API server itself, so the body
    /// may be any text.
    pub(crate) fn from_answer(head: &http::response::Parts, body: &Bytes) -> Self {
        let code = head.status.as_u16();
        let seconds = head
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let status = objects::status(body, Encoding::of(&head.headers))
            .filter(|status| status.code == code)
            .unwrap_or_else(|| {
                Status::failure(String::from_utf8_lossy(body).trim(), "Unreadable").with_code(code)
            });
        Self::of(status, seconds.map(Duration::from_secs))
    }

    /// Classifies a failure that the server has described.
    pub(crate) fn of(status: Status, retry_after: Option<Duration>) -> Self {
        let code = status.code;
        let seconds = status
            .details
            .as_ref()
            .map_or(0, |details| details.retry_after_seconds);
        let retry_after = retry_after.or((seconds > 0).then(|| Duration::from_secs(seconds.into())));
        match code {
            429 | 503 => Self::Busy {
                message: status.message,
                retry_after,
            },
            // Neither expired credentials (401) nor a request timeout (408) say anything about the call itself.
            400 | 402..=407 | 409..500 => Self::Refused(Box::new(status)),
            _ => Self::Server {
                code,
                message: status.message,
            },
        }
    }
}

impl From<Unreadable> for ApiError {
    fn from(error: Unreadable) -> Self {
        Self::Decode(error)
    }
}

impl From<request::Error> for ApiError {
    fn from(error: request::Error) -> Self {
        Self::Encode(error)
    }
}

#[cfg(test)]
mod tests {
    use everynode_render::ErrorChain;

    use super::*;

    #[test]
    fn only_refusals_are_waited_out_for_long_and_never_less_than_the_server_asks_for() {
        let (first, minute) = (Duration::from_millis(200), Duration::from_mins(1));
        let error = |code| ApiError::of(Status::failure("no", "Reason").with_code(code), None);
        assert_eq!(error(403).wait(0, first, minute), first);
        assert_eq!(error(403).wait(1_000, first, minute), minute);
        for passing in [429, 500, 503, 408] {
            assert_eq!(
                error(passing).wait(1_000, first, minute),
                LONGEST_WAIT_FOR_AN_ANSWER
            );
            assert_eq!(error(passing).wait(1_000, first, first), first);
        }
        let busy = |seconds| {
            let status = Status::failure("busy", "Reason").with_code(429);
            ApiError::of(status, Some(Duration::from_secs(seconds)))
        };
        assert_eq!(busy(7).wait(0, first, minute), Duration::from_secs(7));
        assert_eq!(busy(86_400).wait(0, first, minute), LONGEST_RETRY_AFTER);
    }

    #[test]
    fn request_that_cannot_be_encoded_is_not_retried_and_not_blamed_on_the_server() {
        let broken = serde_json::from_str::<u8>("x").unwrap_err();
        let error = ApiError::from(request::Error::SerializeBody(broken));
        assert!(error.is_final() && !error.is_passing());
        let shown = ErrorChain(&error).to_string();
        assert!(shown.starts_with("the request can't be encoded: "), "{shown}");
        let error = ApiError::from(kube::Error::SerdeError(
            serde_json::from_str::<u8>("y").unwrap_err(),
        ));
        assert!(error.is_passing(), "the call may have been carried out");
    }

    #[test]
    fn errors_without_a_clear_answer_keep_their_causes() {
        let broken = std::io::Error::other("connection reset");
        let error = ApiError::from(kube::Error::Service(broken.into()));
        assert_eq!(
            ErrorChain(&error).to_string(),
            "the API server gave no clear answer: connection reset"
        );
        let error = ApiError::of(Status::failure("no", "Reason").with_code(500), None);
        assert_eq!(error.to_string(), "the API server gave no clear answer: no (500)");
        let error = ApiError::Timeout(Duration::from_secs(30));
        assert_eq!(
            error.to_string(),
            "the API server gave no clear answer within 30 s"
        );
    }
}
