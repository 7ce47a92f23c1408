//! Measures queue lengths for the metrics.

use super::Controller;
use crate::{
    actions::queue::Lane,
    telemetry::metrics::{ActionCounts, QueueLengths},
};

impl Controller {
    pub(super) fn queue_lengths(&self) -> QueueLengths {
        let actions = |lane| {
            let mut all = ActionCounts::default();
            for load in self.managed.values().map(|managed| managed.actions.load(lane)) {
                all.waiting += load.waiting;
                all.in_progress += load.in_progress;
                all.paused += usize::from(load.is_closed);
            }
            all
        };
        QueueLengths {
            changes: self.config.changes.len(),
            facts: self.outbox.len(),
            creates: actions(Lane::Create),
            deletes: actions(Lane::Delete),
            calls: self.calls.len(),
            too_large: self.outbox.count_too_large(),
        }
    }
}
