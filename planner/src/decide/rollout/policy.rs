//! Marks a cell's role in the rollout of a policy (T2, T6, T7).

use super::{
    super::{
        Rules,
        cell::{Cell, PodRecord, RolloutCell, Target},
        marks::{Mark, Marks},
        node::NodeDecision,
    },
    budget::Budgets,
    groups::Domains,
    old_pod,
    rules::Rule,
};
use crate::model::{Budget, Millis, Text, Verdict, rollout::PolicySpec};

/// The times of Kubernetes objects are whole seconds.
const CLOCK_RESOLUTION_MILLIS: i64 = 1_000;

/// What the rollout of a policy adds to the rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RolloutRules<'d> {
    /// The revision that nodes have before the rollout releases them.
    pub(crate) current: &'d Text,
    /// When the rollout began.
    pub(crate) started_at: Millis,
    /// Whether old pods are replaced at all.
    pub(crate) may_replace: bool,
    /// Whether the stages count. They don't on the way back to the current revision.
    pub(crate) has_stages: bool,
    /// Whether no pod can be made from the current revision, because its `ControllerRevision` is gone.
    pub(crate) is_current_lost: bool,
    /// How many nodes may be without an available pod. Under surge: how many may be in replacement.
    pub(crate) max_unavailable: Budget,
    /// The policy.
    pub(crate) spec: &'d PolicySpec,
    /// The domains of the nodes.
    pub(crate) domains: &'d Domains,
}

impl<'d> RolloutRules<'d> {
    /// The budgets of the rollout.
    pub(crate) fn budgets(&self, is_surge: bool) -> Budgets<'d> {
        Budgets {
            total: self.max_unavailable,
            is_surge,
            policy: self.spec,
            has_stages: self.has_stages,
        }
    }
}

/// Marks a cell, given the decision for its node. Sets no mark that replaces a pod without regard to the stages.
pub(crate) fn mark(
    rules: &Rules<'_>,
    rollout: &RolloutRules<'_>,
    cell: &Cell<'_, '_>,
    decision: &NodeDecision<'_>,
    marks: &mut Marks,
) {
    let Some(seen) = &cell.rollout else { return };
    mark_progress(rules, seen, decision, marks);
    let may_stay = matches!(cell.verdict, Some(Verdict::Run | Verdict::Keep)) || cell.is_narrowed();
    // A pod that was requested may still appear beside the old one, even if the node isn't to get it any more.
    let is_requested = rules.allows_surge() && cell.create_in_flight && !cell.pods.is_empty();
    if !may_stay {
        marks.set(Mark::InReplacement, is_requested);
        return;
    }
    let is_available = decision.staying().any(|pod| rules.is_available(pod));
    let old = old_pod(rules, cell, decision);
    let has_target = decision.staying().any(|pod| rules.is_target(cell, pod));
    let is_ignored = is_ignored(rules, rollout, cell);
    let is_expected = cell.verdict == Some(Verdict::Run) || !cell.pods.is_empty();
    marks.set(Mark::Ignored, is_ignored);
    marks.set(Mark::Held, seen.is_held && old.is_some());
    marks.set(Mark::Unavailable, is_expected && !is_available && !is_ignored);
    let has_available_target = decision
        .staying()
        .any(|pod| rules.is_target(cell, pod) && rules.is_available(pod));
    let is_pending = seen.is_in_roster && cell.verdict == Some(Verdict::Run) && !has_available_target;
    marks.set(Mark::Pending, is_pending && !is_ignored && !seen.is_held);
    let is_begun = if rules.allows_surge() {
        let is_leaving = cell.is_narrowed() && old.is_none() && !cell.pods.is_empty();
        let has_begun = has_target || cell.create_in_flight || cell.nonterminating() > 1;
        is_leaving || (old.is_some() && has_begun)
    } else {
        // The first pod of a node that has joined replaces none.
        old.is_none() && seen.is_released && is_expected && seen.is_in_roster
    };
    marks.set(
        Mark::InReplacement,
        (is_requested || is_begun && !has_available_target) && !is_ignored,
    );
    let is_held = seen.is_held && Rule::HoldLabel.counts();
    let Some(old) = old.filter(|_| !is_held && rollout.may_replace) else {
        return;
    };
    let is_turn = seen.is_released && !(rules.allows_surge() && is_begun);
    marks.set(Mark::Queued, is_turn);
    let takes_pod = rules.needs_budget(old);
    let is_free = is_ignored || (rollout.spec.allows_unhealthy && !takes_pod);
    marks.set(Mark::QueuedFree, is_turn && is_free);
    marks.set(Mark::QueuedAvailable, is_turn && takes_pod && !is_free);
}

/// Marks how far the node has come. The status follows the update template (S1), and so does this.
fn mark_progress(rules: &Rules<'_>, seen: &RolloutCell, decision: &NodeDecision<'_>, marks: &mut Marks) {
    if seen.update_verdict != Some(Verdict::Run) {
        return;
    }
    let updated = || decision.staying().filter(|pod| rules.is_current(pod));
    marks.set(Mark::HasUpdated, updated().next().is_some());
    marks.set(
        Mark::HasUpdatedAvailable,
        updated().any(|pod| rules.is_available(pod)),
    );
}

/// Whether the node's pod was unavailable before the rollout began (T16). Such a node stays outside the budget until it
/// has another pod. Times that are remembered or come from pods are whole seconds. So a node whose pod is of the last
/// second before the rollout isn't ignored either: the rollout may have created the pod. A node with a pod of the
/// update revision is never ignored, because a rollout that starts again must not skip the nodes on which the update
/// failed.
pub(crate) fn is_ignored(rules: &Rules<'_>, rollout: &RolloutRules<'_>, cell: &Cell<'_, '_>) -> bool {
    let was_unavailable = |pod: &PodRecord| {
        let since = pod.unready_since().unwrap_or(pod.created);
        let is_update = rollout.has_stages && rules.is_current(pod);
        pod.ready_since().is_none() && since.plus(CLOCK_RESOLUTION_MILLIS) < rollout.started_at && !is_update
    };
    !cell.pods.is_empty() && cell.pods.iter().all(|pod| was_unavailable(pod))
}

/// The revision that a cell's pod should have (T2).
pub(crate) fn target(is_released: bool, has_updated: bool, goes_back: bool) -> Target {
    let stays = has_updated && Rule::UpdatedStays.counts();
    if !goes_back && (is_released || stays || !Rule::CurrentRevision.counts()) {
        Target::Update
    } else {
        Target::Current
    }
}
