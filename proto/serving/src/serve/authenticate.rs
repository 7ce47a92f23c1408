//! Authentication of callers. The gate authenticates before it gives a call a slot, so callers who can't authenticate
//! take no slots.

use std::{any::Any, fmt, sync::Arc};

use http::HeaderMap;
use tonic::{Code, Status};

use super::{
    Peer, Refusal, refusal,
    room::Room,
    shares::{Caller, Full, Shares},
};

/// Limit of concurrent pending authentications. It is enough for a burst of new tokens, and it bounds the memory and
/// the time that callers can take before they are authenticated.
const MAX_PENDING: usize = 64;
/// Limit of pending authentications from one address, so that one address doesn't keep the others waiting.
const MAX_PENDING_OF_ADDRESS: usize = MAX_PENDING / 4;

/// Authenticates the sender of a request by its headers and its connection. The gate calls it for the service's own
/// methods, within the call's deadline. Health and reflection need no authentication.
#[tonic::async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Authenticates a caller. `peer` is `None` when the request didn't arrive on a connection of a
    /// [`Server`](super::Server).
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the caller isn't accepted. Any other status gives the reason why the caller can't be
    /// authenticated at the moment.
    async fn authenticate(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Authenticated, Status>;
}

/// An authenticated caller. Handlers find it in the request's extensions.
#[derive(Clone)]
pub struct Authenticated {
    key: Arc<str>,
    caller: Arc<dyn Any + Send + Sync>,
}

impl Authenticated {
    /// Creates a caller. `key` is the same for all requests of the caller, such as `user:NAME`; `caller` is what the
    /// service wants to know about the caller.
    pub fn new<T: Any + Send + Sync>(key: impl Into<Arc<str>>, caller: T) -> Self {
        Self {
            key: key.into(),
            caller: Arc::new(caller),
        }
    }

    /// The key that tells callers apart, for limits that are shared fairly among them.
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

/// An authenticator with limits on concurrent pending authentications.
#[derive(Debug)]
pub(super) struct Authentication {
    authenticator: Arc<dyn Authenticator>,
    pending: Shares,
}

impl Authentication {
    pub(super) fn new(authenticator: Arc<dyn Authenticator>) -> Self {
        Self {
            authenticator,
            pending: Shares::new(MAX_PENDING, MAX_PENDING_OF_ADDRESS),
        }
    }

    /// Authenticates the sender of a request.
    ///
    /// # Errors
    /// Those of [`Authenticator::authenticate`], and `RESOURCE_EXHAUSTED` when too many authentications are pending.
    pub(super) async fn check(
        &self,
        room: &Room,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Authenticated, Status> {
        let caller = peer.and_then(Peer::network).map(Caller::Network);
        let _share = self.pending.try_take(caller.as_ref(), 1).map_err(|full| {
            let (most, callers) = match full {
                Full::OfAll => (MAX_PENDING, "callers"),
                Full::OfCaller => (MAX_PENDING_OF_ADDRESS, "callers from this address"),
            };
            let refused = refusal::too_many_authentications(most, callers);
            room.refuse(Refusal::Authentications, refused)
        })?;
        let authenticated = self.authenticator.authenticate(headers, peer).await;
        authenticated.map_err(|status| match status.code() {
            Code::Unauthenticated => room.refuse(Refusal::Unauthenticated, status),
            Code::ResourceExhausted => room.refuse(Refusal::Authentications, status),
            _ => status,
        })
    }
}
