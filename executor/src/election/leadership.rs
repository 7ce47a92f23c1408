//! Leadership: the leader among a cluster's executors has a session with the planner and carries out its plans.

use tokio::sync::watch;

/// The current leader, as far as this executor knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leadership {
    /// The name of the leading executor; empty when none is known.
    pub leader: String,
    /// Whether this executor is the leader.
    pub is_us: bool,
    /// The term in which this executor leads, if it does. A later leader has a higher term.
    pub term: u64,
}

impl Leadership {
    /// This executor leads under this name, in the only term there is.
    pub(crate) fn ours(identity: &str) -> Self {
        Self::ours_in(identity, 0)
    }

    /// This executor leads under this name, in this term.
    pub(crate) fn ours_in(identity: &str, term: u64) -> Self {
        Self {
            leader: identity.to_owned(),
            is_us: true,
            term,
        }
    }

    /// Another executor leads. An empty name means that no leader is known.
    pub(crate) fn of(leader: &str) -> Self {
        Self {
            leader: leader.to_owned(),
            ..Self::default()
        }
    }

    /// The leading executor's name, for callers that need the leader; empty when this executor leads or no leader is
    /// known.
    pub(crate) fn other(&self) -> &str {
        if self.is_us { "" } else { &self.leader }
    }
}

/// Publishes the results of the election. When this executor has been elected, it first waits for `fresh`, so that the
/// watches show what the previous leader has done. Returns when the election ends.
pub(crate) async fn publish_when_fresh(
    mut elected: watch::Receiver<Leadership>,
    published: watch::Sender<Leadership>,
    mut fresh: impl AsyncFnMut(),
) {
    loop {
        let now = elected.borrow_and_update().clone();
        if now.is_us {
            tokio::select! {
                () = fresh() => {}
                changed = elected.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
        }
        published.send_replace(now);
        if elected.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until this executor no longer leads, and returns the new leader.
pub(crate) async fn until_lost(leadership: &mut watch::Receiver<Leadership>) -> Leadership {
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
    use std::{sync::Arc, time::Duration};

    use tokio::{sync::Notify, time::timeout};

    use super::*;

    /// Waits until this is the published leadership.
    async fn until(published: &mut watch::Receiver<Leadership>, wanted: &Leadership) {
        let found = timeout(Duration::from_secs(1), published.wait_for(|now| now == wanted)).await;
        found.expect("the leadership isn't published").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn elected_executor_leads_when_watches_are_fresh_and_stops_at_once_when_it_loses() {
        let (wins, won) = watch::channel(Leadership::default());
        let (leads, mut published) = watch::channel(Leadership::of("other"));
        let (check_begun, watches_fresh) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begun, fresh) = (check_begun.clone(), watches_fresh.clone());
        let publishing = tokio::spawn(publish_when_fresh(won, leads, async move || {
            begun.notify_one();
            fresh.notified().await;
        }));

        wins.send_replace(Leadership::ours_in("me", 7));
        check_begun.notified().await;
        assert!(!published.borrow().is_us, "the watches aren't fresh yet");
        watches_fresh.notify_one();
        until(&mut published, &Leadership::ours_in("me", 7)).await;
        wins.send_replace(Leadership::of("second"));
        until(&mut published, &Leadership::of("second")).await;

        // It loses while it waits for the watches, which never become fresh this time.
        wins.send_replace(Leadership::ours_in("me", 8));
        check_begun.notified().await;
        wins.send_replace(Leadership::of("third"));
        until(&mut published, &Leadership::of("third")).await;
        drop(wins);
        publishing.await.unwrap();
    }
}
