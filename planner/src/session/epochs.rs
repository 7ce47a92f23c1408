//! Tracks the current term of leadership of each cluster.
//!
//! A term counts while one of its sessions is open, and for [`GRACE`] afterwards. An executor that claims a term that
//! is far too high locks the others out while that term counts, but no longer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// How long a term counts after its last session has ended. An executor may still believe that it leads for the
/// duration of its lease, 15 s, and takes up to 10 s to reconnect. A replaced leader gives up within this time, so it
/// isn't admitted again. A leader that lost its connection reconnects before its term is forgotten.
const GRACE: Duration = Duration::from_secs(30);
/// How many clusters without an open session are remembered. Beyond this number, the cluster whose term expires first
/// is dropped.
const MAX_ABSENT: usize = 1024;

/// The terms of each cluster that has a session or had one recently.
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
    /// The term that was entered last. Sessions watch it to notice that a later term supersedes them.
    entered: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Term {
    /// The number of open sessions of the term.
    Open(usize),
    /// No session is open anymore, and the term counts until this time.
    ExpiresAt(Instant),
}

/// Why a session can't begin or go on: a later term counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "epoch {epoch} is superseded: another executor leads the cluster with epoch {latest}, or did so until a few seconds \
     ago"
)]
pub struct SupersededTerm {
    /// The session's term.
    pub epoch: u64,
    /// The latest term that counts.
    pub latest: u64,
}

/// A session's claim to the latest term. Dropping it ends the claim.
#[derive(Debug)]
pub struct LeadershipClaim {
    epoch: u64,
    entered: watch::Receiver<u64>,
    cluster: Arc<str>,
    clusters: Arc<Mutex<Clusters>>,
}

impl Epochs {
    /// Enters a session's term.
    ///
    /// # Errors
    /// A later term than `epoch` counts.
    pub fn enter(&self, cluster: &str, epoch: u64) -> Result<LeadershipClaim, SupersededTerm> {
        let now = Instant::now();
        let mut clusters = self.clusters.lock();
        clusters.remove_expired(now);
        let (name, entry) = clusters.entry(cluster);
        match entry.latest() {
            Some(latest) if latest > epoch => return Err(SupersededTerm { epoch, latest }),
            Some(_) | None => {}
        }
        entry.open(epoch);
        // The value may also go down, when the higher term no longer counts.
        entry.entered.send_replace(epoch);
        Ok(LeadershipClaim {
            epoch,
            entered: entry.entered.subscribe(),
            cluster: name,
            clusters: self.clusters.clone(),
        })
    }
}

impl Clusters {
    fn entry(&mut self, cluster: &str) -> (Arc<str>, &mut Cluster) {
        let entry = self.by_name.get_key_value(cluster);
        let name = entry.map_or_else(|| Arc::from(cluster), |(name, _)| name.clone());
        let entry = self.by_name.entry(name.clone()).or_insert_with(|| Cluster {
            terms: BTreeMap::new(),
            entered: watch::Sender::new(0),
        });
        (name, entry)
    }

    /// Removes terms that have expired, and clusters that have no terms left.
    fn remove_expired(&mut self, now: Instant) {
        self.by_name.retain(|_, cluster| {
            cluster.terms.retain(|_, term| match term {
                Term::Open(_) => true,
                Term::ExpiresAt(until) => now < *until,
            });
            !cluster.terms.is_empty()
        });
    }

    /// Records that a session has ended.
    fn end_session(&mut self, cluster: &str, epoch: u64, now: Instant) {
        self.remove_expired(now);
        if let Some(entry) = self.by_name.get_mut(cluster) {
            entry.end_session(epoch, now);
        }
        let absent = self
            .by_name
            .iter()
            .filter_map(|(name, cluster)| Some((cluster.expires_at()?, name)));
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
            Term::ExpiresAt(_) => Term::Open(1),
        };
    }

    fn end_session(&mut self, epoch: u64, now: Instant) {
        match self.terms.get_mut(&epoch) {
            Some(Term::Open(sessions)) if *sessions > 1 => *sessions -= 1,
            Some(term) => {
                *term = Term::ExpiresAt(now + GRACE);
                // Earlier terms without a session expire sooner, and this later term supersedes them all.
                self.terms
                    .retain(|earlier, term| *earlier >= epoch || matches!(term, Term::Open(_)));
            }
            None => {}
        }
    }

    /// When the last of the terms expires. `None` while a session is open.
    fn expires_at(&self) -> Option<Instant> {
        let expiries = self.terms.values().map(|term| match term {
            Term::Open(_) => None,
            Term::ExpiresAt(until) => Some(*until),
        });
        expiries.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

impl Drop for LeadershipClaim {
    fn drop(&mut self) {
        let now = Instant::now();
        self.clusters.lock().end_session(&self.cluster, self.epoch, now);
    }
}

impl LeadershipClaim {
    /// Waits until a session of a later term enters.
    pub async fn superseded(&mut self) -> SupersededTerm {
        let epoch = self.epoch;
        let later = self.entered.wait_for(|entered| *entered > epoch).await;
        match later.map(|later| *later) {
            Ok(latest) => SupersededTerm { epoch, latest },
            // The sender lives as long as the cluster's sessions, so this doesn't happen.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
