//! Leadership: of several executors of a cluster, the leader has a session with the planner and carries out its plans.

use tokio::sync::watch;

use crate::watch::Freshness;

/// Who leads, as far as this executor knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The name of the leading executor; empty when none is known.
    pub leader: String,
    /// Whether this executor is the leader.
    pub is_us: bool,
    /// The term in which this executor leads, if it does. A later leader has a higher term.
    pub term: u64,
}

impl Leadership {
    /// This executor leads under this name, in the only term there is.
    pub fn ours(identity: &str) -> Self {
        Self::ours_in(identity, 0)
    }

    /// This executor leads under this name, in this term.
    pub fn ours_in(identity: &str, term: u64) -> Self {
        Self {
            leader: identity.to_owned(),
            is_us: true,
            term,
        }
    }

    /// Another executor leads. An empty name means that no leader is known.
    pub fn of(leader: &str) -> Self {
        Self {
            leader: leader.to_owned(),
            ..Self::default()
        }
    }

    /// The executor to ask for what only the leader knows; empty when this one leads.
    pub fn other(&self) -> &str {
        if self.is_us { "" } else { &self.leader }
    }
}

/// Passes on the election's results. When this executor has won, it first waits until the watches show what the
/// previous leader has done. Returns when the election ends.
pub async fn once_fresh(
    mut won: watch::Receiver<Leadership>,
    leads: watch::Sender<Leadership>,
    mut freshness: Freshness,
) {
    loop {
        let now = won.borrow_and_update().clone();
        if now.is_us {
            tokio::select! {
                () = freshness.reached() => {}
                changed = won.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
        }
        leads.send_replace(now);
        if won.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until this executor no longer leads, and returns who does.
pub async fn lost(leadership: &mut watch::Receiver<Leadership>) -> Leadership {
    let now = leadership.wait_for(|now| !now.is_us).await;
    let now = now.map(|now| now.clone()).ok();
    match now {
        Some(now) => now,
        // No sender is left that could change it.
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{KINDS, freshness};

    #[tokio::test]
    async fn who_wins_leads_when_the_watches_are_fresh_and_who_loses_stops_at_once() {
        let (freshness, _proofs) = freshness(KINDS);
        let (wins, won) = watch::channel(Leadership::default());
        let (leads, mut seen) = watch::channel(Leadership::of("other"));
        let telling = tokio::spawn(once_fresh(won, leads, freshness));
        wins.send_replace(Leadership::ours_in("me", 7));
        // The watches never report that they are fresh, so winning has no effect.
        wins.send_replace(Leadership::of("third"));
        let now = seen.wait_for(|now| now.leader == "third").await.unwrap().clone();
        assert!(!now.is_us);
        drop(wins);
        telling.await.unwrap();
    }
}
