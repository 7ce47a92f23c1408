//! For tests: the ledger that a row keeps, and a new one to compare it with.

use super::*;

impl Row {
    /// Marks every cell for recomputation.
    pub(crate) fn touch_all(&mut self) {
        self.ledger.touch_all();
    }

    /// The kept ledger, updated for cells that were touched or that are due, and a new ledger computed
    /// from all cells. Both are empty until the `DaemonSet` has been received.
    pub(crate) fn ledgers(&self, nodes: &Nodes, pods: &Pods, now: Millis) -> [Ledger; 2] {
        let [mut kept, mut found] = [self.ledger.clone(), Ledger::default()];
        if let Some(prepared) = &self.daemon_set {
            let rollout = self.rollout.as_deref();
            let rules =
                Rules::new(&prepared.daemon_set, now).with_rollout(rollout.and_then(RowRollout::rules));
            let row_cells = RowCells {
                daemon_set: &prepared.daemon_set,
                rollout,
                cells: &self.cells,
                backoffs: &self.backoffs,
                youngest_gone: &self.youngest_gone,
                nodes,
                pods,
            };
            kept.update(&rules, &row_cells);
            found.update(&rules, &row_cells);
        }
        [kept, found]
    }
}
