//! A semaphore that also limits the permits of each caller.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{Authenticated, Peer};

/// How many requests may wait for one semaphore. Each waiting request keeps its headers in memory, and one
/// connection may send a hundred requests.
const MAX_WAITING: usize = 512;
/// At this number of tracked callers, those that hold no permits are removed.
const MAX_TRACKED_CALLERS: usize = 1_024;

/// The caller that a per-caller limit applies to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// All callers behind one address, or behind the addresses that one host can choose from.
    Network(IpAddr),
    /// An authenticated user.
    User(Arc<str>),
}

impl Caller {
    /// The authenticated user, or else the network that the connection comes from. `None` on the local port,
    /// where callers can't be distinguished.
    pub(super) fn from_extensions(extensions: &http::Extensions) -> Option<Self> {
        if extensions.get::<Peer>().is_some_and(|peer| peer.is_local) {
            return None;
        }
        if let Some(user) = extensions.get::<Authenticated>() {
            return Some(Self::User(user.key().into()));
        }
        extensions
            .get::<Peer>()
            .and_then(Peer::network)
            .map(Self::Network)
    }
}

/// A semaphore with a limit of permits for each caller, in addition to the limit for all callers together.
#[derive(Debug)]
pub(super) struct FairSemaphore {
    total: Arc<Semaphore>,
    max_permits: u32,
    max_per_caller: u32,
    waiting: AtomicUsize,
    callers: Mutex<HashMap<Caller, Weak<Semaphore>>>,
}

/// Permits of a [`FairSemaphore`]. Dropping this returns them.
#[derive(Debug)]
pub(super) struct FairPermit {
    _of_total: OwnedSemaphorePermit,
    _of_caller: Option<(Arc<Semaphore>, OwnedSemaphorePermit)>,
}

/// Why permits aren't free now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TryAcquireError {
    /// The caller's limit is reached.
    CallerLimit,
    /// The limit for all callers is reached.
    TotalLimit,
}

/// The permits didn't become free in time, too many requests are waiting already, or the caller may never hold
/// so many permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AcquireError;

impl FairSemaphore {
    /// `max_permits` permits, of which one caller can hold at most `max_per_caller`.
    pub(super) fn new(max_permits: usize, max_per_caller: usize) -> Self {
        let permits = |count: usize| u32::try_from(count.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let max_permits = permits(max_permits);
        Self {
            total: semaphore(max_permits),
            max_permits,
            max_per_caller: permits(max_per_caller).clamp(1, max_permits.max(1)),
            waiting: AtomicUsize::new(0),
            callers: Mutex::default(),
        }
    }

    /// `max_permits` permits, of which one caller can hold half.
    pub(super) fn half_per_caller(max_permits: usize) -> Self {
        Self::new(max_permits, max_permits.div_ceil(2))
    }

    /// How many permits a caller can hold at most: all of them if the caller isn't known.
    pub(super) fn max_for(&self, caller: Option<&Caller>) -> u32 {
        caller.map_or(self.max_permits, |_| self.max_per_caller)
    }

    /// Takes `count` permits. Waits for them until `max_wait` has passed.
    pub(super) async fn acquire(
        &self,
        caller: Option<&Caller>,
        count: u32,
        max_wait: Duration,
    ) -> Result<FairPermit, AcquireError> {
        if count > self.max_for(caller) {
            return Err(AcquireError);
        }
        if let Ok(permit) = self.try_acquire(caller, count) {
            return Ok(permit);
        }
        let _waiting = WaitingGuard::new(&self.waiting)?;
        let own = caller.map(|caller| self.caller_semaphore(caller));
        let acquired = async {
            // The caller's own permits come first. While a request waits for those, it must not hold permits that
            // other callers could use.
            let of_caller = match own {
                Some(own) => Some((own.clone(), own.acquire_many_owned(count).await.ok()?)),
                None => None,
            };
            let of_total = self.total.clone().acquire_many_owned(count).await.ok()?;
            Some(FairPermit {
                _of_total: of_total,
                _of_caller: of_caller,
            })
        };
        timeout(max_wait, acquired)
            .await
            .ok()
            .flatten()
            .ok_or(AcquireError)
    }

    /// Takes `count` permits if they are free now.
    pub(super) fn try_acquire(
        &self,
        caller: Option<&Caller>,
        count: u32,
    ) -> Result<FairPermit, TryAcquireError> {
        let of_caller = match caller.map(|caller| self.caller_semaphore(caller)) {
            Some(own) => {
                let permits = own.clone().try_acquire_many_owned(count);
                Some((own, permits.map_err(|_| TryAcquireError::CallerLimit)?))
            }
            None => None,
        };
        let of_total = self.total.clone().try_acquire_many_owned(count);
        Ok(FairPermit {
            _of_total: of_total.map_err(|_| TryAcquireError::TotalLimit)?,
            _of_caller: of_caller,
        })
    }

    /// The semaphore with the permits that one caller can hold.
    fn caller_semaphore(&self, caller: &Caller) -> Arc<Semaphore> {
        let mut callers = self.callers.lock();
        if let Some(own) = callers.get(caller).and_then(Weak::upgrade) {
            return own;
        }
        if callers.len() >= MAX_TRACKED_CALLERS {
            callers.retain(|_, own| own.strong_count() > 0);
        }
        let own = semaphore(self.max_per_caller);
        callers.insert(caller.clone(), Arc::downgrade(&own));
        own
    }
}

fn semaphore(permits: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(usize::MAX)))
}

/// Counts as one waiting request until it is dropped.
struct WaitingGuard<'a>(&'a AtomicUsize);

impl<'a> WaitingGuard<'a> {
    fn new(waiting: &'a AtomicUsize) -> Result<Self, AcquireError> {
        let this = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING {
            Ok(this)
        } else {
            Err(AcquireError)
        }
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_WAIT: Duration = Duration::from_secs(1);

    fn caller(address: &str) -> Caller {
        Caller::Network(address.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_never_holds_more_than_its_share_and_others_get_the_rest() {
        let semaphore = FairSemaphore::half_per_caller(4);
        let (one, other) = (caller("10.0.0.1"), caller("10.0.0.2"));
        let held: Vec<_> = (0..2)
            .map(|_| semaphore.try_acquire(Some(&one), 1).unwrap())
            .collect();
        assert_eq!(
            semaphore.acquire(Some(&one), 1, MAX_WAIT).await.unwrap_err(),
            AcquireError
        );
        let others = [semaphore.acquire(Some(&other), 2, MAX_WAIT).await.unwrap()];
        assert!(
            semaphore.try_acquire(Some(&caller("10.0.0.3")), 1).is_err(),
            "all are taken"
        );
        drop(held);
        assert!(semaphore.acquire(Some(&one), 2, MAX_WAIT).await.is_ok());
        drop(others);
        // `None` stands for many unknown callers, such as those on in-memory connections, so it may take
        // everything.
        assert!(semaphore.acquire(None, 4, MAX_WAIT).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn caller_that_waits_for_its_own_share_blocks_no_other_caller() {
        let semaphore = Arc::new(FairSemaphore::half_per_caller(4));
        let one = caller("10.0.0.1");
        let _held = semaphore.try_acquire(Some(&one), 2).unwrap();
        let waiting = {
            let (semaphore, one) = (semaphore.clone(), one.clone());
            tokio::spawn(async move { semaphore.acquire(Some(&one), 2, MAX_WAIT).await.map(drop) })
        };
        tokio::task::yield_now().await;
        assert!(semaphore.try_acquire(Some(&caller("10.0.0.2")), 2).is_ok());
        assert_eq!(waiting.await.unwrap(), Err(AcquireError));
    }

    #[tokio::test(start_paused = true)]
    async fn request_that_can_never_be_granted_is_refused_at_once() {
        let semaphore = FairSemaphore::new(8, 6);
        let began = tokio::time::Instant::now();
        assert!(
            semaphore
                .acquire(Some(&caller("10.0.0.1")), 7, MAX_WAIT)
                .await
                .is_err()
        );
        assert!(semaphore.acquire(None, 9, MAX_WAIT).await.is_err());
        assert!(began.elapsed().is_zero());
        assert_eq!(
            (semaphore.max_for(None), semaphore.max_for(Some(&caller("::1")))),
            (8, 6)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn number_of_waiting_requests_is_limited() {
        let semaphore = Arc::new(FairSemaphore::half_per_caller(1));
        let held = semaphore.try_acquire(None, 1).unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let semaphore = semaphore.clone();
                tokio::spawn(async move { semaphore.acquire(None, 1, MAX_WAIT).await.map(drop) })
            })
            .collect();
        while semaphore.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        let began = tokio::time::Instant::now();
        assert!(semaphore.acquire(None, 1, MAX_WAIT).await.is_err());
        assert!(began.elapsed().is_zero(), "it is refused without a wait");
        drop(held);
        assert_eq!(waiting.swap_remove(0).await.unwrap(), Ok(()));
    }

    #[test]
    fn callers_that_hold_no_permits_are_removed() {
        let semaphore = FairSemaphore::half_per_caller(4);
        for index in 0..10 * u32::try_from(MAX_TRACKED_CALLERS).unwrap() {
            let one = Caller::Network(std::net::Ipv4Addr::from(index).into());
            let _ = semaphore.try_acquire(Some(&one), 1);
        }
        assert!(semaphore.callers.lock().len() <= MAX_TRACKED_CALLERS);
    }
}
