//! One `DaemonSet`'s row of cells: eight bytes for each node, and a ledger of what the cells add up to.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{
    nodes::{NodeIndex, Nodes},
    pods::{NONE, PodIndex, Pods},
};
use crate::{
    decide::{
        self, Decision, Rules,
        availability::Availability,
        cell::{self, CellIndex, Cells, PodRecord, by_age},
        ledger::Ledger,
        placement::Placement,
        taints::added_tolerations,
    },
    model::{DaemonSet, Millis, Problem, Status, Text, Toleration, Uid, Verdict},
};

/// The first wait after a failed pod was deleted, in milliseconds (contract N3).
const FIRST_BACKOFF_MILLIS: i64 = 1_000;
/// The longest such wait, in milliseconds.
const LONGEST_BACKOFF_MILLIS: i64 = 15 * 60 * 1_000;
/// After this many milliseconds without a failure, the next one counts as the first.
const QUIET_MILLIS: i64 = 2 * LONGEST_BACKOFF_MILLIS;

/// A row of cells.
#[derive(Debug, Default)]
pub struct Row {
    /// The `DaemonSet`'s uid.
    pub uid: Text,
    known: Option<Known>,
    cells: Vec<Cell>,
    /// Number of pods in the cells.
    pods: usize,
    failures: HashMap<NodeIndex, Failure>,
    /// The creation time and the uid of the youngest pod that was in a cell and is gone. There is no entry when the
    /// cell holds a younger pod.
    last: HashMap<NodeIndex, (Millis, Uid)>,
    ledger: Ledger,
    /// The pods that wait for minReadySeconds, as plans have told so far.
    availability: Availability,
    /// The content of the last plan for the `DaemonSet`, without its actions.
    pub said: Said,
}

/// The content of a plan, without its actions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// The counters of the status.
    pub status: Option<Status>,
    /// The problems of the `DaemonSet`.
    pub problems: Arc<[Problem]>,
    /// When to decide again.
    pub reconsider_at: Option<Millis>,
}

/// The `DaemonSet` and everything that follows from it alone.
#[derive(Debug)]
pub struct Known {
    /// The `DaemonSet`.
    pub daemon_set: DaemonSet,
    /// The conditions that it sets on nodes.
    pub placement: Placement,
    /// Its problems.
    pub problems: Arc<[Problem]>,
    /// The tolerations that its pods get in addition to the template's.
    pub added_tolerations: Arc<[Toleration]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    first_pod: PodIndex,
    verdict: Option<Verdict>,
    creating: bool,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            first_pod: NONE,
            verdict: None,
            creating: false,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    at: Millis,
    delay_millis: i64,
}

/// A row's cells as decisions read them.
struct View<'r> {
    cells: &'r [Cell],
    failures: &'r HashMap<NodeIndex, Failure>,
    last: &'r HashMap<NodeIndex, (Millis, Uid)>,
    nodes: &'r Nodes,
    pods: &'r Pods,
}

impl Cells for View<'_> {
    fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    fn in_order(&self) -> &[CellIndex] {
        self.nodes.in_order()
    }

    fn cell<'c, 'a>(
        &'a self,
        index: CellIndex,
        pods: &'c mut Vec<&'a PodRecord>,
    ) -> Option<cell::Cell<'c, 'a>> {
        let node = self.nodes.name(index)?;
        let cell = self.cells.get(index as usize).cloned().unwrap_or_default();
        pods.clear();
        pods.extend(self.pods.chain(cell.first_pod));
        // The result must not depend on the order in which the pods arrived.
        pods.sort_by(|a, b| by_age(a, b));
        let failure = self.failures.get(&index);
        Some(cell::Cell {
            node,
            verdict: cell.verdict,
            pods,
            creating: cell.creating,
            last: self.last.get(&index),
            failed_until: failure.map(|failure| failure.at.plus(failure.delay_millis)),
        })
    }
}

impl Row {
    /// A row for the `DaemonSet` with this uid, which isn't known yet.
    pub fn new(uid: Text) -> Self {
        Self {
            uid,
            ..Self::default()
        }
    }

    /// The `DaemonSet`, or `None` until it has been received.
    pub fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// Whether the row has nothing left to remember.
    pub fn is_empty(&self) -> bool {
        self.known.is_none() && self.pods == 0
    }

    /// Number of entries that the row keeps about pods that are gone, and about pods that wait for minReadySeconds.
    pub fn remembered(&self) -> usize {
        self.last.len() + self.failures.len() + self.availability.waiting_cells()
    }

    /// Sets the `DaemonSet`. Returns whether anything changed.
    pub fn set(&mut self, daemon_set: DaemonSet, nodes: &Nodes) -> bool {
        let before = self.known.as_ref().map(|known| &known.daemon_set);
        if before == Some(&daemon_set) {
            return false;
        }
        if before.is_none_or(|before| before.generation != daemon_set.generation) {
            self.failures.clear();
        }
        let placement = Placement::new(&daemon_set);
        self.cells.resize(nodes.capacity(), Cell::default());
        for index in nodes.in_order() {
            let verdict = nodes.get(*index).map(|node| placement.verdict(node));
            self.cell_mut(*index).verdict = verdict;
        }
        self.known = Some(Known {
            problems: decide::problems(&daemon_set, &placement).into(),
            added_tolerations: added_tolerations(&daemon_set.template).into(),
            placement,
            daemon_set,
        });
        self.ledger.touch_all();
        true
    }

    /// Forgets the `DaemonSet`, but not its pods.
    pub fn forget(&mut self) {
        self.known = None;
        self.said = Said::default();
        self.failures.clear();
        self.ledger = Ledger::default();
        self.availability = Availability::default();
    }

    /// Recomputes the verdict on a node. Returns whether it changed.
    pub fn judge(&mut self, index: NodeIndex, nodes: &Nodes) -> bool {
        let Some(known) = &self.known else { return false };
        let verdict = nodes.get(index).map(|node| known.placement.verdict(node));
        let cell = self.cell_mut(index);
        if std::mem::replace(&mut cell.verdict, verdict) == verdict {
            return false;
        }
        self.ledger.touch(index);
        true
    }

    fn cell_mut(&mut self, index: NodeIndex) -> &mut Cell {
        let index = index as usize;
        if index >= self.cells.len() {
            self.cells.resize(index + 1, Cell::default());
        }
        // The resize above made room for the index.
        #[expect(clippy::indexing_slicing, reason = "the row was just made long enough")]
        &mut self.cells[index]
    }

    /// Clears the cell of a node whose index another node will get.
    pub fn clear_cell(&mut self, index: NodeIndex) {
        if let Some(cell) = self.cells.get_mut(index as usize) {
            *cell = Cell::default();
        }
        self.failures.remove(&index);
        self.last.remove(&index);
    }

    /// Marks that a pod in a node's cell has changed.
    pub fn touch(&mut self, node: NodeIndex) {
        self.ledger.touch(node);
    }

    /// Puts a pod first in a node's cell. Returns the pod that was first before.
    pub fn link(&mut self, index: PodIndex, record: &PodRecord, node: NodeIndex) -> PodIndex {
        self.pods += 1;
        let is_younger = |(created, uid): &(Millis, Uid)| (*created, uid) < (record.created, &record.uid);
        if self.last.get(&node).is_some_and(is_younger) {
            self.last.remove(&node);
        }
        self.touch(node);
        std::mem::replace(&mut self.cell_mut(node).first_pod, index)
    }

    /// Removes a pod from a node's cell, after it was removed from `pods`. The cell remembers the pod's creation time
    /// and uid for its successor.
    pub fn unlink(
        &mut self,
        index: PodIndex,
        record: PodRecord,
        node: NodeIndex,
        next: PodIndex,
        pods: &mut Pods,
    ) {
        self.pods -= 1;
        self.touch(node);
        let gone = (record.created, record.uid);
        let last = self.last.entry(node).or_insert_with(|| gone.clone());
        if *last < gone {
            *last = gone;
        }
        let cell = self.cell_mut(node);
        if cell.first_pod == index {
            cell.first_pod = next;
            return;
        }
        let mut at = cell.first_pod;
        while let Some(before) = pods.get_mut(at) {
            if before.next == index {
                before.next = next;
                return;
            }
            at = before.next;
        }
    }

    /// Marks whether the creation of a pod is in flight.
    pub fn set_creating(&mut self, index: NodeIndex, creating: bool) {
        self.cell_mut(index).creating = creating;
        self.touch(index);
    }

    /// Records that a failed pod is deleted, so that the next one on the node waits longer (contract N3). Several
    /// failed pods that are deleted at the same time count as one failure.
    pub fn note_failure(&mut self, index: NodeIndex, now: Millis) {
        let delay_millis = match self.failures.get(&index) {
            Some(last) if last.at == now => return,
            Some(last) if now.since(last.at) <= QUIET_MILLIS => {
                (last.delay_millis * 2).min(LONGEST_BACKOFF_MILLIS)
            }
            Some(_) | None => FIRST_BACKOFF_MILLIS,
        };
        self.failures.insert(
            index,
            Failure {
                at: now,
                delay_millis,
            },
        );
        self.touch(index);
    }

    /// Decides. Returns `None` until the `DaemonSet` has been received. With `tracks_availability`, the decision has the
    /// pods that have begun or ceased to wait for minReadySeconds since the last such decision.
    pub fn decide(
        &mut self,
        nodes: &Nodes,
        pods: &Pods,
        now: Millis,
        tracks_availability: bool,
    ) -> Option<Decision> {
        let Self {
            known,
            cells,
            failures,
            last,
            ledger,
            availability,
            ..
        } = self;
        let rules = Rules::new(&known.as_ref()?.daemon_set, now);
        let view = View {
            cells,
            failures,
            last,
            nodes,
            pods,
        };
        let availability = tracks_availability.then_some(availability);
        Some(decide::decide(&rules, ledger, availability, &view))
    }
}

#[cfg(test)]
mod look;
