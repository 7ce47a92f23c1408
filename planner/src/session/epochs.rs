//! Which term of leadership was seen last, cluster by cluster.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

/// The latest term that this planner has seen of each cluster.
#[derive(Debug, Default)]
pub struct Epochs {
    latest: Mutex<HashMap<String, watch::Sender<u64>>>,
}

/// A session's claim to be of the latest term.
#[derive(Debug)]
pub struct Lead {
    epoch: u64,
    latest: watch::Receiver<u64>,
}

impl Epochs {
    /// Enters a session's term.
    ///
    /// # Errors
    /// A later term was seen; it is returned.
    pub fn enter(&self, cluster: &str, epoch: u64) -> Result<Lead, u64> {
        let mut clusters = self.latest.lock();
        let latest = clusters
            .entry(cluster.to_owned())
            .or_insert_with(|| watch::Sender::new(epoch));
        let seen = *latest.borrow();
        if epoch < seen {
            return Err(seen);
        }
        latest.send_replace(epoch);
        Ok(Lead {
            epoch,
            latest: latest.subscribe(),
        })
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
        let latest = self
            .latest
            .wait_for(|latest| *latest > own)
            .await
            .map(|latest| *latest);
        match latest {
            Ok(latest) => latest,
            // The registry lives as long as the server; without it nothing can supersede the session.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_later_term_supersedes_and_an_earlier_one_is_refused() {
        let epochs = Epochs::default();
        let mut first = epochs.enter("a", 1).unwrap();
        let _second = epochs.enter("a", 2).unwrap();
        assert_eq!(first.superseded().await, 2);
        assert_eq!(epochs.enter("a", 1).unwrap_err(), 2);
        assert!(
            epochs.enter("b", 1).is_ok(),
            "another cluster has terms of its own"
        );
        assert!(epochs.enter("a", 2).is_ok(), "the same leader may come back");
    }
}
