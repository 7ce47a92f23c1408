//! Begins and ends terms of leadership.

use std::future::pending;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Controller;
use crate::planner::session::{Event, Sessions};

/// A term in which this executor leads.
#[derive(Debug)]
pub(super) struct Term {
    number: u64,
    sessions: Sessions,
}

impl Controller {
    /// Leads or stands by, as the election has decided.
    pub(super) fn follow_leadership(&mut self) {
        let leadership = self.parts.leadership.borrow_and_update().clone();
        let ours = leadership.is_us.then_some(leadership.term);
        if self.term.as_ref().is_some_and(|term| ours != Some(term.number)) {
            self.stand_by();
        }
        // Calls from an earlier term must have ended, or the planner would ask for the same again.
        if let (Some(number), None, true) = (ours, &self.term, self.calls.is_empty()) {
            self.lead(number);
        }
    }

    /// Begins a term. The caches stay as they are, and everything else starts from scratch.
    fn lead(&mut self, number: u64) {
        // The previous leader may have caused the changes that the watches have read by now.
        self.take_in_waiting(self.parts.changes.len());
        let sessions = self.parts.opener.open(number);
        self.term = Some(Term { number, sessions });
        self.parts.metrics.leading(true);
        self.parts.health.leads();
        self.cluster.look_after_all();
    }

    /// Ends the term. Nothing more is started, and everything that was asked for is dropped.
    fn stand_by(&mut self) {
        info!(calls = self.calls.len(), "this executor stands by");
        self.term = None;
        if let Some(planner) = self.planner.take() {
            planner.end.cancel();
            self.parts.metrics.planner_lost();
        }
        self.session += 1;
        self.stop.cancel();
        self.stop = CancellationToken::new();
        self.managed.clear();
        self.timers.clear();
        self.parts.events.forget_all();
        self.parts.metrics.leading(false);
        self.parts.metrics.forget_daemon_sets();
        self.parts.health.stands_by();
        self.planner_changed();
    }
}

/// Returns the next event of the term's sessions. Waits forever while there is no term.
pub(super) async fn brought(term: &mut Option<Term>) -> Option<Event> {
    match term {
        Some(term) => term.sessions.next().await,
        None => pending().await,
    }
}
