//! For tests: what a row keeps, beside what it would find.

use super::*;

impl Row {
    /// Every cell has to be looked at again.
    pub fn touch_all(&mut self) {
        self.ledger.touch_all();
    }

    /// What is kept of the cells, after a look at those that were touched or whose time has come, and what a first look
    /// at all of them finds. A row whose `DaemonSet` hasn't been told keeps nothing.
    pub fn ledgers(&self, nodes: &Nodes, pods: &Pods, now: Millis) -> [Ledger; 2] {
        let [mut kept, mut found] = [self.ledger.clone(), Ledger::default()];
        if let Some(known) = &self.known {
            let rules = Rules::new(&known.daemon_set, now);
            let view = View {
                cells: &self.cells,
                failures: &self.failures,
                last: &self.last,
                nodes,
                pods,
            };
            kept.look(&rules, &view);
            found.look(&rules, &view);
        }
        [kept, found]
    }
}
