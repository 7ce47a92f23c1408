//! Who a caller is. The gate asks before a call gets a place, so that callers who can't say who they are take none.

use std::{any::Any, fmt, sync::Arc};

use http::HeaderMap;
use tonic::{Code, Status};

use super::{
    Peer, Refusal, refusal,
    room::Room,
    shares::{Caller, Full, Shares},
};

/// Authentications that are pending at the same time: enough for a burst of new tokens, and a bound for the memory and
/// the time that callers take before anybody knows who they are.
const MAX_PENDING: usize = 64;
/// Those of one address, so that one doesn't keep the others waiting.
const MAX_PENDING_OF_ADDRESS: usize = MAX_PENDING / 4;

/// Finds out who sends a request, by its headers and its connection. The gate asks for the service's own methods, within
/// the call's deadline; health and reflection need no authentication.
#[tonic::async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Authenticates a caller. Without a [`Peer`] the request didn't come by a connection of a [`Server`](super::Server).
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the caller can't be let in, or the reason why nobody can tell at the moment.
    async fn authenticate(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Authenticated, Status>;
}

/// A caller that has been authenticated. Handlers find it in the request's extensions.
#[derive(Clone)]
pub struct Authenticated {
    key: Arc<str>,
    caller: Arc<dyn Any + Send + Sync>,
}

impl Authenticated {
    /// A caller with a key that is the same for all of their requests, such as `user:NAME`, and what the service wants to
    /// know of them.
    pub fn new<T: Any + Send + Sync>(key: impl Into<Arc<str>>, caller: T) -> Self {
        Self {
            key: key.into(),
            caller: Arc::new(caller),
        }
    }

    /// Tells callers apart, for limits that are shared fairly among them.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the service wants to know of the caller, if the authenticator has given a value of this type.
    pub fn caller<T: Any>(&self) -> Option<&T> {
        self.caller.downcast_ref()
    }
}

/// Without what the service knows of the caller.
impl fmt::Debug for Authenticated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authenticated")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// An authenticator with bounds on how many callers it is asked about at the same time.
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
    /// As [`Authenticator::authenticate`], and `RESOURCE_EXHAUSTED` when too many are pending.
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
