//! Authenticates and authorizes callers. Before a call gets a permit, the server checks the caller's certificate, or
//! `TokenAuthenticator` checks the caller's token. The rights of a caller with a token depend on the request, so the
//! service asks the API server whether the caller may see the requested objects.
//!
//! - `tokens`: authenticates callers, by `TokenReviews`.
//! - `access`: authorizes callers, by `SubjectAccessReviews`.
//! - `cache`, `rate`: limit the number of reviews.

pub(crate) mod access;
mod cache;
mod rate;
pub(crate) mod tokens;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use everynode_render::ErrorChain;
use everynode_serving::tls::Credentials;
use k8s_openapi::api::authentication::v1::UserInfo;
use tonic::Status;

pub(crate) use self::tokens::TokenAuthenticator;
use crate::apiserver::failure::ApiError;

/// How long the API server's answer about a caller is cached. New calls accept a revoked token for at most that long.
const ANSWER_TTL: Duration = Duration::from_secs(10);

/// The callers that the service accepts.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Everyone who can reach the port, in plain text.
    Anybody,
    /// Callers whose certificate has one of these names.
    Certified {
        /// The server's certificate, key and authorities.
        credentials: Credentials,
        /// Accepted names; `*` accepts every name.
        names: Vec<String>,
    },
    /// Callers with a valid token of the cluster.
    WithTokens {
        /// The server's certificate, key and authorities.
        credentials: Credentials,
    },
}

/// The caller of a request.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// A caller who may see everything: one with a certificate, in plain text, or on the local port.
    Unrestricted,
    /// A caller with a token, who may see what the API server lets them see.
    User(Arc<User>),
}

/// The owner of a caller's token.
pub(super) struct User {
    /// Used to authenticate the user again during a watch.
    token: String,
    hash: [u8; 32],
    address: Option<IpAddr>,
    info: Arc<UserInfo>,
}

impl User {
    /// The user's name in the cluster.
    fn name(&self) -> &str {
        self.info.username.as_deref().unwrap_or_default()
    }
}

/// Omits the token.
impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("User")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Builds the error for a failed review.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn review_failed(error: ApiError) -> Status {
    match error {
        ApiError::Refused(_) => Status::internal(format!(
            "the executor isn't allowed to create tokenreviews or subjectaccessreviews, which it needs to authenticate \
             and authorize callers: {error}"
        )),
        ApiError::Encode(_) => Status::internal(format!(
            "the executor can't request a review of the caller: {}",
            ErrorChain(&error)
        )),
        _ => Status::unavailable(format!(
            "the API server can't authenticate or authorize callers now; try again in a moment: {}",
            ErrorChain(&error)
        )),
    }
}

#[cfg(test)]
pub(super) mod tests;
