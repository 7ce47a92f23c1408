//! Whether the executor is alive and ready.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// How long the executor stays ready without a planner.
const PLANNER_GRACE: Duration = Duration::from_secs(10);
/// How often the loop shows that it runs.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long the loop may not show it.
const HEARTBEAT_GRACE: Duration = Duration::from_mins(1);

/// What the admin port says of the executor.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    listed: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    planner: Planner,
    /// When the loop has last shown that it runs; `None` until it begins, for which the API server has to be there. A program that was
    /// started again would have to wait for it just as long.
    heartbeat: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Planner {
    /// There is nothing to be told: another executor leads, or none yet.
    NotOurs,
    NeverSynced,
    Synced,
    LostAt(Instant),
}

impl Default for Health {
    fn default() -> Self {
        let state = State {
            planner: Planner::NotOurs,
            heartbeat: None,
        };
        Self {
            state: Mutex::new(state),
            listed: watch::Sender::new(false),
        }
    }
}

impl Health {
    /// The loop runs.
    pub fn beat(&self) {
        self.state.lock().heartbeat = Some(Instant::now());
    }

    /// Every watch has listed everything.
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
        // The sender lives as long as this.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// This executor leads from now on, and has to have a planner.
    pub fn leads(&self) {
        let mut state = self.state.lock();
        // One that took over from another is not unready for the moment that it takes to find the planner.
        state.planner = match state.planner {
            Planner::NotOurs if self.is_listed() => Planner::LostAt(Instant::now()),
            Planner::NotOurs | Planner::NeverSynced => Planner::NeverSynced,
            Planner::Synced | Planner::LostAt(_) => state.planner,
        };
    }

    /// This executor doesn't lead any more, and needs no planner.
    pub fn stands_by(&self) {
        self.state.lock().planner = Planner::NotOurs;
    }

    /// The planner has been told everything.
    pub fn planner_synced(&self) {
        self.state.lock().planner = Planner::Synced;
    }

    /// The planner is lost.
    pub fn planner_lost(&self) {
        let mut state = self.state.lock();
        if matches!(state.planner, Planner::Synced) {
            state.planner = Planner::LostAt(Instant::now());
        }
    }

    /// Why the executor isn't ready, if it isn't.
    pub fn unready(&self) -> Option<&'static str> {
        let state = self.state.lock();
        if !self.is_listed() {
            return Some("the cluster has not been listed yet");
        }
        match state.planner {
            Planner::NotOurs | Planner::Synced => None,
            Planner::LostAt(since) if since.elapsed() < PLANNER_GRACE => None,
            Planner::LostAt(_) => {
                Some("the planner is lost; nothing is created or deleted until there is one")
            }
            Planner::NeverSynced => Some("the planner has not been told everything yet"),
        }
    }

    /// Whether the loop still runs, or has yet to begin.
    pub fn is_alive(&self) -> bool {
        let heartbeat = self.state.lock().heartbeat;
        heartbeat.is_none_or(|heartbeat| heartbeat.elapsed() < HEARTBEAT_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
