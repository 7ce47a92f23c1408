//! Who may ask. The gate checks certificates, and has [`Tokens`] authenticate callers by their tokens, before a call takes
//! a place. What a caller with a token may see depends on the request, so the service authorizes it: the API server says
//! whether they may see what they ask for.
//!
//! - [`tokens`]: whose a token is, by `TokenReviews`.
//! - [`access`]: what a caller may see, by `SubjectAccessReviews`.
//! - `cache`, `rate`: how both spare the API server.

pub mod access;
mod cache;
mod rate;
pub mod tokens;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use everynode_proto::tls::Credentials;
use k8s_openapi::api::authentication::v1::UserInfo;
use tonic::Status;

pub use self::tokens::Tokens;
use crate::failure::ApiError;

/// How long an answer of the API server about a caller holds. A token that is revoked goes on being taken for as long.
const ANSWER_HOLDS: Duration = Duration::from_secs(10);

/// Who may ask.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Everybody who reaches the port, in plain text.
    Anybody,
    /// Those who have a certificate with one of these names.
    Certified {
        /// How connections are secured.
        credentials: Credentials,
        /// The names; `*` stands for all.
        names: Vec<String>,
    },
    /// Those who have a token of the cluster.
    WithTokens {
        /// How connections are secured.
        credentials: Credentials,
    },
}

/// The caller of a request.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// One who may see everything: by certificate, in plain text, or on the local port.
    Unrestricted,
    /// One with a token, who may see what the API server would show them.
    User(Arc<User>),
}

/// Whose token a caller has shown.
pub(super) struct User {
    /// By which the user is authenticated again while a watch lasts.
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

/// Without the token.
impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("User")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// The API server has not said who a caller is, or what they may do.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn unanswered(error: ApiError) -> Status {
    match error {
        ApiError::Refused(_) => Status::internal(format!(
            "the executor may not ask the API server about callers, for which it needs the right to create \
             tokenreviews and subjectaccessreviews: {error}"
        )),
        ApiError::Busy { .. } | ApiError::Unclear(_) | ApiError::Name(_) => Status::unavailable(format!(
            "the API server can't be asked about callers now; try again in a moment: {error}"
        )),
    }
}

#[cfg(test)]
pub(super) mod tests;
