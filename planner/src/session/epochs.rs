//! Which term of leadership leads, cluster by cluster.
//!
//! A term counts for as long as a session of it is open, and for [`GRACE`] afterwards. Whoever claims a term that is far
//! too late keeps the others out while it stays, and not for longer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// For how long a term counts after its last session has ended. An executor may believe for the duration of a lease
/// (15 s) that it still leads, and takes up to 10 s to connect again. A leader that has been replaced gives up within
/// that time, so it isn't let in again; and a leader whose line was cut comes back before its term is forgotten.
const GRACE: Duration = Duration::from_secs(30);
/// How many clusters are remembered of which no session is open. Beyond, the one that is forgotten soonest goes first.
const MAX_ABSENT: usize = 1024;

/// The terms of each cluster that has a session, or had one just now.
#[derive(Debug, Default)]
pub struct Epochs {
    clusters: Arc<Mutex<Clusters>>,
}

#[derive(Debug, Default)]
struct Clusters {
    by_name: HashMap<Arc<str>, Cluster>,
}

#[derive(Debug)]
struct Cluster {
    /// The terms that count.
    terms: BTreeMap<u64, Term>,
    /// The term that was entered last, for the sessions that wait to be superseded.
    entered: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Term {
    /// So many sessions of it are open.
    Open(usize),
    /// None is open any more; it counts until then.
    LeftUntil(Instant),
}

/// A session's claim to be of the latest term, for as long as it lives.
#[derive(Debug)]
pub struct Lead {
    epoch: u64,
    entered: watch::Receiver<u64>,
    cluster: Arc<str>,
    clusters: Arc<Mutex<Clusters>>,
}

impl Epochs {
    /// Enters a session's term.
    ///
    /// # Errors
    /// A later term counts; it is returned.
    pub fn enter(&self, cluster: &str, epoch: u64) -> Result<Lead, u64> {
        let now = Instant::now();
        let mut clusters = self.clusters.lock();
        clusters.forget(now);
        let (name, known) = clusters.of(cluster);
        match known.latest() {
            Some(latest) if latest > epoch => return Err(latest),
            Some(_) | None => {}
        }
        known.open(epoch);
        // Also back from a term that doesn't count any more.
        known.entered.send_replace(epoch);
        Ok(Lead {
            epoch,
            entered: known.entered.subscribe(),
            cluster: name,
            clusters: self.clusters.clone(),
        })
    }
}

impl Clusters {
    fn of(&mut self, cluster: &str) -> (Arc<str>, &mut Cluster) {
        let known = self.by_name.get_key_value(cluster);
        let name = known.map_or_else(|| Arc::from(cluster), |(name, _)| name.clone());
        let known = self.by_name.entry(name.clone()).or_insert_with(|| Cluster {
            terms: BTreeMap::new(),
            entered: watch::Sender::new(0),
        });
        (name, known)
    }

    /// Forgets the terms whose time is over, and clusters without any.
    fn forget(&mut self, now: Instant) {
        self.by_name.retain(|_, cluster| {
            cluster.terms.retain(|_, term| match term {
                Term::Open(_) => true,
                Term::LeftUntil(until) => now < *until,
            });
            !cluster.terms.is_empty()
        });
    }

    /// A session has ended.
    fn leave(&mut self, cluster: &str, epoch: u64, now: Instant) {
        self.forget(now);
        if let Some(known) = self.by_name.get_mut(cluster) {
            known.leave(epoch, now);
        }
        let absent = self
            .by_name
            .iter()
            .filter_map(|(name, cluster)| Some((cluster.until()?, name)));
        let absent: Vec<_> = absent.collect();
        if absent.len() > MAX_ABSENT
            && let Some((_, name)) = absent.into_iter().min()
        {
            let name = name.clone();
            self.by_name.remove(&name);
        }
    }
}

impl Cluster {
    /// The latest term that counts.
    fn latest(&self) -> Option<u64> {
        self.terms.last_key_value().map(|(epoch, _)| *epoch)
    }

    fn open(&mut self, epoch: u64) {
        let term = self.terms.entry(epoch).or_insert(Term::Open(0));
        *term = match *term {
            Term::Open(sessions) => Term::Open(sessions + 1),
            Term::LeftUntil(_) => Term::Open(1),
        };
    }

    fn leave(&mut self, epoch: u64, now: Instant) {
        match self.terms.get_mut(&epoch) {
            Some(Term::Open(sessions)) if *sessions > 1 => *sessions -= 1,
            Some(term) => {
                *term = Term::LeftUntil(now + GRACE);
                // What has left before counts for a shorter time, and there is a later term for all of it.
                self.terms
                    .retain(|earlier, term| *earlier >= epoch || matches!(term, Term::Open(_)));
            }
            None => {}
        }
    }

    /// Until when the last term counts, if no session is open.
    fn until(&self) -> Option<Instant> {
        let untils = self.terms.values().map(|term| match term {
            Term::Open(_) => None,
            Term::LeftUntil(until) => Some(*until),
        });
        untils.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let now = Instant::now();
        self.clusters.lock().leave(&self.cluster, self.epoch, now);
    }
}

impl Lead {
    /// The session's own term.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Waits until a session of a later term enters, and returns that term.
    pub async fn superseded(&mut self) -> u64 {
        let own = self.epoch;
        let later = self.entered.wait_for(|entered| *entered > own).await;
        match later.map(|later| *later) {
            Ok(later) => later,
            // What a cluster's sessions wait for lives as long as they do.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
