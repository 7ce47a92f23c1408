//! Measures queue lengths for the metrics.

use super::Controller;
use crate::{
    actions::queue::Lane,
    telemetry::metrics::{Actions, Waiting},
};

impl Controller {
    /// The current queue lengths.
    pub(super) fn queue_lengths(&self) -> Waiting {
        let actions = |lane| {
            let mut all = Actions::default();
            for load in self.managed.values().map(|managed| managed.actions.load(lane)) {
                all.waiting += load.waiting;
                all.in_progress += load.in_progress;
                all.paused += usize::from(load.is_closed);
            }
            all
        };
        Waiting {
            changes: self.config.changes.len(),
            facts: self.outbox.len(),
            creates: actions(Lane::Create),
            deletes: actions(Lane::Delete),
            calls: self.calls.len(),
            too_large: self.outbox.count_too_large(),
        }
    }
}
