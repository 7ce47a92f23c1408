//! Keeps the marks of a `DaemonSet`'s cells, so that the cost of a decision depends only on what has
//! changed.
//!
//! A ledger is a cache without rules of its own. It applies the rules to cells that were touched or are due. It
//! keeps the counts of all marks, and the sets of cells that may need actions. It always equals a new ledger that
//! is computed from the same cells at the same time.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::{
    Rules,
    cell::{Cell, CellIndex, Cells},
    marks::{MARK_COUNT, Mark, Marks, Tally},
    node::NodeDecision,
    rollout::{
        self,
        groups::{Group, Groups, Urgency},
    },
    set::CellSet,
    status,
};
use crate::model::{Millis, Verdict};

/// The first mark that has a set of cells in [`Ledger::sets`]. All later marks have one too.
const FIRST_LISTED: usize = Mark::NeedsActions as usize;
const LISTED: usize = MARK_COUNT - FIRST_LISTED;

/// The marks of all cells of a `DaemonSet`, and their counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ledger {
    marks: Vec<Marks>,
    tally: Tally,
    /// For each mark from [`Mark::NeedsActions`] on, the cells that have it.
    sets: [CellSet; LISTED],
    /// When each cell's marks can next change without a new event, ordered by time. `due_by_cell` has the same times
    /// by cell.
    due: BTreeSet<(Millis, CellIndex)>,
    due_by_cell: HashMap<CellIndex, Millis>,
    /// The counts of stages and domains, and the queue. `None` without the rollout of a policy.
    groups: Option<Box<Groups>>,
    /// The cells that were touched since the last update.
    touched: Vec<CellIndex>,
    /// The time of the last update. `None` when every cell must be recomputed.
    updated_at: Option<Millis>,
}

/// The cells whose marks an update has recomputed.
#[derive(Debug)]
pub(crate) enum Recomputed {
    /// Every cell.
    All,
    /// These cells, in no particular order and possibly with duplicates.
    Some(Vec<CellIndex>),
}

impl Ledger {
    /// Records that something in a cell has changed.
    pub(crate) fn touch(&mut self, index: CellIndex) {
        if self.updated_at.is_some() {
            self.touched.push(index);
        }
    }

    /// Records a change that affects every cell.
    pub(crate) fn touch_all(&mut self) {
        self.updated_at = None;
        self.touched.clear();
    }

    /// How many cells have each mark, as of the last update.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The counts of stages and domains, and the queue. `None` without the rollout of a policy.
    pub(crate) fn groups(&self) -> Option<&Groups> {
        self.groups.as_deref()
    }

    /// The first cells of a group, in the order of the nodes' names, whose pods wait to be replaced at this urgency, at most
    /// `limit`.
    pub(crate) fn queue(
        &self,
        group: Group,
        urgency: Urgency,
        limit: usize,
        cells: &impl Cells,
    ) -> Vec<CellIndex> {
        let (Some(groups), Some(queued)) = (&self.groups, self.listed(Mark::Queued)) else {
            return Vec::new();
        };
        let is_it = |cell: &CellIndex| {
            let marks = self.marks.get(*cell as usize);
            groups.group_of(*cell) == group && marks.is_some_and(|marks| Urgency::of(*marks) == urgency)
        };
        queued
            .members(cells.in_order())
            .filter(is_it)
            .take(limit)
            .collect()
    }

    /// The cells that have a listed mark.
    fn listed(&self, mark: Mark) -> Option<&CellSet> {
        self.sets.get((mark as usize).checked_sub(FIRST_LISTED)?)
    }

    /// The earliest time at which the marks of any cell can change without a new event.
    pub(crate) fn reconsider_at(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The first cells that have a listed mark, in the order of the nodes' names, at most `limit`.
    pub(crate) fn first(&self, mark: Mark, cells: &impl Cells, limit: usize) -> Vec<CellIndex> {
        self.listed(mark)
            .map(|set| set.first(cells.in_order(), limit))
            .unwrap_or_default()
    }

    /// Updates the marks of the cells that may have changed since the last update. Returns these cells.
    pub(crate) fn update<C: Cells>(&mut self, rules: &Rules<'_>, cells: &C) -> Recomputed {
        let (mut decision, mut pods) = (NodeDecision::default(), Vec::new());
        // If the clock was set back, changes that were caused by time no longer hold.
        let all = self.updated_at.is_none_or(|at| at > rules.now);
        if all {
            *self = Self::default();
        } else {
            while let Some((at, index)) = self.due.pop_first() {
                if at > rules.now {
                    self.due.insert((at, index));
                    break;
                }
                self.due_by_cell.remove(&index);
                self.touched.push(index);
            }
        }
        self.marks.resize(cells.capacity(), Marks::default());
        self.updated_at = Some(rules.now);
        if all && rules.rollout.is_some() {
            self.groups = Some(Box::default());
        }
        let touched = std::mem::take(&mut self.touched);
        for index in if all { cells.in_order() } else { &touched } {
            let cell = cells.cell(*index, &mut pods);
            let (marks, due) = match &cell {
                Some(cell) => marks_of(rules, cell, &mut decision),
                None => (Marks::default(), None),
            };
            if let Some(groups) = &mut self.groups {
                let before = self.marks.get(*index as usize).copied().unwrap_or_default();
                let rollout = cell.as_ref().and_then(|cell| cell.rollout);
                let group = rollout.map(|rollout| rollout.group).unwrap_or_default();
                groups.set(*index, before, group, marks);
            }
            self.set(*index, marks, due);
        }
        if all {
            Recomputed::All
        } else {
            Recomputed::Some(touched)
        }
    }

    fn set(&mut self, index: CellIndex, marks: Marks, due: Option<Millis>) {
        let Some(slot) = self.marks.get_mut(index as usize) else {
            return;
        };
        let before = std::mem::replace(slot, marks);
        for number in before.differing(marks) {
            let holds = marks.holds(number);
            self.tally.add(number, holds);
            let listed = number.checked_sub(FIRST_LISTED);
            if let Some(set) = listed.and_then(|number| self.sets.get_mut(number)) {
                set.set(index, holds);
            }
        }
        let before = match due {
            Some(at) => self.due_by_cell.insert(index, at),
            None if self.due_by_cell.is_empty() => None,
            None => self.due_by_cell.remove(&index),
        };
        if before != due {
            if let Some(at) = before {
                self.due.remove(&(at, index));
            }
            if let Some(at) = due {
                self.due.insert((at, index));
            }
        }
    }
}

/// Computes a cell's marks, and when they can next change without a new event. Stores the decision for the node in
/// `decision`.
fn marks_of<'a>(
    rules: &Rules<'_>,
    cell: &Cell<'_, 'a>,
    decision: &mut NodeDecision<'a>,
) -> (Marks, Option<Millis>) {
    decision.recompute(rules, cell);
    let mut marks = Marks::default();
    status::mark(rules, cell, &mut marks);
    rollout::mark(rules, cell, decision, &mut marks);
    marks.set(Mark::NeedsActions, decision.create || !decision.delete.is_empty());
    // With any other verdict, a pod's availability makes no difference.
    let decisive = matches!(cell.verdict, Some(Verdict::Run | Verdict::Keep)) || cell.is_narrowed();
    let pods = cell.pods.iter().filter(|_| decisive);
    let until = pods
        .filter_map(|pod| rules.next_change_at(pod))
        .chain(decision.reconsider_at)
        .min();
    (marks, until)
}
