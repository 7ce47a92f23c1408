//! A limit that no single caller can use up.

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

/// How many requests may wait for one limit. Each waiting request keeps its headers in memory, and one
/// connection may bring a hundred requests.
const MOST_WAITING: usize = 512;
/// Once this many callers are remembered, those that hold no permits are forgotten.
const MOST_REMEMBERED: usize = 1_024;

/// The caller that a per-caller limit applies to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// Everybody behind one address, or behind the addresses that one host can choose from.
    Network(IpAddr),
    /// An authenticated user.
    User(Arc<str>),
}

impl Caller {
    /// The authenticated user, or else the network that the connection comes from. `None` on the local port,
    /// where callers can't be told apart.
    pub(super) fn of(request: &http::Extensions) -> Option<Self> {
        if request.get::<Peer>().is_some_and(|peer| peer.is_local) {
            return None;
        }
        if let Some(user) = request.get::<Authenticated>() {
            return Some(Self::User(user.key().into()));
        }
        request.get::<Peer>().and_then(Peer::network).map(Self::Network)
    }
}

/// Permits that all callers share. One caller can hold only a part of them.
#[derive(Debug)]
pub(super) struct Shares {
    all: Arc<Semaphore>,
    capacity: u32,
    most_for_one: u32,
    waiting: AtomicUsize,
    callers: Mutex<HashMap<Caller, Weak<Semaphore>>>,
}

/// Permits in use. Dropping this returns them.
#[derive(Debug)]
pub(super) struct Share {
    _of_all: OwnedSemaphorePermit,
    _of_one: Option<(Arc<Semaphore>, OwnedSemaphorePermit)>,
}

/// Why a permit isn't free now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The caller holds as many permits as one caller may.
    OfCaller,
    /// All callers together hold too many permits.
    OfAll,
}

/// No permit became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Shares {
    /// `capacity` permits, of which one caller can hold at most `most_for_one`.
    pub(super) fn new(capacity: usize, most_for_one: usize) -> Self {
        let permits = |count: usize| u32::try_from(count.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let capacity = permits(capacity);
        Self {
            all: semaphore(capacity),
            capacity,
            most_for_one: permits(most_for_one).clamp(1, capacity.max(1)),
            waiting: AtomicUsize::new(0),
            callers: Mutex::default(),
        }
    }

    /// `capacity` permits, of which one caller can hold half.
    pub(super) fn halved(capacity: usize) -> Self {
        Self::new(capacity, capacity.div_ceil(2))
    }

    /// How many permits a caller can hold at most: all of them when the caller isn't known.
    pub(super) fn most_for(&self, caller: Option<&Caller>) -> u32 {
        caller.map_or(self.capacity, |_| self.most_for_one)
    }

    /// Takes `count` permits, waiting for them for at most `patience`.
    pub(super) async fn take(
        &self,
        caller: Option<&Caller>,
        count: u32,
        patience: Duration,
    ) -> Result<Share, Exhausted> {
        if count > self.most_for(caller) {
            return Err(Exhausted);
        }
        if let Ok(share) = self.try_take(caller, count) {
            return Ok(share);
        }
        let _waits = Waiting::among(&self.waiting)?;
        let own = caller.map(|caller| self.own(caller));
        let permits = async {
            // The caller's own permits come first. While it waits for those, it must not hold permits that
            // others could use.
            let of_one = match own {
                Some(own) => Some((own.clone(), own.acquire_many_owned(count).await.ok()?)),
                None => None,
            };
            let of_all = self.all.clone().acquire_many_owned(count).await.ok()?;
            Some(Share {
                _of_all: of_all,
                _of_one: of_one,
            })
        };
        timeout(patience, permits).await.ok().flatten().ok_or(Exhausted)
    }

    /// Takes `count` permits if they are free now.
    pub(super) fn try_take(&self, caller: Option<&Caller>, count: u32) -> Result<Share, Full> {
        let of_one = match caller.map(|caller| self.own(caller)) {
            Some(own) => {
                let permits = own.clone().try_acquire_many_owned(count);
                Some((own, permits.map_err(|_| Full::OfCaller)?))
            }
            None => None,
        };
        let of_all = self.all.clone().try_acquire_many_owned(count);
        Ok(Share {
            _of_all: of_all.map_err(|_| Full::OfAll)?,
            _of_one: of_one,
        })
    }

    /// The permits of one caller.
    fn own(&self, caller: &Caller) -> Arc<Semaphore> {
        let mut callers = self.callers.lock();
        if let Some(own) = callers.get(caller).and_then(Weak::upgrade) {
            return own;
        }
        if callers.len() >= MOST_REMEMBERED {
            callers.retain(|_, own| own.strong_count() > 0);
        }
        let own = semaphore(self.most_for_one);
        callers.insert(caller.clone(), Arc::downgrade(&own));
        own
    }
}

fn semaphore(permits: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(usize::MAX)))
}

/// Counts as one waiting request until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(waiting: &'a AtomicUsize) -> Result<Self, Exhausted> {
        let this = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING {
            Ok(this)
        } else {
            Err(Exhausted)
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn caller(address: &str) -> Caller {
        Caller::Network(address.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_never_holds_more_than_its_share_and_others_get_the_rest() {
        let shares = Shares::halved(4);
        let (one, other) = (caller("10.0.0.1"), caller("10.0.0.2"));
        let held: Vec<_> = (0..2).map(|_| shares.try_take(Some(&one), 1).unwrap()).collect();
        assert_eq!(shares.take(Some(&one), 1, PATIENCE).await.unwrap_err(), Exhausted);
        let others = [shares.take(Some(&other), 2, PATIENCE).await.unwrap()];
        assert!(
            shares.try_take(Some(&caller("10.0.0.3")), 1).is_err(),
            "all are taken"
        );
        drop(held);
        assert!(shares.take(Some(&one), 2, PATIENCE).await.is_ok());
        drop(others);
        // `None` covers many unknown callers, such as those on in-memory connections, so it may take
        // everything.
        assert!(shares.take(None, 4, PATIENCE).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_waits_for_its_own_share_keeps_nothing_from_the_others() {
        let shares = Arc::new(Shares::halved(4));
        let one = caller("10.0.0.1");
        let _held = shares.try_take(Some(&one), 2).unwrap();
        let waiting = {
            let (shares, one) = (shares.clone(), one.clone());
            tokio::spawn(async move { shares.take(Some(&one), 2, PATIENCE).await.map(drop) })
        };
        tokio::task::yield_now().await;
        assert!(shares.try_take(Some(&caller("10.0.0.2")), 2).is_ok());
        assert_eq!(waiting.await.unwrap(), Err(Exhausted));
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_never_be_granted_is_refused_at_once() {
        let shares = Shares::new(8, 6);
        let began = tokio::time::Instant::now();
        assert!(shares.take(Some(&caller("10.0.0.1")), 7, PATIENCE).await.is_err());
        assert!(shares.take(None, 9, PATIENCE).await.is_err());
        assert!(began.elapsed().is_zero());
        assert_eq!(
            (shares.most_for(None), shares.most_for(Some(&caller("::1")))),
            (8, 6)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_may_wait() {
        let shares = Arc::new(Shares::halved(1));
        let held = shares.try_take(None, 1).unwrap();
        let mut waiting: Vec<_> = (0..MOST_WAITING)
            .map(|_| {
                let shares = shares.clone();
                tokio::spawn(async move { shares.take(None, 1, PATIENCE).await.map(drop) })
            })
            .collect();
        while shares.waiting.load(Ordering::Relaxed) < MOST_WAITING {
            tokio::task::yield_now().await;
        }
        let began = tokio::time::Instant::now();
        assert!(shares.take(None, 1, PATIENCE).await.is_err());
        assert!(began.elapsed().is_zero(), "it is refused without a wait");
        drop(held);
        assert_eq!(waiting.swap_remove(0).await.unwrap(), Ok(()));
    }

    #[test]
    fn callers_that_hold_nothing_are_forgotten() {
        let shares = Shares::halved(4);
        for index in 0..10 * u32::try_from(MOST_REMEMBERED).unwrap() {
            let one = Caller::Network(std::net::Ipv4Addr::from(index).into());
            let _ = shares.try_take(Some(&one), 1);
        }
        assert!(shares.callers.lock().len() <= MOST_REMEMBERED);
    }
}
