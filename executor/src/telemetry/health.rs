//! Liveness and readiness of the executor.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// How long the executor stays ready without a planner.
const PLANNER_GRACE: Duration = Duration::from_secs(10);
/// Interval of the main loop's heartbeats.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long the executor counts as alive after a heartbeat.
const HEARTBEAT_GRACE: Duration = Duration::from_mins(1);

/// The executor's health, as the admin port reports it.
#[derive(Debug)]
pub(crate) struct Health {
    state: Mutex<State>,
    listed: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    planner: PlannerState,
    session: SessionState,
    /// Whether the Lease requires a capability that this executor doesn't have.
    lacks_capability: bool,
    /// Time of the main loop's last heartbeat. `None` until the loop begins, which requires the API server. Until then
    /// the executor counts as alive, because a restarted one would have to wait for the API server too.
    heartbeat: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum PlannerState {
    /// No planner is needed: another executor leads, or none does yet.
    NotNeeded,
    NeverSynced,
    Synced,
    LostAt(Instant),
}

/// The planner session until the planner accepts the full sync. It explains why the executor isn't ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    /// No session is open, or the planner has accepted the full sync of the open one.
    Closed,
    /// A session is open, and the planner has not accepted the full sync yet.
    Syncing,
    /// The last session ended before the planner accepted the full sync.
    Refused,
}

impl Default for Health {
    fn default() -> Self {
        let state = State {
            planner: PlannerState::NotNeeded,
            session: SessionState::Closed,
            lacks_capability: false,
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
    pub(crate) fn on_heartbeat(&self) {
        self.state.lock().heartbeat = Some(Instant::now());
    }

    /// Records that every watch has listed everything.
    pub(crate) fn on_watches_synced(&self) {
        self.listed
            .send_if_modified(|listed| !std::mem::replace(listed, true));
    }

    /// Whether every watch has listed everything.
    pub(crate) fn is_listed(&self) -> bool {
        *self.listed.borrow()
    }

    /// Waits until every watch has listed everything.
    pub(crate) async fn listed(&self) {
        // This can't fail: the sender lives as long as `self`.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// The Lease requires a capability that this executor doesn't have, or no longer does.
    pub(crate) fn on_requirements_checked(&self, has_all: bool) {
        self.state.lock().lacks_capability = !has_all;
    }

    /// This executor leads from now on, and needs a planner.
    pub(crate) fn on_elected(&self) {
        let mut state = self.state.lock();
        // An executor that takes over from another one stays ready for the grace period, to connect to the planner.
        state.planner = match state.planner {
            PlannerState::NotNeeded if self.is_listed() => PlannerState::LostAt(Instant::now()),
            PlannerState::NotNeeded | PlannerState::NeverSynced => PlannerState::NeverSynced,
            PlannerState::Synced | PlannerState::LostAt(_) => state.planner,
        };
    }

    /// This executor no longer leads, and needs no planner.
    pub(crate) fn on_standby(&self) {
        let mut state = self.state.lock();
        (state.planner, state.session) = (PlannerState::NotNeeded, SessionState::Closed);
    }

    /// A session with a planner is open.
    pub(crate) fn on_session_opened(&self) {
        let mut state = self.state.lock();
        // With a planner that refuses every sync, one session opens after another. The state stays `Refused`
        // meanwhile.
        if state.session == SessionState::Closed {
            state.session = SessionState::Syncing;
        }
    }

    /// The planner has accepted the full sync.
    pub(crate) fn on_sync_accepted(&self) {
        let mut state = self.state.lock();
        (state.planner, state.session) = (PlannerState::Synced, SessionState::Closed);
    }

    /// The planner session has ended.
    pub(crate) fn on_session_ended(&self) {
        let mut state = self.state.lock();
        if state.session == SessionState::Syncing {
            state.session = SessionState::Refused;
        }
        if matches!(state.planner, PlannerState::Synced) {
            state.planner = PlannerState::LostAt(Instant::now());
        }
    }

    /// Returns why the executor isn't ready; `None` if it is.
    pub(crate) fn unready_reason(&self) -> Option<&'static str> {
        let state = self.state.lock();
        if state.lacks_capability {
            return Some(
                "the Lease requires a capability that this executor doesn't have; it doesn't lead until it is upgraded",
            );
        }
        if !self.is_listed() {
            return Some("the cluster has not been listed yet");
        }
        match state.planner {
            PlannerState::NotNeeded | PlannerState::Synced => None,
            PlannerState::LostAt(since) if since.elapsed() < PLANNER_GRACE => None,
            PlannerState::LostAt(_) | PlannerState::NeverSynced => {
                Some(match (state.session, state.planner) {
                    (SessionState::Refused, _) => {
                        "the planner ends each session before it has accepted the full sync; nothing is created or deleted \
                     until it does"
                    }
                    (SessionState::Closed, PlannerState::LostAt(_)) => {
                        "the planner is lost; nothing is created or deleted until there is one"
                    }
                    (SessionState::Closed | SessionState::Syncing, _) => {
                        "the planner has not accepted the full sync yet"
                    }
                })
            }
        }
    }

    /// Whether the loop still runs or has yet to begin.
    pub(crate) fn is_alive(&self) -> bool {
        let heartbeat = self.state.lock().heartbeat;
        heartbeat.is_none_or(|heartbeat| heartbeat.elapsed() < HEARTBEAT_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The health of a leader that has synced its watches and opened a planner session.
    fn leading() -> Health {
        let health = Health::default();
        health.on_elected();
        health.on_watches_synced();
        health.on_session_opened();
        health
    }

    #[tokio::test(start_paused = true)]
    async fn executor_is_alive_while_it_waits_for_the_api_server_and_while_its_loop_runs() {
        let health = Health::default();
        tokio::time::advance(Duration::from_hours(1)).await;
        assert!(health.is_alive(), "the loop has not begun");
        assert!(health.unready_reason().is_some());
        health.on_heartbeat();
        tokio::time::advance(HEARTBEAT_GRACE / 2).await;
        assert!(health.is_alive());
        tokio::time::advance(HEARTBEAT_GRACE / 2).await;
        assert!(!health.is_alive(), "the loop hangs");
        health.on_heartbeat();
        assert!(health.is_alive());
    }

    #[tokio::test(start_paused = true)]
    async fn executor_is_ready_only_after_the_planner_has_accepted_the_full_sync() {
        let health = leading();
        let reports = |text: &str| {
            health
                .unready_reason()
                .is_some_and(|reason| reason.contains(text))
        };
        assert!(
            reports("has not accepted the full sync yet"),
            "{:?}",
            health.unready_reason()
        );
        health.on_sync_accepted();
        assert_eq!(health.unready_reason(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn executor_is_unready_after_the_grace_when_the_planner_keeps_refusing_the_sync() {
        let health = leading();
        health.on_sync_accepted();
        health.on_session_ended();
        for _ in 0..10 {
            assert_eq!(health.unready_reason(), None, "the grace is not over");
            health.on_session_opened();
            tokio::time::advance(PLANNER_GRACE / 10).await;
            health.on_session_ended();
        }
        let reason = health.unready_reason().unwrap();
        assert!(
            reason.contains("before it has accepted the full sync"),
            "{reason}"
        );
        health.on_session_opened();
        assert_eq!(
            health.unready_reason(),
            Some(reason),
            "another try alone changes nothing"
        );
        health.on_sync_accepted();
        assert_eq!(health.unready_reason(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn unready_reason_distinguishes_a_lost_planner_from_refused_syncs() {
        let health = leading();
        health.on_sync_accepted();
        health.on_session_ended();
        tokio::time::advance(PLANNER_GRACE).await;
        let reason = health.unready_reason().unwrap();
        assert!(reason.contains("the planner is lost"), "{reason}");
    }
}
