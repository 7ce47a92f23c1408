//! Who may ask. Certificates are looked at before a request comes here; tokens are looked at here: the API server says whose a
//! token is, and whether they may see what they ask for.

use std::{collections::HashMap, fmt, time::Duration};

use everynode_proto::{
    serve::{Identity, Peer},
    tls::Credentials,
};
use http::header::AUTHORIZATION;
use k8s_openapi::api::{
    authentication::v1::UserInfo,
    authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec},
};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::{Request, Status};

use crate::{api::Api, failure::ApiError};

/// How long an answer about a token holds. One that is revoked goes on being taken for as long.
const TOKEN_HOLDS: Duration = Duration::from_secs(10);
/// How many answers about tokens are kept.
const MOST_TOKENS: usize = 1_024;

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

/// What a caller wants to do with `DaemonSet`s.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    /// As the API server calls it.
    pub(super) verb: &'static str,
    /// All namespaces when empty.
    pub(super) namespace: &'a str,
    /// All of them when empty.
    pub(super) name: &'a str,
}

impl<'a> Wish<'a> {
    /// To see one or several.
    pub(super) fn see(namespace: &'a str, name: &'a str) -> Self {
        let verb = if namespace.is_empty() || name.is_empty() {
            "list"
        } else {
            "get"
        };
        Self {
            verb,
            namespace,
            name,
        }
    }

    /// To see one, or all when there is no `namespace/name`.
    pub(super) fn see_key(key: &'a str) -> Self {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        Self::see(namespace, name)
    }

    /// To see what becomes of them.
    pub(super) fn watch(namespace: &'a str, name: &'a str) -> Self {
        let verb = "watch";
        Self {
            verb,
            namespace,
            name,
        }
    }
}

/// Asks the API server about callers.
pub struct Tokens {
    api: Api,
    known: Mutex<HashMap<[u8; 32], Known>>,
}

/// What is known of a token: whose it is, or why it isn't valid.
#[derive(Debug, Clone)]
struct Known {
    user: Result<UserInfo, String>,
    until: Instant,
}

impl Tokens {
    /// Asks by these calls.
    pub fn new(api: Api) -> Self {
        Self {
            api,
            known: Mutex::default(),
        }
    }

    /// Lets a caller in whose token is valid, and who may do what they wish. Who comes by the local port is not asked.
    pub(super) async fn admit<T>(&self, request: &Request<T>, wish: Option<Wish<'_>>) -> Result<(), Status> {
        if Peer::identity(request) == Some(&Identity::Unasked) {
            return Ok(());
        }
        let user = self.user(token(request)?).await?;
        match wish {
            Some(wish) => self.authorize(user, wish).await,
            None => Ok(()),
        }
    }

    async fn user(&self, token: &str) -> Result<UserInfo, Status> {
        let hash = Sha256::digest(token).into();
        let known = self.known.lock().get(&hash).cloned();
        let user = match known.filter(|known| known.until > Instant::now()) {
            Some(known) => known.user,
            None => self.review(token, hash).await?,
        };
        user.map_err(|reason| Status::unauthenticated(format!("the token isn't valid: {reason}")))
    }

    async fn review(&self, token: &str, hash: [u8; 32]) -> Result<Result<UserInfo, String>, Status> {
        let review = self.api.review_token(token).await.map_err(unasked)?;
        let user = match (review.authenticated, review.user) {
            (Some(true), Some(user)) => Ok(user),
            _ => Err(review
                .error
                .unwrap_or_else(|| "the API server doesn't know it".to_owned())),
        };
        let now = Instant::now();
        let mut known = self.known.lock();
        if known.len() >= MOST_TOKENS {
            known.retain(|_, known| known.until > now);
        }
        if known.len() < MOST_TOKENS {
            let until = now + TOKEN_HOLDS;
            let user = user.clone();
            known.insert(hash, Known { user, until });
        }
        Ok(user)
    }

    async fn authorize(&self, user: UserInfo, wish: Wish<'_>) -> Result<(), Status> {
        let name = user.username.clone().unwrap_or_default();
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let spec = SubjectAccessReviewSpec {
            extra: user.extra,
            groups: user.groups,
            uid: user.uid,
            user: user.username,
            resource_attributes: Some(ResourceAttributes {
                group: Some("apps".to_owned()),
                resource: Some("daemonsets".to_owned()),
                verb: Some(wish.verb.to_owned()),
                namespace: given(wish.namespace),
                name: given(wish.name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        };
        let answer = self.api.review_access(spec).await.map_err(unasked)?;
        if answer.allowed {
            return Ok(());
        }
        Err(forbidden(&name, wish, answer.reason.as_deref()))
    }
}

/// Without tokens.
impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").finish_non_exhaustive()
    }
}

fn token<T>(request: &Request<T>) -> Result<&str, Status> {
    let given = request.metadata().get(AUTHORIZATION.as_str());
    let given = given.and_then(|value| value.to_str().ok());
    let bearer = given.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.filter(|token| !token.is_empty()).ok_or_else(|| {
        Status::unauthenticated(
            "a token of the cluster is needed, in the metadata `authorization: Bearer TOKEN`; kubectl create token prints one",
        )
    })
}

/// In the API server's own words.
fn forbidden(user: &str, wish: Wish<'_>, reason: Option<&str>) -> Status {
    let Wish {
        verb,
        namespace,
        name,
    } = wish;
    let quoted = if name.is_empty() {
        String::new()
    } else {
        format!(" {name:?}")
    };
    let scope = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let reason = reason.filter(|reason| !reason.is_empty());
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    Status::permission_denied(format!(
        "daemonsets.apps{quoted} is forbidden: User {user:?} cannot {verb} resource \"daemonsets\" in API group \"apps\" {scope}{reason}"
    ))
}

/// The API server has not said who it is, or what they may do.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn unasked(error: ApiError) -> Status {
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
mod tests;
