//! Tracks which ready pods wait for minReadySeconds (contract S3), and reports what has changed.
//!
//! A `DaemonSet` may have thousands of such pods at once, so a plan lists only those whose wait has begun, changed or
//! ended since the previous plan.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{
    Rules,
    cell::{Cell, CellIndex, Cells},
    ledger::Recomputed,
};
use crate::model::{Millis, Uid, Verdict};

/// A pod whose wait has begun, changed or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The pod's uid.
    pub pod: Uid,
    /// When the pod becomes available if it stays ready. `None` when it no longer waits.
    pub available_at: Option<Millis>,
}

/// The pods of a `DaemonSet` that wait, as of the last update.
#[derive(Debug, Default)]
pub(crate) struct Availability {
    /// The waiting pods of each cell that has any, with the times at which they become available.
    cells: HashMap<CellIndex, Vec<(Uid, Millis)>>,
}

impl Availability {
    /// The number of cells with a pod that waits.
    pub(crate) fn waiting_cells(&self) -> usize {
        self.cells.len()
    }

    /// Updates the cells that a ledger has just recomputed. Returns what has changed, ordered by uid.
    pub(crate) fn update<C: Cells>(
        &mut self,
        rules: &Rules<'_>,
        cells: &C,
        recomputed: Recomputed,
    ) -> Vec<Change> {
        if rules.daemon_set.min_ready_millis == 0 {
            return self.clear();
        }
        let touched = match recomputed {
            Recomputed::All => None,
            Recomputed::Some(mut touched) => {
                touched.sort_unstable();
                touched.dedup();
                Some(touched)
            }
        };
        let mut before: BTreeMap<_, _> = match &touched {
            None => self.cells.drain().flat_map(|(_, pods)| pods).collect(),
            Some(touched) => {
                let kept = touched.iter().filter_map(|index| self.cells.remove(index));
                kept.flatten().collect()
            }
        };
        let mut changes = BTreeMap::new();
        let mut pods = Vec::new();
        for index in touched.as_deref().unwrap_or(cells.in_order()) {
            let waiting = match cells.cell(*index, &mut pods) {
                Some(cell) => waiting(rules, &cell),
                None => continue,
            };
            for (pod, at) in &waiting {
                if before.remove(pod) != Some(*at) {
                    changes.insert(pod.clone(), Some(*at));
                }
            }
            if !waiting.is_empty() {
                self.cells.insert(*index, waiting);
            }
        }
        changes.extend(before.into_keys().map(|pod| (pod, None)));
        in_order(changes)
    }

    /// Forgets all pods. Returns a change that ends the wait of each pod, ordered by uid.
    pub(crate) fn clear(&mut self) -> Vec<Change> {
        let pods = self.cells.drain().flat_map(|(_, pods)| pods);
        in_order(pods.map(|(pod, _)| (pod, None)).collect())
    }
}

fn in_order(changes: BTreeMap<Uid, Option<Millis>>) -> Vec<Change> {
    let changes = changes.into_iter();
    changes
        .map(|(pod, available_at)| Change { pod, available_at })
        .collect()
}

/// The pods of a cell that wait. On a node that shouldn't have a pod, availability makes no difference.
fn waiting(rules: &Rules<'_>, cell: &Cell<'_, '_>) -> Vec<(Uid, Millis)> {
    if !matches!(cell.verdict, Some(Verdict::Run | Verdict::Keep)) {
        return Vec::new();
    }
    let pods = cell.pods.iter();
    pods.filter_map(|pod| Some((pod.uid.clone(), rules.waits_until(pod)?)))
        .collect()
}

#[cfg(test)]
mod tests;
