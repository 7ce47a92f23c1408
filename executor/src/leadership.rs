//! Who leads: of several executors of a cluster, one has a session with the planner and carries out its plans.

use tokio::sync::watch;

use crate::watch::Freshness;

/// Who leads, as far as this executor knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The name of the executor that leads; empty when none is known to.
    pub leader: String,
    /// Whether that is this one.
    pub is_us: bool,
    /// The term that this executor leads in, if it does. Whoever leads later has a higher one.
    pub term: u64,
}

impl Leadership {
    /// This executor leads, by this name, in the only term that there is.
    pub fn ours(identity: &str) -> Self {
        Self::ours_in(identity, 0)
    }

    /// This executor leads, by this name, in this term.
    pub fn ours_in(identity: &str, term: u64) -> Self {
        Self {
            leader: identity.to_owned(),
            is_us: true,
            term,
        }
    }

    /// Another executor leads; none that is known, when the name is empty.
    pub fn of(leader: &str) -> Self {
        Self {
            leader: leader.to_owned(),
            ..Self::default()
        }
    }

    /// The executor to ask for what only the leader knows; empty when this is the one.
    pub fn other(&self) -> &str {
        if self.is_us { "" } else { &self.leader }
    }
}

/// Tells on who has won the election; of this executor, once it knows what the leader before has done. Ends with the election.
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

/// Waits until this executor doesn't lead any more, and says who does.
pub async fn lost(leadership: &mut watch::Receiver<Leadership>) -> Leadership {
    let now = leadership.wait_for(|now| !now.is_us).await;
    let now = now.map(|now| now.clone()).ok();
    match now {
        Some(now) => now,
        // Nobody is left to change it.
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::freshness;

    #[tokio::test]
    async fn who_wins_leads_when_the_watches_are_fresh_and_who_loses_stops_at_once() {
        let (freshness, _proofs) = freshness();
        let (wins, won) = watch::channel(Leadership::default());
        let (leads, mut seen) = watch::channel(Leadership::of("other"));
        let telling = tokio::spawn(once_fresh(won, leads, freshness));
        wins.send_replace(Leadership::ours_in("me", 7));
        // The watches never say that they are fresh, so nothing comes of it.
        wins.send_replace(Leadership::of("third"));
        let now = seen.wait_for(|now| now.leader == "third").await.unwrap().clone();
        assert!(!now.is_us);
        drop(wins);
        telling.await.unwrap();
    }
}
