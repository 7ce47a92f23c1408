//! One `DaemonSet`'s row of cells: eight bytes for each node, and a ledger of their marks.

mod cells;
mod positions;
pub(crate) mod rollout;
mod survey;

use std::sync::Arc;

use hashbrown::HashMap;

use self::{cells::RowCells, rollout::RowRollout, survey::RowSurvey};
use super::{
    nodes::{NodeIndex, Nodes},
    pods::{NO_POD, PodIndex, Pods},
};
use crate::{
    decide::{
        self, Decision, Rules, availability::Availability, cell::PodRecord, ledger::Ledger,
        placement::Placement, rollout::report::Report, taints::added_tolerations,
    },
    model::{DaemonSet, Millis, Problem, Status, Text, Toleration, Uid, Verdict},
};

/// The first wait after a failed pod was deleted, in milliseconds (contract N3).
const FIRST_BACKOFF_MILLIS: i64 = 1_000;
/// The longest such wait, in milliseconds.
const LONGEST_BACKOFF_MILLIS: i64 = 15 * 60 * 1_000;
/// After this many milliseconds without a failure, the next failure counts as the first.
const QUIET_MILLIS: i64 = 2 * LONGEST_BACKOFF_MILLIS;

/// A row of cells.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// The `DaemonSet`'s uid.
    pub(crate) uid: Text,
    daemon_set: Option<PreparedDaemonSet>,
    cells: Vec<Cell>,
    /// Number of pods in the cells.
    pods: usize,
    backoffs: HashMap<NodeIndex, Backoff>,
    /// The creation time and the uid of the youngest pod that was in a cell and is gone. A younger pod that is added to
    /// the cell removes the entry.
    youngest_gone: HashMap<NodeIndex, (Millis, Uid)>,
    ledger: Ledger,
    /// The pods that wait for minReadySeconds, as reported by the plans so far.
    availability: Availability,
    /// The rollout of the policy that applies. `None` without a policy.
    rollout: Option<Box<RowRollout>>,
    /// The content of the last plan for the `DaemonSet`, without its actions.
    pub(crate) last_report: RowReport,
}

/// The content of a plan, without its actions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowReport {
    /// The counters of the status.
    pub status: Option<Status>,
    /// The problems of the `DaemonSet`.
    pub problems: Arc<[Problem]>,
    /// When to decide again, if no fact changes before.
    pub reconsider_at: Option<Millis>,
    /// The state of the rollout under a policy. `None` without one.
    pub rollout: Option<Report>,
}

/// A `DaemonSet` with everything that follows from it alone.
#[derive(Debug)]
pub(crate) struct PreparedDaemonSet {
    /// The `DaemonSet`.
    pub(crate) daemon_set: DaemonSet,
    /// The conditions that it sets on nodes.
    pub(crate) placement: Placement,
    pub(crate) problems: Arc<[Problem]>,
    /// The tolerations that its pods get in addition to the template's.
    pub(crate) added_tolerations: Arc<[Toleration]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    first_pod: PodIndex,
    verdict: Option<Verdict>,
    create_in_flight: bool,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            first_pod: NO_POD,
            verdict: None,
            create_in_flight: false,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Backoff {
    at: Millis,
    delay_millis: i64,
}

impl Row {
    /// A row for the `DaemonSet` with this uid, which hasn't been received yet.
    pub(crate) fn new(uid: Text) -> Self {
        Self {
            uid,
            ..Self::default()
        }
    }

    /// The `DaemonSet` with all that follows from it, or `None` until it has been received.
    pub(crate) fn prepared(&self) -> Option<&PreparedDaemonSet> {
        self.daemon_set.as_ref()
    }

    /// Whether the row holds neither its `DaemonSet` nor any pods.
    pub(crate) fn is_empty(&self) -> bool {
        self.daemon_set.is_none() && self.pods == 0
    }

    /// Number of entries that the row keeps about pods that are gone, and about pods that wait for minReadySeconds.
    pub(crate) fn history_entries(&self) -> usize {
        self.youngest_gone.len() + self.backoffs.len() + self.availability.waiting_cells()
    }

    /// Number of cells of the row's rollout, while it is under way.
    pub(crate) fn rollout_cells(&self) -> usize {
        self.rollout.as_deref().map_or(0, RowRollout::cells)
    }

    /// Sets the `DaemonSet`. Returns whether anything changed.
    pub(crate) fn set(&mut self, daemon_set: DaemonSet, nodes: &Nodes) -> bool {
        let before = self.daemon_set.as_ref().map(|prepared| &prepared.daemon_set);
        if before == Some(&daemon_set) {
            return false;
        }
        if before.is_none_or(|before| before.generation != daemon_set.generation) {
            self.backoffs.clear();
        }
        let placement = Placement::new(&daemon_set);
        self.cells.resize(nodes.capacity(), Cell::default());
        for index in nodes.in_order() {
            let verdict = nodes.get(*index).map(|node| placement.verdict(node));
            self.cell_mut(*index).verdict = verdict;
        }
        self.daemon_set = Some(PreparedDaemonSet {
            problems: decide::problems(&daemon_set, &placement).into(),
            added_tolerations: added_tolerations(&daemon_set.template).into(),
            placement,
            daemon_set,
        });
        self.prepare_rollout(nodes);
        self.ledger.touch_all();
        true
    }

    /// Removes the `DaemonSet`, but not its pods.
    pub(crate) fn forget(&mut self) {
        self.daemon_set = None;
        self.last_report = RowReport::default();
        self.backoffs.clear();
        self.ledger = Ledger::default();
        self.availability = Availability::default();
    }

    /// Recomputes the verdict on a node. Returns whether it changed.
    pub(crate) fn update_verdict(&mut self, index: NodeIndex, nodes: &Nodes) -> bool {
        let Some(prepared) = &self.daemon_set else {
            return false;
        };
        let verdict = nodes.get(index).map(|node| prepared.placement.verdict(node));
        let rollout_has_changed = match &mut self.rollout {
            Some(rollout) if rollout.must_hold(nodes.get(index), &prepared.daemon_set) => {
                rollout.prepare(&prepared.daemon_set, nodes);
                self.ledger.touch_all();
                true
            }
            Some(rollout) => rollout.update_node(index, &prepared.daemon_set, nodes),
            None => false,
        };
        let cell = self.cell_mut(index);
        let verdict_has_changed = std::mem::replace(&mut cell.verdict, verdict) != verdict;
        if verdict_has_changed || rollout_has_changed {
            self.ledger.touch(index);
        }
        verdict_has_changed || rollout_has_changed
    }

    /// Sets the policy that applies, what people ask of the rollout, and what is remembered of it.
    /// Returns whether anything changed.
    pub(crate) fn set_rollout(&mut self, rollout: Option<RowRollout>, nodes: &Nodes) -> bool {
        let is_same = match (&self.rollout, &rollout) {
            (None, None) => true,
            (Some(before), Some(after)) => before.is_same(after),
            _ => false,
        };
        if is_same {
            return false;
        }
        self.rollout = rollout.map(Box::new);
        self.prepare_rollout(nodes);
        self.ledger.touch_all();
        true
    }

    /// The tolerations that pods of the current revision get in addition to those of its template.
    pub(crate) fn current_added_tolerations(&self) -> Arc<[Toleration]> {
        let rollout = self.rollout.as_deref();
        let tolerations = rollout.and_then(RowRollout::current_added_tolerations);
        tolerations.cloned().unwrap_or_default()
    }

    fn prepare_rollout(&mut self, nodes: &Nodes) {
        if let (Some(rollout), Some(prepared)) = (&mut self.rollout, &self.daemon_set) {
            rollout.prepare(&prepared.daemon_set, nodes);
        }
    }

    fn cell_mut(&mut self, index: NodeIndex) -> &mut Cell {
        let index = index as usize;
        if index >= self.cells.len() {
            self.cells.resize(index + 1, Cell::default());
        }
        #[expect(clippy::indexing_slicing, reason = "the row was just made long enough")]
        &mut self.cells[index]
    }

    /// Clears a cell whose index is free for another node.
    pub(crate) fn clear_cell(&mut self, index: NodeIndex) {
        if let Some(cell) = self.cells.get_mut(index as usize) {
            *cell = Cell::default();
        }
        self.backoffs.remove(&index);
        self.youngest_gone.remove(&index);
    }

    /// Marks that a pod in a node's cell has changed.
    pub(crate) fn touch(&mut self, node: NodeIndex) {
        self.ledger.touch(node);
    }

    /// Puts a pod first in a node's cell. Returns the pod that was first before.
    pub(crate) fn link(&mut self, index: PodIndex, record: &PodRecord, node: NodeIndex) -> PodIndex {
        self.pods += 1;
        let is_younger = |(created, uid): &(Millis, Uid)| (*created, uid) < (record.created, &record.uid);
        if self.youngest_gone.get(&node).is_some_and(is_younger) {
            self.youngest_gone.remove(&node);
        }
        self.touch(node);
        std::mem::replace(&mut self.cell_mut(node).first_pod, index)
    }

    /// Removes a pod from a node's cell. `pods` no longer holds the pod. The cell remembers the pod's creation time and
    /// uid for the pod's successor.
    pub(crate) fn unlink(
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
        let last = self.youngest_gone.entry(node).or_insert_with(|| gone.clone());
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
    pub(crate) fn set_create_in_flight(&mut self, index: NodeIndex, create_in_flight: bool) {
        self.cell_mut(index).create_in_flight = create_in_flight;
        self.touch(index);
    }

    /// Records that a failed pod is deleted, so that the next failed pod on the node waits longer (contract N3).
    /// Several failed pods that are deleted at the same time count as one failure.
    pub(crate) fn record_failure(&mut self, index: NodeIndex, now: Millis) {
        let delay_millis = match self.backoffs.get(&index) {
            Some(last) if last.at == now => return,
            Some(last) if now.since(last.at) <= QUIET_MILLIS => {
                (last.delay_millis * 2).min(LONGEST_BACKOFF_MILLIS)
            }
            Some(_) | None => FIRST_BACKOFF_MILLIS,
        };
        self.backoffs.insert(
            index,
            Backoff {
                at: now,
                delay_millis,
            },
        );
        self.touch(index);
    }

    /// Decides. Returns `None` until the `DaemonSet` has been received. With `tracks_availability`, the decision lists
    /// the pods whose wait for minReadySeconds has begun, changed or ended since the last such decision.
    pub(crate) fn decide(
        &mut self,
        nodes: &Nodes,
        pods: &Pods,
        now: Millis,
        tracks_availability: bool,
    ) -> Option<Decision> {
        let Self {
            daemon_set,
            cells,
            backoffs,
            youngest_gone,
            ledger,
            availability,
            rollout,
            ..
        } = self;
        let daemon_set = &daemon_set.as_ref()?.daemon_set;
        let rollout = rollout.as_deref();
        let rules = Rules::new(daemon_set, now).with_rollout(rollout.and_then(RowRollout::rules));
        let row_cells = RowCells {
            daemon_set,
            rollout,
            cells,
            backoffs,
            youngest_gone,
            nodes,
            pods,
        };
        let availability = tracks_availability.then_some(availability);
        let mut decision = decide::decide(&rules, ledger, availability, &row_cells);
        if let Some(rollout) = rollout {
            let survey = RowSurvey {
                cells: &row_cells,
                rules: &rules,
            };
            let (report, at) = rollout.report(&rules, ledger, &survey);
            decision.reconsider_at = decision.reconsider_at.into_iter().chain(at).min();
            decision.rollout = Some(report);
        }
        Some(decision)
    }
}

#[cfg(test)]
mod ledgers;
