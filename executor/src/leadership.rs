//! Who leads: of several executors of a cluster, one has a session with the planner and carries out its plans.

use tokio::sync::watch;

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
