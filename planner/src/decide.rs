//! The rules: what belongs where, and what is to be done about it.
//!
//! Everything here is a pure function of its arguments, without IO, clock, randomness or logging. A decision for one
//! `DaemonSet` is a fold over its [`Cell`]s in the order of the nodes' names:
//!
//! - [`placement`] says whether a pod belongs on a node, with [`affinity`], [`labels`] and [`taints`];
//! - [`node`] says what one node needs;
//! - [`rollout`] says which old pods give way;
//! - [`status`] counts.

pub mod affinity;
pub mod labels;
pub mod node;
pub mod placement;
pub mod rollout;
pub mod status;
pub mod taints;

use std::cmp::Ordering;

use self::{node::Settled, placement::Placement, rollout::Rollout, status::Counters};
use crate::model::{
    Action, Budget, DaemonSet, Decision, DeleteReason, Millis, Pod, Problem, ProblemCode, Strategy, Text,
    Verdict,
};

/// The version of the rules: it rises when the same facts may give another plan.
pub const RULES_VERSION: &str = "1";

/// A `DaemonSet`'s share of one node.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'c, 'a> {
    /// The node's name.
    pub node: &'a Text,
    /// Whether a pod belongs there; `None` when the node is not in the cluster (any more).
    pub verdict: Option<Verdict>,
    /// The `DaemonSet`'s pods for the node, oldest first ([`by_age`]).
    pub pods: &'c [CellPod<'a>],
    /// Whether the creation of a pod for the node is in flight.
    pub creating: bool,
    /// When the youngest pod that is known to have been there was created, and its uid.
    pub last: Option<(Millis, &'a Text)>,
    /// Until when a failed pod there is left alone.
    pub failed_until: Option<Millis>,
}

impl Cell<'_, '_> {
    /// How many pods may be on the node that are neither over nor known to be terminating. A deletion in flight may
    /// come late or fail, so its pod counts still.
    pub fn standing(&self) -> usize {
        let pods = self.pods.iter().map(|pod| pod.pod);
        pods.filter(|pod| !pod.deleting && !pod.is_terminal()).count()
    }
}

/// A pod in a cell.
#[derive(Debug, Clone, Copy)]
pub struct CellPod<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Whether its deletion is in flight.
    pub delete_in_flight: bool,
}

impl CellPod<'_> {
    /// Whether the pod is on its way out.
    pub fn is_deleting(&self) -> bool {
        self.delete_in_flight || self.pod.deleting
    }
}

/// The order of a node's pods, oldest first: bound before unbound, then by creation, then by name (contract N4).
/// Mirrors `podByCreationTimestampAndPhase`. The uid makes the order total: a pod may be told before its namesake is
/// known to be gone.
pub fn by_age(a: &Pod, b: &Pod) -> Ordering {
    let key = |pod: &Pod| (!pod.bound, pod.created);
    key(a)
        .cmp(&key(b))
        .then_with(|| a.name.cmp(&b.name))
        .then_with(|| a.uid.cmp(&b.uid))
}

/// A `DaemonSet` at a moment, with the rules that need no more than that.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'d> {
    /// The `DaemonSet`.
    pub daemon_set: &'d DaemonSet,
    /// The moment.
    pub now: Millis,
}

impl Rules<'_> {
    /// R1: whether the pod is of the current template. When that can't be told, every pod is.
    pub fn is_current(&self, pod: &Pod) -> bool {
        let DaemonSet {
            update_revision,
            template_generation,
            ..
        } = self.daemon_set;
        let by_revision = !update_revision.is_empty() && pod.revision == *update_revision;
        let by_generation = template_generation
            .as_ref()
            .is_some_and(|generation| pod.template_generation == *generation);
        by_revision || by_generation || (update_revision.is_empty() && template_generation.is_none())
    }

    /// R3: whether the pod has been ready for minReadySeconds.
    pub fn is_available(&self, pod: &Pod) -> bool {
        self.available_at(pod).is_some_and(|at| at <= self.now)
    }

    /// When the pod is or will be available if it stays ready; `None` while it isn't ready, or when it is over. Without
    /// minReadySeconds a ready pod is available whatever the clocks say.
    fn available_at(&self, pod: &Pod) -> Option<Millis> {
        let ready_since = pod.ready_since.filter(|_| !pod.is_terminal())?;
        match self.daemon_set.min_ready_millis {
            0 => Some(self.now.min(ready_since)),
            millis => Some(ready_since.plus(millis)),
        }
    }

    /// Whether a node may have a new pod beside an old one.
    pub fn allows_surge(&self) -> bool {
        match self.daemon_set.strategy {
            Strategy::OnDelete => false,
            Strategy::RollingUpdate { max_surge, .. } => max_surge.of(1) > 0,
        }
    }
}

/// A decision in the making: visit every cell in the order of the nodes' names, then finish.
#[derive(Debug)]
pub struct Sweep<'d, 'a> {
    rules: Rules<'d>,
    counters: Counters,
    rollout: Rollout<'a>,
    settled: Settled<'a>,
    actions: Vec<Action>,
    reconsider_at: Option<Millis>,
}

impl<'d, 'a> Sweep<'d, 'a> {
    /// Begins a decision.
    pub fn new(daemon_set: &'d DaemonSet, now: Millis) -> Self {
        Self {
            rules: Rules { daemon_set, now },
            counters: Counters::default(),
            rollout: Rollout::default(),
            settled: Settled::default(),
            actions: Vec::new(),
            reconsider_at: None,
        }
    }

    /// Takes one cell into account.
    pub fn visit(&mut self, cell: &Cell<'_, 'a>) {
        self.counters.count(&self.rules, cell);
        self.settled.decide(&self.rules, cell);
        self.rollout.observe(&self.rules, cell, &self.settled);
        self.reconsider(self.settled.reconsider_at);
        // Elsewhere it decides nothing whether a pod is available.
        let decisive = matches!(cell.verdict, Some(Verdict::Run | Verdict::Keep));
        for pod in cell.pods.iter().filter(|_| decisive) {
            let available_at = self.rules.available_at(pod.pod);
            self.reconsider(available_at.filter(|at| *at > self.rules.now));
        }
        if self.settled.create {
            self.actions
                .push(create(&self.rules, cell.node, predecessor(cell)));
        }
        let deletions = self
            .settled
            .delete
            .iter()
            .map(|(pod, reason)| delete(cell.node, pod, *reason));
        self.actions.extend(deletions);
    }

    fn reconsider(&mut self, at: Option<Millis>) {
        self.reconsider_at = [self.reconsider_at, at].into_iter().flatten().min();
    }

    /// Ends the decision.
    pub fn finish(self) -> Decision {
        let Self {
            rules,
            counters,
            rollout,
            mut actions,
            reconsider_at,
            ..
        } = self;
        if rules.daemon_set.selects_everything {
            return Decision::default();
        }
        let allowed = rollout.allowed(&rules, counters.desired());
        actions.extend(
            allowed
                .create
                .iter()
                .map(|(node, succeeds)| create(&rules, node, Some(succeeds))),
        );
        actions.extend(
            allowed
                .delete
                .iter()
                .map(|(node, pod)| delete(node, pod, DeleteReason::Update)),
        );
        let status = counters.status(rules.daemon_set.generation);
        Decision {
            actions,
            status: Some(status),
            reconsider_at,
        }
    }
}

fn create(rules: &Rules<'_>, node: &Text, succeeds: Option<&Text>) -> Action {
    Action::Create {
        node: node.clone(),
        revision: rules.daemon_set.update_revision.clone(),
        succeeds: succeeds.cloned(),
    }
}

fn delete(node: &Text, pod: &Pod, reason: DeleteReason) -> Action {
    Action::Delete {
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        node: node.clone(),
        reason,
    }
}

/// The uid of the pod that a new one in the cell succeeds: the youngest ever known there. It stays the same until there
/// is a younger one, so a creation that is asked for again, because its outcome was lost, gets the same name again.
fn predecessor<'a>(cell: &Cell<'_, 'a>) -> Option<&'a Text> {
    let there = cell.pods.iter().map(|pod| (pod.pod.created, &pod.pod.uid));
    there.chain(cell.last).max().map(|(_, uid)| uid)
}

/// Everything that is wrong with a `DaemonSet`.
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

/// The budgets of a rolling update as the `DaemonSet` has them; what isn't set is 0.
pub fn rolling_update(max_unavailable: Option<Budget>, max_surge: Option<Budget>) -> Strategy {
    Strategy::RollingUpdate {
        max_unavailable: max_unavailable.unwrap_or(Budget::Count(0)),
        max_surge: max_surge.unwrap_or(Budget::Count(0)),
    }
}
