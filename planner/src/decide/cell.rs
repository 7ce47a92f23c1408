//! What a decision reads of one pair of `DaemonSet` and node.

use std::{cmp::Ordering, sync::Arc};

use crate::model::{Millis, Phase, Pod, Stamp, Text, Uid, Verdict};

/// A node's place among a `DaemonSet`'s cells.
pub type CellIndex = u32;

/// A pod as a cell keeps it, in few bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRecord {
    /// metadata.uid.
    pub uid: Uid,
    /// metadata.name.
    pub name: Box<str>,
    /// What tells of its template.
    pub stamp: Arc<Stamp>,
    /// metadata.creationTimestamp.
    pub created: Millis,
    /// When it became ready, if it is.
    pub ready_since: Option<Millis>,
    /// status.phase.
    pub phase: Phase,
    /// Whether it is bound to its node.
    pub bound: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its deletion is in flight.
    pub delete_in_flight: bool,
}

impl PodRecord {
    /// Keeps a pod of this uid and stamp.
    pub fn new(pod: Pod, uid: Uid, stamp: Arc<Stamp>, delete_in_flight: bool) -> Self {
        Self {
            uid,
            name: pod.name,
            stamp,
            created: pod.created,
            ready_since: pod.ready_since,
            phase: pod.phase,
            bound: pod.bound,
            deleting: pod.deleting,
            delete_in_flight,
        }
    }

    /// Whether the pod is over: it will never be ready again.
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether the pod is on its way out.
    pub fn is_leaving(&self) -> bool {
        self.delete_in_flight || self.deleting
    }
}

/// The order of a node's pods, oldest first: bound before unbound, then by creation, then by name (contract N4).
/// Mirrors `podByCreationTimestampAndPhase`. The uid makes the order total: a pod may be told before its namesake is
/// known to be gone.
pub fn by_age(a: &PodRecord, b: &PodRecord) -> Ordering {
    let key = |pod: &PodRecord| (!pod.bound, pod.created);
    key(a)
        .cmp(&key(b))
        .then_with(|| a.name.cmp(&b.name))
        .then_with(|| a.uid.cmp(&b.uid))
}

/// A `DaemonSet`'s share of one node.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'c, 'a> {
    /// The node's name.
    pub node: &'a Text,
    /// Whether a pod belongs there; `None` when the node is not in the cluster (any more).
    pub verdict: Option<Verdict>,
    /// The `DaemonSet`'s pods for the node, oldest first ([`by_age`]).
    pub pods: &'c [&'a PodRecord],
    /// Whether the creation of a pod for the node is in flight.
    pub creating: bool,
    /// When the youngest pod that is known to have been there before those was created, and its uid.
    pub last: Option<&'a (Millis, Uid)>,
    /// Until when a failed pod there is left alone.
    pub failed_until: Option<Millis>,
}

impl<'a> Cell<'_, 'a> {
    /// How many pods may be on the node that are neither over nor known to be terminating. A deletion in flight may
    /// come late or fail, so its pod counts still.
    pub fn standing(&self) -> usize {
        let pods = self.pods.iter();
        pods.filter(|pod| !pod.deleting && !pod.is_terminal()).count()
    }

    /// The uid of the pod that a new one in the cell succeeds: the youngest ever known there. It stays the same until
    /// there is a younger one, so a creation that is asked for again, because its outcome was lost, gets the same name
    /// again.
    pub fn predecessor(&self) -> Option<&'a Uid> {
        let there = self.pods.iter().map(|pod| (pod.created, &pod.uid));
        let last = self.last.map(|(created, uid)| (*created, uid));
        there.chain(last).max().map(|(_, uid)| uid)
    }
}

/// Where a decision finds its `DaemonSet`'s cells.
pub trait Cells {
    /// All indices lie below this.
    fn capacity(&self) -> usize;

    /// The indices in use, in the order of their nodes' names.
    fn in_order(&self) -> &[CellIndex];

    /// A cell, if its index is in use. Its pods are put into the buffer.
    fn cell<'c, 'a>(&'a self, index: CellIndex, pods: &'c mut Vec<&'a PodRecord>) -> Option<Cell<'c, 'a>>;
}
