//! The rules: on which nodes pods belong, and which actions create, replace and delete them.
//!
//! Everything here is a pure function of its arguments, without IO, clock, randomness or logging. A decision
//! for one `DaemonSet` is a fold over its `cell`s in the order of the nodes' names:
//!
//! - [`placement`] decides whether a pod belongs on a node, with `affinity`, `labels` and `taints`;
//! - `node` decides what one node needs;
//! - `rollout` decides which old pods are replaced;
//! - `status` counts, and `rollout_status` derives availability and progress from the counters;
//! - `availability` lists the pods that wait for minReadySeconds.
//!
//! Simulations of nodes that may not exist use [`demand`] for the resources of one pod and [`simulate`] for all
//! daemon pods of a node. [`runtime_class`] finds pods that stay pending because of their `RuntimeClass`. [`summary`]
//! counts verdicts for people.
//!
//! `validation` finds values that the API server refuses, and `suggestion` the value that was probably meant.
//!
//! Each rule names its source. A clause such as P3 or R5 is in `docs/contract.md`, with its tests. "Mirrors"
//! names the function of Kubernetes that has the same rule.
//!
//! Each cell has `marks` that depend on that cell alone. A `ledger` keeps the marks of all cells and their
//! counts, and recomputes only the cells that were touched.

mod affinity;
pub(crate) mod availability;
pub mod cell;
pub mod demand;
pub(crate) mod labels;
pub(crate) mod ledger;
pub(crate) mod marks;
mod node;
pub mod placement;
pub mod rollout;
pub(crate) mod rollout_status;
pub mod runtime_class;
mod set;
pub mod simulate;
mod status;
pub(crate) mod suggestion;
pub mod summary;
pub(crate) mod taints;
pub(crate) mod validation;

use self::{
    availability::{Availability, Change},
    cell::{Cell, CellIndex, Cells, PodRecord, Target},
    ledger::Ledger,
    marks::Mark,
    node::NodeDecision,
    placement::Placement,
    rollout::{budget, policy::RolloutRules, report::Report},
};
use crate::model::{
    Action, Budget, DaemonSet, DeleteReason, Millis, Problem, ProblemCode, Status, Strategy, Text, Uid,
    Verdict,
};

/// The version of the rules, as a decimal number. It rises when the same facts may give another plan. Executors
/// see it in `Welcome` and callers in `GetInfo`.
///
/// All versions:
/// - 1, release 0.1.0: the first rules.
/// - 2, release 0.2.0: with `minReadySeconds`, an old pod whose ready time is later than the clock waits for its
///   turn in a rollout (R4, R5). Version 1 treated it as unavailable, so a rollout replaced all pods at once after
///   a clock was set back.
pub const RULES_VERSION: &str = "2";

/// The rules that depend only on a `DaemonSet`, a pod and the time (contract R1 and S3).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'d> {
    /// The `DaemonSet`.
    pub(crate) daemon_set: &'d DaemonSet,
    /// The time of the decision. Decisions use no other clock.
    pub(crate) now: Millis,
    /// Cached, because every cell uses it.
    allows_surge: bool,
    /// The rollout of the policy that applies, while it holds anything back.
    pub(crate) rollout: Option<RolloutRules<'d>>,
}

impl<'d> Rules<'d> {
    /// The rules for a `DaemonSet` at a point in time.
    pub(crate) fn new(daemon_set: &'d DaemonSet, now: Millis) -> Self {
        let allows_surge = match daemon_set.strategy {
            Strategy::OnDelete => false,
            Strategy::RollingUpdate { max_surge, .. } => max_surge.of(1) > 0,
        };
        Self {
            daemon_set,
            now,
            allows_surge,
            rollout: None,
        }
    }

    /// The same rules under the rollout of a policy.
    pub(crate) fn with_rollout(self, rollout: Option<RolloutRules<'d>>) -> Self {
        Self { rollout, ..self }
    }

    /// Whether the pod has the revision that its cell should have. Without a policy, this is the current template's. The
    /// current revision of a rollout is known by its hash alone, because pods of it lack the generation (T1).
    pub(crate) fn is_target(&self, cell: &Cell<'_, '_>, pod: &PodRecord) -> bool {
        match (&self.rollout, cell.rollout.map(|rollout| rollout.target)) {
            (Some(rollout), Some(Target::Current)) if *rollout.current != self.daemon_set.update_revision => {
                pod.template_id.revision == *rollout.current
            }
            _ => self.is_current(pod),
        }
    }

    /// Whether the pod has the current template (contract R1): its controller-revision-hash is the update revision or
    /// one that is being merged into it, or its pod-template-generation is the `DaemonSet`'s. If the `DaemonSet` has
    /// neither, every pod counts as current. Mirrors `IsPodUpdated` of `pkg/controller/daemon/util`.
    pub(crate) fn is_current(&self, pod: &PodRecord) -> bool {
        let DaemonSet {
            update_revision,
            template_generation,
            equal_revisions,
            ..
        } = self.daemon_set;
        let revision = &pod.template_id.revision;
        let by_revision = !update_revision.is_empty()
            && (revision == update_revision || equal_revisions.contains(revision));
        let by_generation = template_generation
            .as_ref()
            .is_some_and(|generation| pod.template_id.template_generation == *generation);
        by_revision || by_generation || (update_revision.is_empty() && template_generation.is_none())
    }

    /// Whether a pod can be made for the cell. From a current revision whose `ControllerRevision` is gone, none can, and one
    /// of the update revision would come before its turn (T8).
    fn can_create(&self, cell: &Cell<'_, '_>) -> bool {
        let is_lost = self.rollout.is_some_and(|rollout| rollout.is_current_lost);
        let target = cell.rollout.map(|rollout| rollout.target);
        !(is_lost && target == Some(Target::Current))
    }

    /// The revision that a pod created in the cell gets.
    fn target_revision(&self, cell: &Cell<'_, '_>) -> &Text {
        match (&self.rollout, cell.rollout.map(|rollout| rollout.target)) {
            (Some(rollout), Some(Target::Current)) => rollout.current,
            _ => &self.daemon_set.update_revision,
        }
    }

    /// Whether the pod has been ready for minReadySeconds, and so counts towards availability (contract S3).
    /// Mirrors `IsPodAvailable` of `pkg/api/v1/pod`.
    pub(crate) fn is_available(&self, pod: &PodRecord) -> bool {
        self.available_at(pod).is_some_and(|at| at <= self.now)
    }

    /// The time at which the pod became available, or becomes available if it stays ready. `None` if it isn't ready
    /// or has finished. Without minReadySeconds, a ready pod is available whatever the clocks say (contract S3).
    fn available_at(&self, pod: &PodRecord) -> Option<Millis> {
        let ready_since = pod.ready_since().filter(|_| !pod.is_terminal())?;
        match self.daemon_set.min_ready_millis {
            0 => Some(self.now.min(ready_since)),
            millis => Some(ready_since.plus(millis)),
        }
    }

    /// When a ready pod that still waits for minReadySeconds becomes available. `None` for all other pods, and for
    /// pods that are being deleted.
    pub(crate) fn waits_until(&self, pod: &PodRecord) -> Option<Millis> {
        self.available_at(pod)
            .filter(|at| !pod.deleting && *at > self.now)
    }

    /// Whether replacing this pod uses the budget of a rolling update (contract R4, R5). Other old pods are replaced
    /// at once. A pod needs the budget if it is available, or if minReadySeconds is set and its ready time is in the
    /// future: then a clock was set back or is wrong, and the pod may have been available for a long time (S3).
    pub(crate) fn needs_budget(&self, pod: &PodRecord) -> bool {
        self.is_available(pod) || self.is_ready_in_future(pod)
    }

    fn is_ready_in_future(&self, pod: &PodRecord) -> bool {
        let has_wait = self.daemon_set.min_ready_millis > 0 && !pod.is_terminal();
        has_wait && pod.ready_since().is_some_and(|since| since > self.now)
    }

    /// The next time at which this pod's classification can change without a new event. `None` if only an event can
    /// change it.
    fn next_change_at(&self, pod: &PodRecord) -> Option<Millis> {
        if self.is_ready_in_future(pod) && (self.rollout.is_some() || !self.is_current(pod)) {
            return pod.ready_since();
        }
        self.available_at(pod).filter(|at| *at > self.now)
    }

    /// Whether an update creates a new pod beside the old one: the strategy is `RollingUpdate` and maxSurge isn't 0
    /// (contract R5).
    pub(crate) fn allows_surge(&self) -> bool {
        self.allows_surge
    }
}

/// The actions for a `DaemonSet`, and its status. The default has neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// The actions, each with its cell: first those that single nodes need (N1 to N6), then those of the update. Within
    /// each kind they are in the order of the nodes' names (R6).
    pub actions: Vec<(CellIndex, Action)>,
    /// The counters of the status (S1). `None` for a `DaemonSet` that selects every pod, whose status stays as it is
    /// (P6).
    pub status: Option<Status>,
    /// When to decide again even if no fact changes, such as at the end of a backoff (N3) or of minReadySeconds (S3).
    /// `None` if only facts can change the decision.
    pub reconsider_at: Option<Millis>,
    /// The pods whose wait for minReadySeconds has begun, changed or ended, ordered by uid. Empty unless the fleet
    /// tracks them.
    pub availability: Vec<Change>,
    /// The state of the rollout under a policy. `None` without one.
    pub rollout: Option<Report>,
}

/// Decides for one `DaemonSet` (contract N, R and S1). Updates the ledger first, for the cells that were touched or
/// are due. A ledger must always be used with the same `DaemonSet`'s cells.
///
/// Deciding can't fail. A `DaemonSet` that selects every pod gets an empty decision (P6). `availability` tracks the
/// pods that wait for minReadySeconds, if the fleet tracks them.
pub(crate) fn decide<C: Cells>(
    rules: &Rules<'_>,
    ledger: &mut Ledger,
    availability: Option<&mut Availability>,
    cells: &C,
) -> Decision {
    if rules.daemon_set.selects_everything {
        return Decision {
            availability: availability.map(Availability::clear).unwrap_or_default(),
            ..Decision::default()
        };
    }
    let recomputed = ledger.update(rules, cells);
    let availability = availability.map(|availability| availability.update(rules, cells, recomputed));
    let tally = ledger.tally();
    let mut actions = Vec::new();
    let (mut decision, mut pods) = (NodeDecision::default(), Vec::new());
    let mut act_on = |mark: Mark, indices: Vec<CellIndex>| {
        actions.reserve(indices.len());
        for index in indices {
            let Some(cell) = cells.cell(index, &mut pods) else {
                continue;
            };
            decision.recompute(rules, &cell);
            act(rules, mark, &cell, &decision, |action| {
                actions.push((index, action));
            });
        }
    };
    act_on(
        Mark::NeedsActions,
        ledger.first(Mark::NeedsActions, cells, usize::MAX),
    );
    match (&rules.rollout, ledger.groups()) {
        (Some(rollout), Some(groups)) => {
            let ignored = tally.count(Mark::Ignored);
            let is_stalled = budget::has_too_many_ignored(ignored, tally.count(Mark::Desired));
            if !(rollout.has_stages && is_stalled) {
                let budgets = rollout.budgets(rules.allows_surge());
                let queue = |group, urgency, limit| ledger.queue(group, urgency, limit, cells);
                act_on(
                    Mark::Queued,
                    budget::choose(&budgets, groups, rollout.domains, queue),
                );
            }
        }
        _ => {
            for (mark, limit) in rollout::allowed(rules, tally) {
                act_on(mark, ledger.first(mark, cells, limit));
            }
        }
    }
    Decision {
        actions,
        status: Some(status::status(tally, rules.daemon_set.generation)),
        reconsider_at: ledger.reconsider_at(),
        availability: availability.unwrap_or_default(),
        rollout: None,
    }
}

/// Pushes the actions that a cell needs because of this mark.
fn act(
    rules: &Rules<'_>,
    mark: Mark,
    cell: &Cell<'_, '_>,
    decision: &NodeDecision<'_>,
    mut push: impl FnMut(Action),
) {
    match mark {
        Mark::NeedsActions => {
            if decision.create {
                push(create(rules, cell));
            }
            for (pod, reason) in &decision.delete {
                push(delete(cell, pod, *reason));
            }
        }
        Mark::Queued if rules.allows_surge() && cell.verdict == Some(Verdict::Run) => {
            push(create(rules, cell));
        }
        Mark::SurgeAtOnce | Mark::SurgeWithinBudget => push(create(rules, cell)),
        Mark::Queued | Mark::DeleteAtOnce | Mark::DeleteWithinBudget => {
            if let Some(pod) = rollout::old_pod(rules, cell, decision) {
                let reason = if cell.is_narrowed() {
                    DeleteReason::Excluded
                } else {
                    DeleteReason::Update
                };
                push(delete(cell, pod, reason));
            }
        }
        _ => {}
    }
}

fn create(rules: &Rules<'_>, cell: &Cell<'_, '_>) -> Action {
    Action::Create {
        node: cell.node.clone(),
        revision: rules.target_revision(cell).clone(),
        succeeds: cell.predecessor().map(Uid::text),
    }
}

fn delete(cell: &Cell<'_, '_>, pod: &PodRecord, reason: DeleteReason) -> Action {
    Action::Delete {
        pod: pod.name.as_ref().into(),
        uid: pod.uid.text(),
        node: cell.node.clone(),
        reason,
    }
}

/// All problems of a `DaemonSet`: those of its placement (P3, P6), and an unknown revision (R1). A problem never fails
/// a decision.
pub(crate) fn problems(daemon_set: &DaemonSet, placement: &Placement) -> Vec<Problem> {
    let mut problems = placement.problems();
    if daemon_set.update_revision.is_empty() && daemon_set.template_generation.is_none() {
        problems.push(Problem {
            code: ProblemCode::UnknownRevision,
            field: "metadata.annotations".to_owned(),
            message:
                "the revision of the current template is unknown, so all pods count as current; give the \
                      DaemonSet's ControllerRevisions, the update revision, or the annotation \
                      deprecated.daemonset.template.generation"
                    .to_owned(),
        });
    }
    problems
}

/// The rolling update strategy with these budgets, in pods or percent. A budget that isn't set is 0. If both are 0,
/// maxUnavailable counts as 1 (contract R3).
pub(crate) fn rolling_update(max_unavailable: Option<Budget>, max_surge: Option<Budget>) -> Strategy {
    Strategy::RollingUpdate {
        max_unavailable: max_unavailable.unwrap_or(Budget::Count(0)),
        max_surge: max_surge.unwrap_or(Budget::Count(0)),
    }
}
