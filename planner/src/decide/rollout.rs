//! Replaces pods of an old template with new ones (contract R1 to R6). Mirrors `rollingUpdate`.
//!
//! Each node is marked with its role in the update. A plan then takes as many nodes as the budgets allow, in the order
//! of their names, so the same state always gives the same plan (R6). Kubernetes documents the strategies under
//! [Perform a Rolling Update on a `DaemonSet`](https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/).

pub(crate) mod advance;
pub(crate) mod budget;
pub(crate) mod groups;
pub(crate) mod policy;
pub mod position;
pub mod precedence;
pub mod report;
pub(crate) mod rules;
pub(crate) mod staging;
pub mod warnings;

use super::{
    Rules,
    cell::{Cell, PodRecord},
    marks::{Mark, Marks, Tally},
    node::NodeDecision,
};
use crate::model::{Budget, Strategy, Verdict};

/// No limit: all nodes that have a mark.
const ALL: usize = usize::MAX;

/// Marks a cell's role in a rolling update, given the decision for its node.
pub(crate) fn mark(rules: &Rules<'_>, cell: &Cell<'_, '_>, decision: &NodeDecision<'_>, marks: &mut Marks) {
    if let Some(rollout) = &rules.rollout {
        policy::mark(rules, rollout, cell, decision, marks);
        return;
    }
    let Some(verdict @ (Verdict::Run | Verdict::Keep)) = cell.verdict else {
        return;
    };
    if rules.allows_surge() {
        mark_surge(rules, cell, decision, verdict, marks);
    } else {
        mark_replace(rules, cell, decision, verdict, marks);
    }
}

/// R4: an old pod is deleted first. Its successor is created when the old pod is gone. An old pod that isn't available
/// is deleted whatever the budget is. A pod whose ready time is in the future is an exception: after a clock was set
/// back, no pod counts as available, and all would be deleted at once.
fn mark_replace(
    rules: &Rules<'_>,
    cell: &Cell<'_, '_>,
    decision: &NodeDecision<'_>,
    verdict: Verdict,
    marks: &mut Marks,
) {
    let Some(pod) = decision.staying().next() else {
        // On a node that may only keep a pod, a pod that is being deleted counts until it is gone. Otherwise the
        // next decision would spend the same budget again.
        marks.set(
            Mark::Unavailable,
            verdict == Verdict::Run || !cell.pods.is_empty(),
        );
        return;
    };
    marks.set(Mark::Unavailable, !rules.is_available(pod));
    if !rules.is_target(cell, pod) {
        let mark = if rules.needs_budget(pod) {
            Mark::DeleteWithinBudget
        } else {
            Mark::DeleteAtOnce
        };
        marks.set(mark, true);
    }
}

/// R5: a new pod is created beside the old one, which is deleted when the new one is available. A failed pod that waits
/// for its deletion blocks a new one; otherwise pods would be created beside it again and again (N3). A pod of a third
/// revision blocks a new one until it is known to be terminating; otherwise the node might have three pods (N5).
fn mark_surge(
    rules: &Rules<'_>,
    cell: &Cell<'_, '_>,
    decision: &NodeDecision<'_>,
    verdict: Verdict,
    marks: &mut Marks,
) {
    marks.set(
        Mark::HasAvailable,
        decision.staying().any(|pod| rules.is_available(pod)),
    );
    let Some(old) = old_pod(rules, cell, decision) else {
        return;
    };
    let current = decision.staying().find(|pod| rules.is_target(cell, pod));
    match (current, rules.needs_budget(old), verdict == Verdict::Run) {
        // The rule for single nodes (N5) deletes the old pod when the new one is available.
        (Some(current), _, _) => marks.set(Mark::Surging, !rules.is_available(current)),
        (None, _, _) if cell.create_in_flight || cell.nonterminating() > 1 => marks.set(Mark::Surging, true),
        (None, false, true) => marks.set(Mark::SurgeAtOnce, true),
        (None, true, true) => marks.set(Mark::SurgeWithinBudget, true),
        (None, false, false) => marks.set(Mark::DeleteAtOnce, true),
        (None, true, false) => marks.set(Mark::DeleteWithinBudget, true),
    }
}

/// The pod that a rolling update replaces on a node, if there is one.
pub(crate) fn old_pod<'a>(
    rules: &Rules<'_>,
    cell: &Cell<'_, 'a>,
    decision: &NodeDecision<'a>,
) -> Option<&'a PodRecord> {
    decision.staying().find(|pod| !rules.is_target(cell, pod))
}

/// How many nodes of each mark the budgets allow, in the order of the plan.
pub(crate) fn allowed(rules: &Rules<'_>, tally: &Tally) -> [(Mark, usize); 4] {
    let desired = tally.count(Mark::Desired);
    let (at_once, surge_within_budget, delete_within_budget) = match rules.daemon_set.strategy {
        Strategy::OnDelete => (0, 0, 0),
        Strategy::RollingUpdate { max_surge, .. } if rules.allows_surge() => {
            let surge = max_surge.of(desired).saturating_sub(tally.count(Mark::Surging));
            let spare = tally.count(Mark::HasAvailable).saturating_sub(desired);
            (ALL, surge, spare)
        }
        Strategy::RollingUpdate {
            max_unavailable,
            max_surge,
        } => {
            let most = unavailable_budget(max_unavailable, max_surge, desired);
            (ALL, 0, most.saturating_sub(tally.count(Mark::Unavailable)))
        }
    };
    [
        (Mark::SurgeAtOnce, at_once),
        (Mark::SurgeWithinBudget, surge_within_budget),
        (Mark::DeleteAtOnce, at_once),
        (Mark::DeleteWithinBudget, delete_within_budget),
    ]
}

/// How many of the desired nodes a rolling update may leave without an available pod. With both budgets 0 an update
/// would never progress, so one node may be unavailable (R3). If no pod should run anywhere, no progress is needed.
pub(crate) fn unavailable_budget(max_unavailable: Budget, max_surge: Budget, desired: usize) -> usize {
    let needs_progress = desired > 0 && max_surge.of(1) == 0;
    max_unavailable.of(desired).max(usize::from(needs_progress))
}

#[cfg(test)]
mod tests;
