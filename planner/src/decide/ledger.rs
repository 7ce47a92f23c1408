//! Keeps the shares of a `DaemonSet`'s cells, so that the cost of a decision depends only on what has
//! changed.
//!
//! A ledger is a cache without rules of its own. It asks the rules about cells that were touched or whose
//! time has come. It keeps the counts of all marks, and the sets of cells that a plan takes from. It always
//! equals a new ledger made from the same cells at the same time.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::{
    Rules,
    cell::{Cell, CellIndex, Cells},
    node::Settled,
    rollout,
    set::CellSet,
    share::{MARKS, Mark, Share, Tally},
    status,
};
use crate::model::{Millis, Verdict};

/// The first of the marks whose cells a plan takes from. It comes first in [`Ledger::sets`].
const FIRST_LISTED: usize = Mark::Acts as usize;
const LISTED: usize = MARKS - FIRST_LISTED;

/// The shares of all cells of a `DaemonSet`, and their sums.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    shares: Vec<Share>,
    tally: Tally,
    /// For each mark from [`Mark::Acts`] on, the cells that have it.
    sets: [CellSet; LISTED],
    /// When each cell's share can next change without a new event, ordered by time; `due_by_cell` has the
    /// same by cell.
    due: BTreeSet<(Millis, CellIndex)>,
    due_by_cell: HashMap<CellIndex, Millis>,
    /// The cells that were touched since the last update.
    touched: Vec<CellIndex>,
    /// The time of the last update. `None` when every cell must be recomputed.
    looked_at: Option<Millis>,
}

/// The cells whose shares an update has recomputed.
#[derive(Debug)]
pub enum Recomputed {
    /// Every cell.
    All,
    /// These cells, in no particular order, some perhaps twice.
    Some(Vec<CellIndex>),
}

impl Ledger {
    /// Records that something in a cell has changed.
    pub fn touch(&mut self, index: CellIndex) {
        if self.looked_at.is_some() {
            self.touched.push(index);
        }
    }

    /// Records a change that affects every cell.
    pub fn touch_all(&mut self) {
        self.looked_at = None;
        self.touched.clear();
    }

    /// How many cells have each mark, as of the last update.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// When a cell's share can first change without a new event.
    pub fn reconsider_at(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The first cells that have a listed mark, in the order of the nodes' names, at most `limit`.
    pub fn first(&self, mark: Mark, cells: &impl Cells, limit: usize) -> Vec<CellIndex> {
        let set = (mark as usize)
            .checked_sub(FIRST_LISTED)
            .and_then(|number| self.sets.get(number));
        set.map(|set| set.first(cells.in_order(), limit))
            .unwrap_or_default()
    }

    /// Updates the shares of the cells that may have changed since the last update. Returns these cells.
    pub fn look<C: Cells>(&mut self, rules: &Rules<'_>, cells: &C) -> Recomputed {
        let (mut settled, mut pods) = (Settled::default(), Vec::new());
        // If the clock was set back, changes that time has caused no longer hold.
        let all = self.looked_at.is_none_or(|at| at > rules.now);
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
        self.shares.resize(cells.capacity(), Share::default());
        self.looked_at = Some(rules.now);
        let touched = std::mem::take(&mut self.touched);
        for index in if all { cells.in_order() } else { &touched } {
            let (share, due) = match cells.cell(*index, &mut pods) {
                Some(cell) => share_of(rules, &cell, &mut settled),
                None => (Share::default(), None),
            };
            self.put(*index, share, due);
        }
        if all {
            Recomputed::All
        } else {
            Recomputed::Some(touched)
        }
    }

    fn put(&mut self, index: CellIndex, share: Share, due: Option<Millis>) {
        let Some(place) = self.shares.get_mut(index as usize) else {
            return;
        };
        let before = std::mem::replace(place, share);
        for number in before.differing(share) {
            let holds = share.holds(number);
            self.tally.add(number, holds);
            let listed = number.checked_sub(FIRST_LISTED);
            if let Some(set) = listed.and_then(|number| self.sets.get_mut(number)) {
                set.put(index, holds);
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

/// Computes a cell's share, and when it can next change without a new event. Leaves in `settled` what the
/// cell's own rules decided.
fn share_of<'a>(
    rules: &Rules<'_>,
    cell: &Cell<'_, 'a>,
    settled: &mut Settled<'a>,
) -> (Share, Option<Millis>) {
    settled.decide(rules, cell);
    let mut share = Share::default();
    status::mark(rules, cell, &mut share);
    rollout::mark(rules, cell, settled, &mut share);
    share.put(Mark::Acts, settled.create || !settled.delete.is_empty());
    // With any other verdict, a pod's availability makes no difference.
    let decisive = matches!(cell.verdict, Some(Verdict::Run | Verdict::Keep));
    let pods = cell.pods.iter().filter(|_| decisive);
    let until = pods
        .filter_map(|pod| rules.changes_at(pod))
        .chain(settled.reconsider_at)
        .min();
    (share, until)
}
