//! The counters of a `DaemonSet`'s status (contract S1). Mirrors `updateDaemonSetStatus`.

use super::{Cell, Rules};
use crate::model::{Status, Verdict};

/// Counts cell by cell.
#[derive(Debug, Default)]
pub struct Counters {
    desired: usize,
    current: usize,
    misscheduled: usize,
    ready: usize,
    updated: usize,
    available: usize,
}

impl Counters {
    /// Takes one node into account. A node that is gone counts for nothing, from that moment on (N7).
    pub fn count(&mut self, rules: &Rules<'_>, cell: &Cell<'_, '_>) {
        let Some(verdict) = cell.verdict else { return };
        let oldest = cell
            .pods
            .iter()
            .map(|pod| pod.pod)
            .find(|pod| !(pod.is_terminal() && pod.deleting));
        if verdict != Verdict::Run {
            self.misscheduled += usize::from(oldest.is_some());
            return;
        }
        self.desired += 1;
        let Some(pod) = oldest else { return };
        self.current += 1;
        self.updated += usize::from(rules.is_current(pod));
        self.ready += usize::from(pod.ready_since.is_some());
        self.available += usize::from(rules.is_available(pod));
    }

    /// How many nodes should run a pod.
    pub fn desired(&self) -> usize {
        self.desired
    }

    /// The status of a `DaemonSet` of this generation.
    pub fn status(&self, generation: i64) -> Status {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        Status {
            observed_generation: generation,
            desired_number_scheduled: number(self.desired),
            current_number_scheduled: number(self.current),
            number_misscheduled: number(self.misscheduled),
            number_ready: number(self.ready),
            updated_number_scheduled: number(self.updated),
            number_available: number(self.available),
            number_unavailable: number(self.desired.saturating_sub(self.available)),
        }
    }
}

#[cfg(test)]
mod tests;
