//! Computes the counters of a `DaemonSet`'s status (contract S1). Mirrors `updateDaemonSetStatus`.

use super::{
    Rules,
    cell::Cell,
    marks::{Mark, Marks, Tally},
};
use crate::model::{Status, Verdict};

/// Marks the counters that include the cell. No counter includes a node that is gone (N7).
pub(crate) fn mark(rules: &Rules<'_>, cell: &Cell<'_, '_>, marks: &mut Marks) {
    // Under a policy, the status follows the update template, as that of kube-controller-manager does.
    let verdict = match &cell.rollout {
        Some(rollout) => rollout.update_verdict,
        None => cell.verdict,
    };
    let Some(verdict) = verdict else { return };
    let oldest = cell.pods.iter().find(|pod| !(pod.is_terminal() && pod.deleting));
    if verdict != Verdict::Run {
        marks.set(Mark::Misscheduled, oldest.is_some());
        return;
    }
    marks.set(Mark::Desired, true);
    let Some(pod) = oldest else { return };
    marks.set(Mark::Current, true);
    marks.set(Mark::Updated, rules.is_current(pod));
    marks.set(Mark::Ready, pod.ready_since().is_some());
    marks.set(Mark::Available, rules.is_available(pod));
}

/// The counters of the status, in nodes, for this metadata.generation. A count above `i32::MAX` is capped.
pub(crate) fn status(tally: &Tally, generation: i64) -> Status {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let count = |mark| number(tally.count(mark));
    let unavailable = tally
        .count(Mark::Desired)
        .saturating_sub(tally.count(Mark::Available));
    Status {
        observed_generation: generation,
        desired_number_scheduled: count(Mark::Desired),
        current_number_scheduled: count(Mark::Current),
        number_misscheduled: count(Mark::Misscheduled),
        number_ready: count(Mark::Ready),
        updated_number_scheduled: count(Mark::Updated),
        number_available: count(Mark::Available),
        number_unavailable: number(unavailable),
    }
}

#[cfg(test)]
mod tests;
