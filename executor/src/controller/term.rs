//! Begins and ends terms of leadership.

use std::future::pending;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Controller;
use crate::{
    planner::session::{Event, Sessions},
    telemetry::metrics::RolloutCounts,
};

/// A term in which this executor leads.
#[derive(Debug)]
pub(super) struct Term {
    number: u64,
    sessions: Sessions,
}

impl Controller {
    /// Begins or ends a term, as the election has decided.
    pub(super) fn follow_leadership(&mut self) {
        let leadership = self.config.leadership.borrow_and_update().clone();
        let ours = leadership.is_us.then_some(leadership.term);
        if self.term.as_ref().is_some_and(|term| ours != Some(term.number)) {
            self.end_term();
        }
        // Calls from an earlier term must have ended, or the planner would request the same actions again.
        if let (Some(number), None, true) = (ours, &self.term, self.calls.is_empty()) {
            self.begin_term(number);
        }
    }

    /// Begins a term. The caches stay; all other state starts empty.
    fn begin_term(&mut self, number: u64) {
        // Apply the changes that the watches have already read, because the previous leader may have caused them.
        self.apply_pending_changes(self.config.changes.len());
        let sessions = self.config.opener.open(number);
        self.term = Some(Term { number, sessions });
        self.config.metrics.leading(true);
        self.config.health.on_elected();
        self.cluster.touch_all_for_upkeep();
    }

    /// Ends the term. Nothing more is started, and all requested actions are dropped.
    fn end_term(&mut self) {
        info!(calls = self.calls.len(), "term ended; standing by");
        self.term = None;
        if let Some(planner) = self.planner.take() {
            planner.end.cancel();
            self.config.metrics.on_session_ended();
        }
        self.session += 1;
        self.stop.cancel();
        self.stop = CancellationToken::new();
        self.managed.clear();
        self.policies.clear();
        self.timers.clear();
        self.config.events.forget_all();
        self.config.metrics.leading(false);
        self.config.metrics.forget_daemon_sets();
        self.config.metrics.set_rollouts(&RolloutCounts::default());
        self.config.requirements.forget();
        self.config.health.on_standby();
        self.publish_planner_change();
    }
}

/// Returns the next event of the term's sessions. Waits forever while there is no term.
pub(super) async fn next_session_event(term: &mut Option<Term>) -> Option<Event> {
    match term {
        Some(term) => term.sessions.next().await,
        None => pending().await,
    }
}
