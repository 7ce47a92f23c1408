//! The rules: where pods belong, and which actions bring them there.
//!
//! Everything here is a pure function of its arguments, without IO, clock, randomness or logging. A decision
//! for one `DaemonSet` is a fold over its [`cell`]s in the order of the nodes' names:
//!
//! - [`placement`] decides whether a pod belongs on a node, with [`affinity`], [`labels`] and [`taints`];
//! - [`node`] decides what one node needs;
//! - [`rollout`] decides which old pods are replaced;
//! - [`status`] counts, and [`standing`] derives the conditions from the counters;
//! - [`availability`] lists the pods that wait for minReadySeconds.
//!
//! For nodes that needn't exist, [`demand`] computes what a pod takes of its node, and [`simulate`] how all
//! daemon pods together fit on a node. [`summary`] counts verdicts for people.
//!
//! Each cell has a [`share`], a handful of marks that depend on that cell alone. A [`ledger`] keeps the
//! shares of all cells with their sums, and recomputes only those of cells that were touched.

pub mod affinity;
pub mod availability;
pub mod cell;
pub mod demand;
pub mod labels;
pub mod ledger;
pub mod node;
pub mod placement;
pub mod rollout;
pub mod set;
pub mod share;
pub mod simulate;
pub mod standing;
pub mod status;
pub mod summary;
pub mod taints;

use self::{
    availability::{Availability, Change},
    cell::{Cell, CellIndex, Cells, PodRecord},
    ledger::Ledger,
    node::Settled,
    placement::Placement,
    share::Mark,
};
use crate::model::{
    Action, Budget, DaemonSet, DeleteReason, Millis, Problem, ProblemCode, Status, Strategy, Uid,
};

/// The version of the rules. It rises when the same facts may give another plan.
pub const RULES_VERSION: &str = "2";

/// A `DaemonSet` at a point in time, with the rules that need nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'d> {
    /// The `DaemonSet`.
    pub daemon_set: &'d DaemonSet,
    /// The point in time.
    pub now: Millis,
    /// Computed once, because every cell uses it.
    allows_surge: bool,
}

impl<'d> Rules<'d> {
    /// The rules for a `DaemonSet` at a point in time.
    pub fn new(daemon_set: &'d DaemonSet, now: Millis) -> Self {
        let allows_surge = match daemon_set.strategy {
            Strategy::OnDelete => false,
            Strategy::RollingUpdate { max_surge, .. } => max_surge.of(1) > 0,
        };
        Self {
            daemon_set,
            now,
            allows_surge,
        }
    }

    /// R1: whether the pod has the current template. When this can't be determined, every pod counts as
    /// current.
    pub fn is_current(&self, pod: &PodRecord) -> bool {
        let DaemonSet {
            update_revision,
            template_generation,
            ..
        } = self.daemon_set;
        let by_revision = !update_revision.is_empty() && pod.stamp.revision == *update_revision;
        let by_generation = template_generation
            .as_ref()
            .is_some_and(|generation| pod.stamp.template_generation == *generation);
        by_revision || by_generation || (update_revision.is_empty() && template_generation.is_none())
    }

    /// R3: whether the pod has been ready for minReadySeconds.
    pub fn is_available(&self, pod: &PodRecord) -> bool {
        self.available_at(pod).is_some_and(|at| at <= self.now)
    }

    /// When the pod became or will become available if it stays ready. `None` while it isn't ready, or when
    /// it has finished. Without minReadySeconds, a ready pod is available whatever the clocks say.
    fn available_at(&self, pod: &PodRecord) -> Option<Millis> {
        let ready_since = pod.ready_since.filter(|_| !pod.is_terminal())?;
        match self.daemon_set.min_ready_millis {
            0 => Some(self.now.min(ready_since)),
            millis => Some(ready_since.plus(millis)),
        }
    }

    /// When a ready pod that still waits for minReadySeconds becomes available. `None` for all other pods, and for
    /// pods that are being deleted.
    pub fn waits_until(&self, pod: &PodRecord) -> Option<Millis> {
        self.available_at(pod)
            .filter(|at| !pod.deleting && *at > self.now)
    }

    /// Whether an update must wait for the pod's turn. This is so if the pod is available, or if it became
    /// ready at a time that is still in the future. In the latter case a clock was set back or is wrong, and
    /// the pod may have been available for long (S3).
    pub fn is_spared(&self, pod: &PodRecord) -> bool {
        self.is_available(pod) || self.is_ready_ahead(pod)
    }

    fn is_ready_ahead(&self, pod: &PodRecord) -> bool {
        let waits = self.daemon_set.min_ready_millis > 0 && !pod.is_terminal();
        waits && pod.ready_since.is_some_and(|since| since > self.now)
    }

    /// Next time this pod's classification can change without a new event.
    fn changes_at(&self, pod: &PodRecord) -> Option<Millis> {
        if self.is_ready_ahead(pod) && !self.is_current(pod) {
            return pod.ready_since;
        }
        self.available_at(pod).filter(|at| *at > self.now)
    }

    /// Whether a node may have a new pod beside an old one during an update.
    pub fn allows_surge(&self) -> bool {
        self.allows_surge
    }
}

/// The actions for a `DaemonSet`, and its status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// In a fixed order, each with its cell.
    pub actions: Vec<(CellIndex, Action)>,
    /// `None` while there is nothing to report.
    pub status: Option<Status>,
    /// When to decide again even if nothing changes.
    pub reconsider_at: Option<Millis>,
    /// The pods that have begun or ceased to wait for minReadySeconds, ordered by uid. Empty when nobody tracks them.
    pub availability: Vec<Change>,
}

/// Decides for a `DaemonSet`, after updating the ledger for the cells that were touched. `availability` tracks the pods
/// that wait for minReadySeconds, if anybody wants to know them.
pub fn decide<C: Cells>(
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
    let recomputed = ledger.look(rules, cells);
    let availability = availability.map(|availability| availability.update(rules, cells, recomputed));
    let tally = ledger.tally();
    let mut actions = Vec::new();
    let (mut settled, mut pods) = (Settled::default(), Vec::new());
    let parts = [(Mark::Acts, usize::MAX)]
        .into_iter()
        .chain(rollout::allowed(rules, tally));
    for (mark, most) in parts {
        let indices = ledger.first(mark, cells, most);
        actions.reserve(indices.len());
        for index in indices {
            let Some(cell) = cells.cell(index, &mut pods) else {
                continue;
            };
            settled.decide(rules, &cell);
            act(rules, mark, &cell, &settled, |action| {
                actions.push((index, action));
            });
        }
    }
    Decision {
        actions,
        status: Some(status::status(tally, rules.daemon_set.generation)),
        reconsider_at: ledger.reconsider_at(),
        availability: availability.unwrap_or_default(),
    }
}

/// Pushes the actions that this mark requires in a cell.
fn act(
    rules: &Rules<'_>,
    mark: Mark,
    cell: &Cell<'_, '_>,
    settled: &Settled<'_>,
    mut push: impl FnMut(Action),
) {
    match mark {
        Mark::Acts => {
            if settled.create {
                push(create(rules, cell));
            }
            for (pod, reason) in &settled.delete {
                push(delete(cell, pod, *reason));
            }
        }
        Mark::SurgesFreely | Mark::SurgesInTurn => push(create(rules, cell)),
        Mark::GoesFreely | Mark::GoesInTurn => {
            if let Some(pod) = rollout::old_pod(rules, settled) {
                push(delete(cell, pod, DeleteReason::Update));
            }
        }
        _ => {}
    }
}

fn create(rules: &Rules<'_>, cell: &Cell<'_, '_>) -> Action {
    Action::Create {
        node: cell.node.clone(),
        revision: rules.daemon_set.update_revision.clone(),
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

/// All problems of a `DaemonSet`.
pub fn problems(daemon_set: &DaemonSet, placement: &Placement) -> Vec<Problem> {
    let mut problems = placement.problems();
    if daemon_set.update_revision.is_empty() && daemon_set.template_generation.is_none() {
        problems.push(Problem {
            code: ProblemCode::UnknownRevision,
            field: "metadata.annotations".to_owned(),
            message: "neither an update revision nor the annotation deprecated.daemonset.template.generation says which \
                      pods are current, so all count as current"
                .to_owned(),
        });
    }
    problems
}

/// The rolling update strategy with a `DaemonSet`'s budgets. A budget that isn't set is 0.
pub fn rolling_update(max_unavailable: Option<Budget>, max_surge: Option<Budget>) -> Strategy {
    Strategy::RollingUpdate {
        max_unavailable: max_unavailable.unwrap_or(Budget::Count(0)),
        max_surge: max_surge.unwrap_or(Budget::Count(0)),
    }
}
