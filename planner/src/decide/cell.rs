//! The input of a decision for one pair of `DaemonSet` and node.

use std::{cmp::Ordering, sync::Arc};

use crate::model::{Millis, Phase, Pod, TemplateId, Text, Uid, Verdict};

/// A node's index among a `DaemonSet`'s cells.
pub(crate) type CellIndex = u32;

/// A pod as a cell keeps it, in as few bytes as possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodRecord {
    /// metadata.uid.
    pub(crate) uid: Uid,
    /// metadata.name.
    pub(crate) name: Box<str>,
    /// The template that it was created from.
    pub(crate) template_id: Arc<TemplateId>,
    /// metadata.creationTimestamp.
    pub(crate) created: Millis,
    /// The time at which it became ready. `None` while it isn't ready.
    pub(crate) ready_since: Option<Millis>,
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
            ready_since: pod.ready_since,
            phase: pod.phase,
            bound: pod.bound,
            deleting: pod.deleting,
            delete_in_flight,
        }
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
}

impl<'a> Cell<'_, 'a> {
    /// The number of pods that are neither finished nor known to be terminating. A pod whose deletion is in flight
    /// counts, because the deletion may arrive late or fail.
    pub(crate) fn nonterminating(&self) -> usize {
        let pods = self.pods.iter();
        pods.filter(|pod| !pod.deleting && !pod.is_terminal()).count()
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
