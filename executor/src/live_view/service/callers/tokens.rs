//! Authenticates callers by their tokens. The API server returns a token's owner in a `TokenReview`.
//!
//! Anybody who reaches the port can send tokens, so reviews are limited. Answers are cached for `ANSWER_TTL`. Answers
//! about invalid tokens have a cache of their own, so that invalid tokens don't evict valid ones. A token has at most
//! one review in progress. Reviews of tokens that have not been valid recently are rate-limited, in total and for each
//! address.

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
    ANSWER_TTL, Caller, User,
    access::AccessReviewer,
    cache::Cache,
    rate::{Bucket, Buckets, Rate},
    review_failed,
};
use crate::{
    apiserver::api::Api,
    telemetry::metrics::{Metrics, Review, ReviewOutcome},
};

/// Maximum number of cached answers about valid tokens, and also of those about invalid tokens.
const MAX_CACHED_TOKENS: usize = 1_024;
/// Maximum length of a token that is reviewed, in bytes. Tokens of service accounts have about 1 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Rate limit for reviews of tokens that have not been valid recently.
const UNKNOWN_TOKENS: Rate = Rate {
    per_second: 20.0,
    burst: 40.0,
};
/// The share of `UNKNOWN_TOKENS` that one address may use.
const UNKNOWN_TOKENS_PER_ADDRESS: Rate = Rate {
    per_second: UNKNOWN_TOKENS.per_second / 4.0,
    burst: UNKNOWN_TOKENS.burst / 4.0,
};

/// The key of callers on the local port.
const LOCAL_KEY: &str = "local";

/// Authenticates callers by their tokens, and authorizes them.
pub(crate) struct TokenAuthenticator {
    api: Api,
    metrics: Arc<Metrics>,
    state: Arc<Mutex<State>>,
    pub(super) access_reviewer: AccessReviewer,
}

/// A review that has not been answered yet.
type Pending = BoxFuture<'static, Result<Arc<UserInfo>, Status>>;
/// An answer shared by all callers who send the same token.
type Answer = Shared<Pending>;

/// Cached and pending answers about tokens, by the tokens' hashes, and the rate limits for reviews.
struct State {
    valid: Cache<[u8; 32], Arc<UserInfo>>,
    invalid: Cache<[u8; 32], Status>,
    pending: HashMap<[u8; 32], WeakShared<Pending>>,
    unknown: Bucket,
    unknown_by_address: Buckets<Option<IpAddr>>,
}

impl TokenAuthenticator {
    /// Creates an authenticator that sends its reviews through `api`.
    pub(crate) fn new(api: Api, metrics: Arc<Metrics>) -> Self {
        let state = State {
            valid: Cache::new(MAX_CACHED_TOKENS),
            invalid: Cache::new(MAX_CACHED_TOKENS),
            pending: HashMap::new(),
            unknown: Bucket::full(UNKNOWN_TOKENS, Instant::now()),
            unknown_by_address: Buckets::new(UNKNOWN_TOKENS_PER_ADDRESS),
        };
        Self {
            access_reviewer: AccessReviewer::new(api.clone(), metrics.clone()),
            api,
            metrics,
            state: Arc::new(Mutex::new(state)),
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

    /// Returns the answer about a token: a cached answer, that of a pending review, or that of a new review.
    fn answer(&self, token: &str, hash: [u8; 32], address: Option<IpAddr>) -> Result<Answer, Status> {
        let now = Instant::now();
        let count = |outcome| self.metrics.caller_review(Review::Token, outcome);
        let mut state = self.state.lock();
        if let Some(user) = state.valid.get(&hash, now) {
            count(ReviewOutcome::Cached);
            return Ok(futures::future::ready(Ok(user)).boxed().shared());
        }
        if let Some(refused) = state.invalid.get(&hash, now) {
            count(ReviewOutcome::Cached);
            return Err(refused);
        }
        if let Some(answer) = state.pending.get(&hash).and_then(WeakShared::upgrade) {
            count(ReviewOutcome::Cached);
            return Ok(answer);
        }
        if !state.try_admit(&hash, address, now) {
            count(ReviewOutcome::Refused);
            return Err(refusal::exhausted("too many unknown tokens need a review"));
        }
        count(ReviewOutcome::Made);
        let answer = review(self.api.clone(), self.state.clone(), token.to_owned(), hash)
            .boxed()
            .shared();
        // Entries whose callers are gone can't be upgraded any more.
        state.pending.retain(|_, answer| answer.upgrade().is_some());
        if let Some(pending) = answer.downgrade() {
            state.pending.insert(hash, pending);
        }
        Ok(answer)
    }
}

impl State {
    /// Returns whether a token may be reviewed now, and if so, counts the review against the rate limits. A token whose
    /// last answer was valid is always admitted and not counted, because the cache limits the number of such tokens.
    fn try_admit(&mut self, hash: &[u8; 32], address: Option<IpAddr>, now: Instant) -> bool {
        if self.valid.contains(hash) {
            return true;
        }
        let is_admitted = self.unknown.has_token(now) && self.unknown_by_address.has_token(&address, now);
        if is_admitted {
            self.unknown.take(now);
            self.unknown_by_address.take(address, now);
        }
        is_admitted
    }
}

/// Requests a review of a token, and caches the answer.
async fn review(
    api: Api,
    state: Arc<Mutex<State>>,
    token: String,
    hash: [u8; 32],
) -> Result<Arc<UserInfo>, Status> {
    let review = api.review_token(&token).await.map_err(review_failed)?;
    let until = Instant::now() + ANSWER_TTL;
    let mut state = state.lock();
    if let (Some(true), Some(user)) = (review.authenticated, review.user) {
        let user = Arc::new(user);
        state.invalid.remove(&hash);
        state.valid.insert(hash, user.clone(), until);
        return Ok(user);
    }
    let reason = review.error;
    let reason = reason.unwrap_or_else(|| "the API server doesn't know it".to_owned());
    let refused = Status::unauthenticated(format!("the token isn't valid: {reason}"));
    state.valid.remove(&hash);
    state.invalid.insert(hash, refused.clone(), until);
    Err(refused)
}

#[tonic::async_trait]
impl Authenticator for TokenAuthenticator {
    /// Callers on the local port need no token.
    async fn authenticate(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Authenticated, Status> {
        if peer.is_some_and(|peer| *peer.identity() == Identity::Plaintext) {
            return Ok(Authenticated::new(LOCAL_KEY, Caller::Unrestricted));
        }
        let user = self.user(token(headers)?, peer.and_then(Peer::network)).await?;
        let key = format!("user:{}", user.name());
        Ok(Authenticated::new(key, Caller::User(user)))
    }
}

/// Omits all tokens.
impl fmt::Debug for TokenAuthenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenAuthenticator")
            .finish_non_exhaustive()
    }
}

/// Returns the token in a request's headers.
fn token(headers: &HeaderMap) -> Result<&str, Status> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.filter(|token| !token.is_empty()).ok_or_else(|| {
        Status::unauthenticated(
            "a token of the cluster is required in the metadata `authorization: Bearer TOKEN`; `kubectl create token` \
             prints one",
        )
    })
}
