//! Authentication of callers. It happens before a call gets a slot, so callers who can't authenticate take no slots.

use std::{any::Any, fmt, sync::Arc};

use http::HeaderMap;
use tonic::{Code, Status};

use super::{
    Peer, Refusal,
    fair_semaphore::{Caller, FairSemaphore, TryAcquireError},
    limiter::Limiter,
    refusal,
};

/// Limit on concurrent authentications. It is enough for a burst of new tokens, and it limits the memory and the time
/// that callers can take before they are authenticated.
const MAX_CONCURRENT: usize = 64;
/// Limit on concurrent authentications from one address, so that one address doesn't block the others.
const MAX_CONCURRENT_PER_ADDRESS: usize = MAX_CONCURRENT / 4;

/// Authenticates callers by the headers and the connection of a request. The server calls it for the service's own
/// methods, within the call's deadline. Health and reflection need no authentication.
#[tonic::async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Authenticates a caller. `peer` is `None` when the request didn't arrive on a connection of a
    /// [`Server`](super::Server).
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the caller isn't accepted. Another status says why authentication isn't possible now.
    async fn authenticate(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Authenticated, Status>;
}

/// An authenticated caller. Handlers find it in the request's extensions.
#[derive(Clone)]
pub struct Authenticated {
    key: Arc<str>,
    caller: Arc<dyn Any + Send + Sync>,
}

impl Authenticated {
    /// `key` identifies the caller in all its requests, such as `user:NAME`. `caller` is the service's data about the
    /// caller.
    pub fn new<T: Any + Send + Sync>(key: impl Into<Arc<str>>, caller: T) -> Self {
        Self {
            key: key.into(),
            caller: Arc::new(caller),
        }
    }

    /// The key that identifies the caller in per-caller limits.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The service's data about the caller, if the authenticator has set a value of this type.
    pub fn caller<T: Any>(&self) -> Option<&T> {
        self.caller.downcast_ref()
    }
}

/// Omits the service's data about the caller.
impl fmt::Debug for Authenticated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authenticated")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// An authenticator with a limit on concurrent authentications.
#[derive(Debug)]
pub(super) struct LimitedAuthenticator {
    authenticator: Arc<dyn Authenticator>,
    semaphore: FairSemaphore,
}

impl LimitedAuthenticator {
    pub(super) fn new(authenticator: Arc<dyn Authenticator>) -> Self {
        Self {
            authenticator,
            semaphore: FairSemaphore::new(MAX_CONCURRENT, MAX_CONCURRENT_PER_ADDRESS),
        }
    }

    /// Authenticates the caller of a request.
    ///
    /// # Errors
    /// Those of [`Authenticator::authenticate`], and `RESOURCE_EXHAUSTED` when too many authentications are in
    /// progress.
    pub(super) async fn authenticate(
        &self,
        limiter: &Limiter,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Authenticated, Status> {
        let caller = peer.and_then(Peer::network).map(Caller::Network);
        let _permit = self.semaphore.try_acquire(caller.as_ref(), 1).map_err(|error| {
            let (max, callers) = match error {
                TryAcquireError::TotalLimit => (MAX_CONCURRENT, "callers"),
                TryAcquireError::CallerLimit => (MAX_CONCURRENT_PER_ADDRESS, "callers from this address"),
            };
            let status = refusal::too_many_authentications(max, callers);
            limiter.refuse(Refusal::Authentications, status)
        })?;
        let authenticated = self.authenticator.authenticate(headers, peer).await;
        authenticated.map_err(|status| match status.code() {
            Code::Unauthenticated => limiter.refuse(Refusal::Unauthenticated, status),
            Code::ResourceExhausted => limiter.refuse(Refusal::Authentications, status),
            _ => status,
        })
    }
}
