//! Liveness and readiness of the executor.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// How long the executor stays ready without a planner.
const PLANNER_GRACE: Duration = Duration::from_secs(10);
/// Interval at which the loop shows that it runs.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long the loop may go without showing that it runs.
const HEARTBEAT_GRACE: Duration = Duration::from_mins(1);

/// The executor's health, as the admin port reports it.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    listed: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    planner: Planner,
    session: Session,
    /// When the loop last showed that it runs. `None` until it begins, which requires that the API server is there. A
    /// restarted program would have to wait for the API server just as long.
    heartbeat: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Planner {
    /// No planner is needed: another executor leads, or none does yet.
    NotOurs,
    NeverSynced,
    Synced,
    LostAt(Instant),
}

/// The session with the planner, as far as it explains why there is no planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    /// No session is open.
    Closed,
    /// A session is open, and the planner has not accepted the full sync yet.
    Syncing,
    /// The last session ended before the planner accepted the full sync.
    Refused,
}

impl Default for Health {
    fn default() -> Self {
        let state = State {
            planner: Planner::NotOurs,
            session: Session::Closed,
            heartbeat: None,
        };
        Self {
            state: Mutex::new(state),
            listed: watch::Sender::new(false),
        }
    }
}

impl Health {
    /// Records that the loop runs.
    pub fn beat(&self) {
        self.state.lock().heartbeat = Some(Instant::now());
    }

    /// Records that every watch has listed everything.
    pub fn watches_synced(&self) {
        self.listed
            .send_if_modified(|listed| !std::mem::replace(listed, true));
    }

    /// Whether every watch has listed everything.
    pub fn is_listed(&self) -> bool {
        *self.listed.borrow()
    }

    /// Waits until every watch has listed everything.
    pub async fn listed(&self) {
        // This can't fail: the sender lives as long as `self`.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// This executor leads from now on, and needs a planner.
    pub fn leads(&self) {
        let mut state = self.state.lock();
        // An executor that takes over from another one stays ready for the moment that it takes to find the planner.
        state.planner = match state.planner {
            Planner::NotOurs if self.is_listed() => Planner::LostAt(Instant::now()),
            Planner::NotOurs | Planner::NeverSynced => Planner::NeverSynced,
            Planner::Synced | Planner::LostAt(_) => state.planner,
        };
    }

    /// This executor no longer leads, and needs no planner.
    pub fn stands_by(&self) {
        let mut state = self.state.lock();
        (state.planner, state.session) = (Planner::NotOurs, Session::Closed);
    }

    /// A session with a planner is open.
    pub fn planner_found(&self) {
        let mut state = self.state.lock();
        // With a planner that refuses every sync, one session opens after another. The state stays `Refused`
        // meanwhile.
        if state.session == Session::Closed {
            state.session = Session::Syncing;
        }
    }

    /// The planner has accepted the full sync.
    pub fn planner_synced(&self) {
        let mut state = self.state.lock();
        (state.planner, state.session) = (Planner::Synced, Session::Closed);
    }

    /// The planner is lost.
    pub fn planner_lost(&self) {
        let mut state = self.state.lock();
        if state.session == Session::Syncing {
            state.session = Session::Refused;
        }
        if matches!(state.planner, Planner::Synced) {
            state.planner = Planner::LostAt(Instant::now());
        }
    }

    /// Returns why the executor isn't ready; `None` if it is.
    pub fn unready(&self) -> Option<&'static str> {
        let state = self.state.lock();
        if !self.is_listed() {
            return Some("the cluster has not been listed yet");
        }
        match state.planner {
            Planner::NotOurs | Planner::Synced => None,
            Planner::LostAt(since) if since.elapsed() < PLANNER_GRACE => None,
            Planner::LostAt(_) | Planner::NeverSynced => Some(match (state.session, state.planner) {
                (Session::Refused, _) => {
                    "the planner ends each session before it has accepted the full sync; nothing is created or deleted \
                     until it does"
                }
                (Session::Closed, Planner::LostAt(_)) => {
                    "the planner is lost; nothing is created or deleted until there is one"
                }
                (Session::Closed | Session::Syncing, _) => "the planner has not accepted the full sync yet",
            }),
        }
    }

    /// Whether the loop still runs or has yet to begin.
    pub fn is_alive(&self) -> bool {
        let heartbeat = self.state.lock().heartbeat;
        heartbeat.is_none_or(|heartbeat| heartbeat.elapsed() < HEARTBEAT_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The health of a leader that has synced its watches and found a planner.
    fn leading() -> Health {
        let health = Health::default();
        health.leads();
        health.watches_synced();
        health.planner_found();
        health
    }

    #[tokio::test(start_paused = true)]
    async fn the_executor_is_alive_while_it_waits_for_the_api_server_and_then_while_its_loop_runs() {
        let health = Health::default();
        tokio::time::advance(Duration::from_hours(1)).await;
        assert!(health.is_alive(), "the loop has not begun");
        assert!(health.unready().is_some());
        health.beat();
        tokio::time::advance(HEARTBEAT_GRACE / 2).await;
        assert!(health.is_alive());
        tokio::time::advance(HEARTBEAT_GRACE / 2).await;
        assert!(!health.is_alive(), "the loop hangs");
        health.beat();
        assert!(health.is_alive());
    }

    #[tokio::test(start_paused = true)]
    async fn the_executor_is_ready_only_once_the_planner_has_accepted_the_full_sync() {
        let health = leading();
        let says = |words: &str| health.unready().is_some_and(|reason| reason.contains(words));
        assert!(
            says("has not accepted the full sync yet"),
            "{:?}",
            health.unready()
        );
        health.planner_synced();
        assert_eq!(health.unready(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_planner_that_keeps_refusing_the_sync_makes_the_executor_unready_after_the_grace() {
        let health = leading();
        health.planner_synced();
        health.planner_lost();
        for _ in 0..10 {
            assert_eq!(health.unready(), None, "the grace is not over");
            health.planner_found();
            tokio::time::advance(PLANNER_GRACE / 10).await;
            health.planner_lost();
        }
        let reason = health.unready().unwrap();
        assert!(
            reason.contains("before it has accepted the full sync"),
            "{reason}"
        );
        health.planner_found();
        assert_eq!(
            health.unready(),
            Some(reason),
            "another try alone changes nothing"
        );
        health.planner_synced();
        assert_eq!(health.unready(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_planner_is_told_from_one_that_refuses_the_sync() {
        let health = leading();
        health.planner_synced();
        health.planner_lost();
        tokio::time::advance(PLANNER_GRACE).await;
        let reason = health.unready().unwrap();
        assert!(reason.contains("the planner is lost"), "{reason}");
    }
}
