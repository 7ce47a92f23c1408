//! How pods of an old template give way to new ones (contract R1 to R6). Mirrors `rollingUpdate`.
//!
//! Each node is marked with its part. What the budgets allow is then taken from the front, in the order of the nodes'
//! names, so the same state always gives the same plan.

use super::{
    Rules,
    cell::{Cell, PodRecord},
    node::Settled,
    share::{Mark, Share, Tally},
};
use crate::model::{Strategy, Verdict};

/// All nodes of a kind.
const ALL: usize = usize::MAX;

/// Marks a cell's part in a rolling update, as `settled` leaves it.
pub fn mark(rules: &Rules<'_>, cell: &Cell<'_, '_>, settled: &Settled<'_>, share: &mut Share) {
    let Some(verdict @ (Verdict::Run | Verdict::Keep)) = cell.verdict else {
        return;
    };
    if rules.allows_surge() {
        mark_surge(rules, cell, settled, verdict, share);
    } else {
        mark_replace(rules, cell, settled, verdict, share);
    }
}

/// R4: an old pod is deleted first, and its successor comes when it is gone. One that isn't available goes in any case, unless that
/// may be the clock's fault: by a clock that was set back none of the pods is available, and all would go at once.
fn mark_replace(
    rules: &Rules<'_>,
    cell: &Cell<'_, '_>,
    settled: &Settled<'_>,
    verdict: Verdict,
    share: &mut Share,
) {
    let Some(pod) = settled.staying().next() else {
        // What goes on a node that only may keep a pod counts until it is gone, or the next look would spend the
        // same budget again.
        share.put(Mark::Lacking, verdict == Verdict::Run || !cell.pods.is_empty());
        return;
    };
    share.put(Mark::Lacking, !rules.is_available(pod));
    if !rules.is_current(pod) {
        let way = if rules.is_spared(pod) {
            Mark::GoesInTurn
        } else {
            Mark::GoesFreely
        };
        share.put(way, true);
    }
}

/// R5: a new pod comes beside the old one, which goes when the new one is available. A failed pod that waits for its
/// deletion holds its place, or another would be made beside it again and again (N3). So does a pod of yet another
/// revision until it is known to be terminating, or three might be there at once (N5).
fn mark_surge(
    rules: &Rules<'_>,
    cell: &Cell<'_, '_>,
    settled: &Settled<'_>,
    verdict: Verdict,
    share: &mut Share,
) {
    share.put(Mark::Served, settled.staying().any(|pod| rules.is_available(pod)));
    let Some(old) = old_pod(rules, settled) else {
        return;
    };
    let current = settled.staying().find(|pod| rules.is_current(pod));
    match (current, rules.is_spared(old), verdict == Verdict::Run) {
        // The node's own rule (N5) deletes the old pod as soon as it can go.
        (Some(current), _, _) => share.put(Mark::Surging, !rules.is_available(current)),
        (None, _, _) if cell.creating || cell.standing() > 1 => share.put(Mark::Surging, true),
        (None, false, true) => share.put(Mark::SurgesFreely, true),
        (None, true, true) => share.put(Mark::SurgesInTurn, true),
        (None, false, false) => share.put(Mark::GoesFreely, true),
        (None, true, false) => share.put(Mark::GoesInTurn, true),
    }
}

/// The pod that a rolling update takes from a node, when it takes one.
pub fn old_pod<'a>(rules: &Rules<'_>, settled: &Settled<'a>) -> Option<&'a PodRecord> {
    settled.staying().find(|pod| !rules.is_current(pod))
}

/// What the budgets allow: of which nodes how many, in the order of the plan.
pub fn allowed(rules: &Rules<'_>, tally: &Tally) -> [(Mark, usize); 4] {
    let desired = tally.count(Mark::Desired);
    let (freely, surge_in_turn, go_in_turn) = match rules.daemon_set.strategy {
        Strategy::OnDelete => (0, 0, 0),
        Strategy::RollingUpdate { max_surge, .. } if rules.allows_surge() => {
            let surge = max_surge.of(desired).saturating_sub(tally.count(Mark::Surging));
            let spare = tally.count(Mark::Served).saturating_sub(desired);
            (ALL, surge, spare)
        }
        Strategy::RollingUpdate { max_unavailable, .. } => {
            // Both budgets 0 would never make progress (R3); where no pod should run, none has to be made.
            let most = max_unavailable.of(desired).max(usize::from(desired > 0));
            (ALL, 0, most.saturating_sub(tally.count(Mark::Lacking)))
        }
    };
    [
        (Mark::SurgesFreely, freely),
        (Mark::SurgesInTurn, surge_in_turn),
        (Mark::GoesFreely, freely),
        (Mark::GoesInTurn, go_in_turn),
    ]
}

#[cfg(test)]
mod tests;
