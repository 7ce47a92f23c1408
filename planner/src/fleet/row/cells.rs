//! The cells of a row as decisions read them.

use hashbrown::HashMap;

use super::{Backoff, Cell, rollout::RowRollout};
use crate::{
    decide::cell::{self, CellIndex, Cells, PodRecord, by_age},
    fleet::{
        nodes::{NodeIndex, Nodes},
        pods::Pods,
    },
    model::{DaemonSet, Millis, Uid},
};

/// A row's cells as decisions read them.
pub(super) struct RowCells<'r> {
    pub(super) daemon_set: &'r DaemonSet,
    pub(super) rollout: Option<&'r RowRollout>,
    pub(super) cells: &'r [Cell],
    pub(super) backoffs: &'r HashMap<NodeIndex, Backoff>,
    pub(super) youngest_gone: &'r HashMap<NodeIndex, (Millis, Uid)>,
    pub(super) nodes: &'r Nodes,
    pub(super) pods: &'r Pods,
}

impl Cells for RowCells<'_> {
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
        let backoff = self.backoffs.get(&index);
        let rollout = self
            .rollout
            .and_then(|rollout| rollout.cell(index, cell.verdict, self.daemon_set, pods));
        let (rollout, verdict) = match rollout {
            Some((rollout, verdict)) => (Some(rollout), verdict),
            None => (None, cell.verdict),
        };
        Some(cell::Cell {
            node,
            verdict,
            pods,
            create_in_flight: cell.create_in_flight,
            youngest_gone: self.youngest_gone.get(&index),
            backoff_until: backoff.map(|backoff| backoff.at.plus(backoff.delay_millis)),
            rollout,
        })
    }
}
