//! One `DaemonSet`'s row of cells: a few dozen bytes for each node, and the pods.

use std::collections::HashMap;

use super::nodes::{NodeIndex, Nodes};
use crate::{
    decide::{self, CellPod, Sweep, placement::Placement},
    model::{DaemonSet, Decision, Millis, Pod, Problem, Status, Text, Verdict},
};

/// The first wait after a failed pod was deleted, in milliseconds (contract N3).
const FIRST_BACKOFF_MILLIS: i64 = 1_000;
/// The longest wait.
const LONGEST_BACKOFF_MILLIS: i64 = 15 * 60 * 1_000;
/// After this long without a failure, the next one counts as the first.
const QUIET_MILLIS: i64 = 2 * LONGEST_BACKOFF_MILLIS;

/// A pod's place among its row's pods.
pub type PodIndex = u32;

/// No pod.
const NONE: PodIndex = PodIndex::MAX;

/// A row of cells.
#[derive(Debug, Default)]
pub struct Row {
    known: Option<Known>,
    cells: Vec<Cell>,
    pods: Vec<Option<Entry>>,
    free: Vec<PodIndex>,
    failures: HashMap<NodeIndex, Failure>,
    /// What was last said of the `DaemonSet`.
    pub said: Said,
}

/// What a plan says beside its actions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// The counters.
    pub status: Option<Status>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// When to decide again.
    pub reconsider_at: Option<Millis>,
}

/// The `DaemonSet` and what follows from it alone.
#[derive(Debug)]
pub struct Known {
    /// The `DaemonSet`.
    pub daemon_set: DaemonSet,
    /// Its conditions on nodes.
    pub placement: Placement,
}

#[derive(Debug, Clone)]
struct Cell {
    /// Of the youngest pod that was there: when it was created, and its uid.
    last: Option<(Millis, Text)>,
    first_pod: PodIndex,
    verdict: Option<Verdict>,
    creating: bool,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            last: None,
            first_pod: NONE,
            verdict: None,
            creating: false,
        }
    }
}

#[derive(Debug)]
struct Entry {
    pod: Pod,
    node: NodeIndex,
    next: PodIndex,
    delete_in_flight: bool,
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    at: Millis,
    delay_millis: i64,
}

impl Row {
    /// The `DaemonSet`, once it has been told.
    pub fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// Whether nothing is left to remember.
    pub fn is_empty(&self) -> bool {
        self.known.is_none() && self.pods.len() == self.free.len()
    }

    /// Sets the `DaemonSet`. Says whether anything changed.
    pub fn set(&mut self, daemon_set: DaemonSet, nodes: &Nodes) -> bool {
        if self
            .known
            .as_ref()
            .is_some_and(|known| known.daemon_set == daemon_set)
        {
            return false;
        }
        if self
            .known
            .as_ref()
            .is_none_or(|known| known.daemon_set.generation != daemon_set.generation)
        {
            self.failures.clear();
        }
        let placement = Placement::new(&daemon_set);
        self.known = Some(Known {
            daemon_set,
            placement,
        });
        for index in nodes.in_order() {
            self.judge(*index, nodes);
        }
        true
    }

    /// Forgets the `DaemonSet`, but not its pods.
    pub fn forget(&mut self) {
        self.known = None;
        self.said = Said::default();
        self.failures.clear();
        for cell in &mut self.cells {
            cell.creating = false;
        }
        for entry in self.pods.iter_mut().flatten() {
            entry.delete_in_flight = false;
        }
    }

    /// Judges a node anew. Says whether a decision may be another one now.
    pub fn judge(&mut self, index: NodeIndex, nodes: &Nodes) -> bool {
        let Some(known) = &self.known else { return false };
        let verdict = nodes.get(index).map(|node| known.placement.verdict(node));
        let cell = self.cell(index, nodes);
        let before = std::mem::replace(&mut cell.verdict, verdict);
        let matters = cell.first_pod != NONE || [before, verdict].contains(&Some(Verdict::Run));
        before != verdict && matters
    }

    fn cell(&mut self, index: NodeIndex, nodes: &Nodes) -> &mut Cell {
        let index = index as usize;
        if index >= self.cells.len() {
            self.cells
                .resize(nodes.capacity().max(index + 1), Cell::default());
        }
        // The resize above made room for the index.
        #[expect(clippy::indexing_slicing, reason = "the row was just made long enough")]
        &mut self.cells[index]
    }

    /// Clears the cell of a node whose index will be another's.
    pub fn clear_cell(&mut self, index: NodeIndex) {
        if let Some(cell) = self.cells.get_mut(index as usize) {
            *cell = Cell::default();
        }
        self.failures.remove(&index);
    }

    /// Adds a pod to a node's cell.
    pub fn insert(&mut self, pod: Pod, node: NodeIndex, nodes: &Nodes) -> PodIndex {
        let next = self.cell(node, nodes).first_pod;
        let entry = Entry {
            pod,
            node,
            next,
            delete_in_flight: false,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.pods.push(None);
            PodIndex::try_from(self.pods.len() - 1).unwrap_or(NONE)
        });
        if let Some(place) = self.pods.get_mut(index as usize) {
            *place = Some(entry);
        }
        self.cell(node, nodes).first_pod = index;
        index
    }

    fn entry(&self, index: PodIndex) -> Option<&Entry> {
        self.pods.get(index as usize)?.as_ref()
    }

    fn entry_mut(&mut self, index: PodIndex) -> Option<&mut Entry> {
        self.pods.get_mut(index as usize)?.as_mut()
    }

    /// A pod and the node that it is for.
    pub fn pod(&self, index: PodIndex) -> Option<(&Pod, NodeIndex)> {
        self.entry(index).map(|entry| (&entry.pod, entry.node))
    }

    /// Replaces a pod that is for the same node as before.
    pub fn replace(&mut self, index: PodIndex, pod: Pod) {
        if let Some(entry) = self.entry_mut(index) {
            entry.pod = pod;
        }
    }

    /// Takes a pod out and returns the node that it was for. The cell remembers its uid for the pod's successor.
    pub fn remove(&mut self, index: PodIndex) -> Option<NodeIndex> {
        let entry = self.pods.get_mut(index as usize)?.take()?;
        self.free.push(index);
        let cell = self.cells.get_mut(entry.node as usize)?;
        cell.last = cell.last.take().max(Some((entry.pod.created, entry.pod.uid)));
        if cell.first_pod == index {
            cell.first_pod = entry.next;
            return Some(entry.node);
        }
        let mut at = cell.first_pod;
        while let Some(before) = self.entry_mut(at) {
            if before.next == index {
                before.next = entry.next;
                break;
            }
            at = before.next;
        }
        Some(entry.node)
    }

    /// Marks that the creation of a pod is in flight, or not any more.
    pub fn set_creating(&mut self, index: NodeIndex, creating: bool) {
        if let Some(cell) = self.cells.get_mut(index as usize) {
            cell.creating = creating;
        }
    }

    /// Marks that a pod's deletion is in flight, or not any more.
    pub fn set_delete_in_flight(&mut self, index: PodIndex, in_flight: bool) {
        if let Some(entry) = self.entry_mut(index) {
            entry.delete_in_flight = in_flight;
        }
    }

    /// Notes that a failed pod is deleted: the next one on the node waits longer (contract N3). Several that go at
    /// once are one failure.
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
    }

    /// Decides, from all cells in the order of their nodes' names.
    pub fn decide(&self, nodes: &Nodes, now: Millis) -> Decision {
        let Some(known) = &self.known else {
            return Decision::default();
        };
        let empty = Cell::default();
        let mut sweep = Sweep::new(&known.daemon_set, now);
        let mut pods = Vec::new();
        for index in nodes.in_order() {
            let Some(node) = nodes.name(*index) else { continue };
            let cell = self.cells.get(*index as usize).unwrap_or(&empty);
            self.collect(cell.first_pod, &mut pods);
            let failed_until = self
                .failures
                .get(index)
                .map(|failure| failure.at.plus(failure.delay_millis));
            sweep.visit(&decide::Cell {
                node,
                verdict: cell.verdict,
                pods: &pods,
                creating: cell.creating,
                last: cell.last.as_ref().map(|(created, uid)| (*created, uid)),
                failed_until,
            });
        }
        sweep.finish()
    }

    fn collect<'a>(&'a self, first: PodIndex, pods: &mut Vec<CellPod<'a>>) {
        pods.clear();
        let mut at = first;
        while let Some(entry) = self.entry(at) {
            pods.push(CellPod {
                pod: &entry.pod,
                delete_in_flight: entry.delete_in_flight,
            });
            at = entry.next;
        }
        // The order in which they were told must not matter.
        pods.sort_by(|a, b| decide::by_age(a.pod, b.pod));
    }
}
