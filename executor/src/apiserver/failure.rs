//! Why a call failed, and what follows from that.

use std::time::Duration;

use http::header::RETRY_AFTER;
use kube::core::{Status, request};
use prost::bytes::Bytes;
use tower::BoxError;

use crate::apiserver::{
    names::InvalidName,
    objects::{self, Encoding, ObjectDecodeError},
};

/// The longest wait after a call without a clear answer. The server may recover at any time.
const MAX_TRANSIENT_WAIT: Duration = Duration::from_secs(5);

/// The longest wait that the executor accepts from a server. A proxy in front of the server may request any wait.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The server has refused the call for good: the same call will be refused again until something changes.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// The server is overloaded and has not carried out the call.
    #[error("the API server is busy: {message}")]
    Busy {
        /// The server's message.
        message: String,
        /// The wait that the server requests.
        retry_after: Option<Duration>,
    },
    /// The server failed (5xx), or reported expired credentials (401) or a timeout (408). The call may have been
    /// carried out.
    #[error("the API server gave no clear answer: {message} ({code})")]
    Server {
        /// The HTTP status code.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// No response arrived in time. The call may have been carried out.
    #[error("the API server gave no clear answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The connection failed. The call may have been carried out.
    #[error("the API server gave no clear answer")]
    Transport(#[source] BoxError),
    /// The response can't be decoded. The call may have been carried out.
    #[error("the API server's response can't be decoded")]
    Decode(#[source] ObjectDecodeError),
    /// An object with this name is being deleted. The name is free once the object is gone.
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
    /// Whether the same call would fail again. A conflict isn't final: another client was faster.
    pub(crate) fn is_final(&self) -> bool {
        !self.is_transient() && !self.is_conflict()
    }

    /// Whether the same call may succeed without any change: the server is busy, or the outcome of the call is unknown.
    pub(crate) fn is_transient(&self) -> bool {
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
    /// shorter than the server requests. Only refusals back off up to `longest`, because they last until something
    /// changes.
    pub(crate) fn wait(&self, failures: u32, first: Duration, longest: Duration) -> Duration {
        let longest = if self.is_transient() {
            longest.min(MAX_TRANSIENT_WAIT)
        } else {
            longest
        };
        let wait = first.saturating_mul(1 << failures.min(16)).min(longest);
        wait.max(self.retry_after().unwrap_or_default())
    }

    /// The wait that the server requests, but no longer than a minute.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => retry_after.map(|after| after.min(MAX_RETRY_AFTER)),
            _ => None,
        }
    }

    /// Whether the server rejects the object as invalid.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 422)
    }

    /// Whether the object doesn't exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_not_found())
    }

    /// Whether another client has changed the object, or the name now belongs to another object.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_conflict() && !status.is_already_exists())
    }

    /// Whether an object with that name exists already.
    pub(crate) fn is_already_exists(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_already_exists())
    }

    /// Whether the namespace is being deleted, so that nothing can be created in it.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
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
    /// Classifies a response that reports a failure. Not every response comes from the API server itself, so the body
    /// may be any text.
    pub(crate) fn from_response(head: &http::response::Parts, body: &Bytes) -> Self {
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
            // Expired credentials (401) and a request timeout (408) don't mean that the call itself is refused.
            400 | 402..=407 | 409..500 => Self::Refused(Box::new(status)),
            _ => Self::Server {
                code,
                message: status.message,
            },
        }
    }
}

impl From<ObjectDecodeError> for ApiError {
    fn from(error: ObjectDecodeError) -> Self {
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
    fn only_refusals_back_off_for_long_and_retry_after_is_the_minimum() {
        let (first, minute) = (Duration::from_millis(200), Duration::from_mins(1));
        let error = |code| ApiError::of(Status::failure("no", "Reason").with_code(code), None);
        assert_eq!(error(403).wait(0, first, minute), first);
        assert_eq!(error(403).wait(1_000, first, minute), minute);
        for passing in [429, 500, 503, 408] {
            assert_eq!(error(passing).wait(1_000, first, minute), MAX_TRANSIENT_WAIT);
            assert_eq!(error(passing).wait(1_000, first, first), first);
        }
        let busy = |seconds| {
            let status = Status::failure("busy", "Reason").with_code(429);
            ApiError::of(status, Some(Duration::from_secs(seconds)))
        };
        assert_eq!(busy(7).wait(0, first, minute), Duration::from_secs(7));
        assert_eq!(busy(86_400).wait(0, first, minute), MAX_RETRY_AFTER);
    }

    #[test]
    fn request_that_cannot_be_encoded_is_not_retried_and_not_blamed_on_the_server() {
        let broken = serde_json::from_str::<u8>("x").unwrap_err();
        let error = ApiError::from(request::Error::SerializeBody(broken));
        assert!(error.is_final() && !error.is_transient());
        let shown = ErrorChain(&error).to_string();
        assert!(shown.starts_with("the request can't be encoded: "), "{shown}");
        let error = ApiError::from(kube::Error::SerdeError(
            serde_json::from_str::<u8>("y").unwrap_err(),
        ));
        assert!(error.is_transient(), "the call may have been carried out");
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
