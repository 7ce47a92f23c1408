//! Authenticates callers by their tokens. The API server says whose a token is, in a `TokenReview`.
//!
//! Anybody who reaches the port can show a token, so reviews are limited. Answers are cached for a moment. Those
//! about invalid tokens are cached apart from those about valid ones, so that junk evicts no good one. A token has at
//! most one review in progress. Reviews of tokens that have not been valid lately are rate-limited, in all and for
//! each address.

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc};

use everynode_serving::serve::{Authenticated, Authenticator, Identity, Peer, refusal};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use http::{HeaderMap, header::AUTHORIZATION};
use k8s_openapi::api::authentication::v1::UserInfo;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::Status;

use super::{
    ANSWER_HOLDS, Caller, User,
    access::Reviews,
    cache::Cache,
    rate::{Bucket, Buckets, Rate},
    unanswered,
};
use crate::{
    apiserver::api::Api,
    telemetry::metrics::{Metrics, Review, ReviewOutcome},
};

/// Maximum number of cached answers about tokens, for valid and for invalid ones each.
const MOST_TOKENS: usize = 1_024;
/// Maximum length of a token that is reviewed, in bytes. Tokens of service accounts have about 1 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Rate limit for reviews of tokens that have not been valid lately.
const UNKNOWN_TOKENS: Rate = Rate {
    per_second: 20.0,
    burst: 40.0,
};
/// The part of that limit that one address may use.
const UNKNOWN_TOKENS_OF_ADDRESS: Rate = Rate {
    per_second: UNKNOWN_TOKENS.per_second / 4.0,
    burst: UNKNOWN_TOKENS.burst / 4.0,
};

/// The key of callers on the local port.
const LOCAL: &str = "local";

/// Asks the API server about callers.
pub struct Tokens {
    api: Api,
    metrics: Arc<Metrics>,
    known: Arc<Mutex<Known>>,
    pub(super) reviews: Reviews,
}

/// A review that has not been answered yet.
type Pending = BoxFuture<'static, Result<Arc<UserInfo>, Status>>;
/// An answer shared by all callers who show the same token.
type Answer = Shared<Pending>;

/// Cached and pending answers about tokens, by their hashes, and the limits on reviews.
struct Known {
    valid: Cache<[u8; 32], Arc<UserInfo>>,
    invalid: Cache<[u8; 32], Status>,
    pending: HashMap<[u8; 32], WeakShared<Pending>>,
    unknown: Bucket,
    unknown_by_address: Buckets<Option<IpAddr>>,
}

impl Tokens {
    /// Creates an authenticator that sends its reviews through `api`.
    pub fn new(api: Api, metrics: Arc<Metrics>) -> Self {
        let known = Known {
            valid: Cache::new(MOST_TOKENS),
            invalid: Cache::new(MOST_TOKENS),
            pending: HashMap::new(),
            unknown: Bucket::full(UNKNOWN_TOKENS, Instant::now()),
            unknown_by_address: Buckets::new(UNKNOWN_TOKENS_OF_ADDRESS),
        };
        Self {
            reviews: Reviews::new(api.clone(), metrics.clone()),
            api,
            metrics,
            known: Arc::new(Mutex::new(known)),
        }
    }

    /// Authenticates a caller again during its call.
    pub(super) async fn reauthenticate(&self, caller: &Caller) -> Result<Caller, Status> {
        match caller {
            Caller::Unrestricted => Ok(Caller::Unrestricted),
            Caller::User(user) => self.user(&user.token, user.address).await.map(Caller::User),
        }
    }

    async fn user(&self, token: &str, address: Option<IpAddr>) -> Result<Arc<User>, Status> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Status::unauthenticated(format!(
                "the token isn't valid: it is longer than {MAX_TOKEN_BYTES} bytes"
            )));
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        let answer = self.answer(token, hash, address)?;
        Ok(Arc::new(User {
            token: token.to_owned(),
            hash,
            address,
            info: answer.await?,
        }))
    }

    /// Returns the answer about a token: a cached one, one that is already being waited for, or a new one.
    fn answer(&self, token: &str, hash: [u8; 32], address: Option<IpAddr>) -> Result<Answer, Status> {
        let now = Instant::now();
        let count = |outcome| self.metrics.caller_review(Review::Token, outcome);
        let mut known = self.known.lock();
        if let Some(user) = known.valid.get(&hash, now) {
            count(ReviewOutcome::Cached);
            return Ok(futures::future::ready(Ok(user)).boxed().shared());
        }
        if let Some(refused) = known.invalid.get(&hash, now) {
            count(ReviewOutcome::Cached);
            return Err(refused);
        }
        if let Some(answer) = known.pending.get(&hash).and_then(WeakShared::upgrade) {
            count(ReviewOutcome::Cached);
            return Ok(answer);
        }
        if !known.admits(&hash, address, now) {
            count(ReviewOutcome::Refused);
            return Err(refusal::exhausted(
                "too many tokens that aren't known have to be looked at",
            ));
        }
        count(ReviewOutcome::Made);
        let answer = review(self.api.clone(), self.known.clone(), token.to_owned(), hash)
            .boxed()
            .shared();
        // Callers that have gone leave entries behind.
        known.pending.retain(|_, answer| answer.upgrade().is_some());
        if let Some(pending) = answer.downgrade() {
            known.pending.insert(hash, pending);
        }
        Ok(answer)
    }
}

impl Known {
    /// Whether a token may be reviewed now. A token that was valid before always may: there is only a limited number
    /// of those.
    fn admits(&mut self, hash: &[u8; 32], address: Option<IpAddr>, now: Instant) -> bool {
        if self.valid.contains(hash) {
            return true;
        }
        let admits = self.unknown.has_one(now) && self.unknown_by_address.has_one(&address, now);
        if admits {
            self.unknown.take(now);
            self.unknown_by_address.take(address, now);
        }
        admits
    }
}

/// Asks the API server whose a token is, and caches the answer.
async fn review(
    api: Api,
    known: Arc<Mutex<Known>>,
    token: String,
    hash: [u8; 32],
) -> Result<Arc<UserInfo>, Status> {
    let review = api.review_token(&token).await.map_err(unanswered)?;
    let until = Instant::now() + ANSWER_HOLDS;
    let mut known = known.lock();
    if let (Some(true), Some(user)) = (review.authenticated, review.user) {
        let user = Arc::new(user);
        known.invalid.remove(&hash);
        known.valid.insert(hash, user.clone(), until);
        return Ok(user);
    }
    let reason = review.error;
    let reason = reason.unwrap_or_else(|| "the API server doesn't know it".to_owned());
    let refused = Status::unauthenticated(format!("the token isn't valid: {reason}"));
    known.valid.remove(&hash);
    known.invalid.insert(hash, refused.clone(), until);
    Err(refused)
}

#[tonic::async_trait]
impl Authenticator for Tokens {
    /// Callers on the local port need no token.
    async fn authenticate(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Authenticated, Status> {
        if peer.is_some_and(|peer| *peer.identity() == Identity::Plaintext) {
            return Ok(Authenticated::new(LOCAL, Caller::Unrestricted));
        }
        let user = self.user(token(headers)?, peer.and_then(Peer::network)).await?;
        let key = format!("user:{}", user.name());
        Ok(Authenticated::new(key, Caller::User(user)))
    }
}

/// Shows no tokens.
impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Returns the token that a request shows.
fn token(headers: &HeaderMap) -> Result<&str, Status> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
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
