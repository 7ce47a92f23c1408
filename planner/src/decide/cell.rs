//! The input of a decision for one pair of `DaemonSet` and node.

use std::{cmp::Ordering, sync::Arc};

use super::rollout::groups::Group;
use crate::model::{Millis, Phase, Pod, TemplateId, Text, Uid, Verdict};

/// A node's index among a `DaemonSet`'s cells.
pub(crate) type CellIndex = u32;

/// A pod as a cell keeps it, in as few bytes as possible.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "in this form they take the fewest bytes"
)]
pub(crate) struct PodRecord {
    /// metadata.uid.
    pub(crate) uid: Uid,
    /// metadata.name.
    pub(crate) name: Box<str>,
    /// The template that it was created from.
    pub(crate) template_id: Arc<TemplateId>,
    /// metadata.creationTimestamp.
    pub(crate) created: Millis,
    /// The time at which it became ready, or unready if it isn't ready. `None` if it never was ready.
    readiness_since: Option<Millis>,
    is_ready: bool,
    /// status.phase.
    pub(crate) phase: Phase,
    /// Whether it is bound to its node.
    pub(crate) bound: bool,
    /// Whether it is being deleted.
    pub(crate) deleting: bool,
    /// Whether its deletion is in flight.
    pub(crate) delete_in_flight: bool,
}

impl PodRecord {
    /// Builds the record of a pod with this uid and template.
    pub(crate) fn new(pod: Pod, uid: Uid, template_id: Arc<TemplateId>, delete_in_flight: bool) -> Self {
        Self {
            uid,
            name: pod.name,
            template_id,
            created: pod.created,
            readiness_since: pod.ready_since.or(pod.unready_since),
            is_ready: pod.ready_since.is_some(),
            phase: pod.phase,
            bound: pod.bound,
            deleting: pod.deleting,
            delete_in_flight,
        }
    }

    /// The time at which it became ready. `None` while it isn't ready.
    pub(crate) fn ready_since(&self) -> Option<Millis> {
        self.readiness_since.filter(|_| self.is_ready)
    }

    /// The time at which it became unready. `None` while it is ready, and if it never was.
    pub(crate) fn unready_since(&self) -> Option<Millis> {
        self.readiness_since.filter(|_| !self.is_ready)
    }

    /// Whether the pod has finished: it will never be ready again.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether the pod is being deleted, or its deletion is in flight.
    pub(crate) fn is_deletion_requested(&self) -> bool {
        self.delete_in_flight || self.deleting
    }
}

/// The order of a node's pods, oldest first: bound before unbound, then by creation, then by name (contract
/// N4). Mirrors `podByCreationTimestampAndPhase`. The uid makes the order total, because a new pod may be
/// reported before an earlier pod of the same name is known to be gone.
pub(crate) fn by_age(a: &PodRecord, b: &PodRecord) -> Ordering {
    let key = |pod: &PodRecord| (!pod.bound, pod.created);
    key(a)
        .cmp(&key(b))
        .then_with(|| a.name.cmp(&b.name))
        .then_with(|| a.uid.cmp(&b.uid))
}

/// One pair of `DaemonSet` and node, with the `DaemonSet`'s pods there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell<'c, 'a> {
    /// The node's name.
    pub(crate) node: &'a Text,
    /// Whether a pod belongs there. `None` if the node isn't in the cluster.
    pub(crate) verdict: Option<Verdict>,
    /// The `DaemonSet`'s pods for the node, oldest first ([`by_age`]).
    pub(crate) pods: &'c [&'a PodRecord],
    /// Whether the creation of a pod for the node is in flight.
    pub(crate) create_in_flight: bool,
    /// The creation time and uid of the youngest known pod that was there and is gone.
    pub(crate) youngest_gone: Option<&'a (Millis, Uid)>,
    /// The end of the backoff: until then, a failed pod there isn't deleted (N3).
    pub(crate) backoff_until: Option<Millis>,
    /// How the rollout of a policy sees the cell. `None` without a policy, and while its rollout holds nothing back.
    pub(crate) rollout: Option<RolloutCell>,
}

/// How the rollout of a policy sees a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RolloutCell {
    /// The revision that the pod there should have. The verdict is that of its template.
    pub(crate) target: Target,
    /// Whether the node is released: its stage is open, or somebody has released it.
    pub(crate) is_released: bool,
    /// Whether a label of the node holds the pod at its revision.
    pub(crate) is_held: bool,
    /// Whether the node existed when its stage opened, or, on the way back, when that began.
    pub(crate) is_in_roster: bool,
    /// The verdict by the update template, which the status follows (S1).
    pub(crate) update_verdict: Option<Verdict>,
    /// The verdict by the template of the current revision.
    pub(crate) current_verdict: Option<Verdict>,
    /// The stage and the domain.
    pub(crate) group: Group,
}

/// The revision that a cell's pod should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The update revision.
    Update,
    /// The current revision, because the rollout hasn't released the node or goes back.
    Current,
}

impl<'a> Cell<'_, 'a> {
    /// The number of pods that are neither finished nor known to be terminating. A pod whose deletion is in flight
    /// counts, because the deletion may arrive late or fail.
    pub(crate) fn nonterminating(&self) -> usize {
        let pods = self.pods.iter();
        pods.filter(|pod| !pod.deleting && !pod.is_terminal()).count()
    }

    /// Whether a pod of the other template may stay until its turn, although the template that reached the node excludes
    /// it. A release that takes pods away spends a budget like a replacement (T2), and so does the way back.
    pub(crate) fn is_narrowed(&self) -> bool {
        let admits = |verdict| matches!(verdict, Some(Verdict::Run | Verdict::Keep));
        self.verdict == Some(Verdict::Exclude)
            && self.rollout.is_some_and(|rollout| match rollout.target {
                Target::Update => admits(rollout.current_verdict),
                // A released node has this target only on the way back.
                Target::Current => rollout.is_released && admits(rollout.update_verdict),
            })
    }

    /// The uid of the pod that a new pod in the cell succeeds: the youngest pod ever known there. It stays the same
    /// until a younger pod appears. The executor derives the new pod's name from it, so a creation whose outcome was
    /// lost gets the same name when it is requested again.
    pub(crate) fn predecessor(&self) -> Option<&'a Uid> {
        let there = self.pods.iter().map(|pod| (pod.created, &pod.uid));
        let last = self.youngest_gone.map(|(created, uid)| (*created, uid));
        there.chain(last).max().map(|(_, uid)| uid)
    }
}

/// Gives a decision access to its `DaemonSet`'s cells.
pub(crate) trait Cells {
    /// An upper bound: every index is less than it.
    fn capacity(&self) -> usize;

    /// The indices in use, in the order of their nodes' names.
    fn in_order(&self) -> &[CellIndex];

    /// The cell at an index, if the index is in use. Puts its pods into the buffer.
    fn cell<'c, 'a>(&'a self, index: CellIndex, pods: &'c mut Vec<&'a PodRecord>) -> Option<Cell<'c, 'a>>;
}
