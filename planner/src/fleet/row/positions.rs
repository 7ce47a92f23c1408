//! Where the nodes of a row are in its rollout.

use hashbrown::HashMap;

use super::{
    Row, RowCells,
    rollout::{Governance, RowRollout},
};
use crate::{
    decide::{
        Rules,
        cell::Cells as _,
        ledger::Ledger,
        marks::Mark,
        rollout::{
            groups::Groups,
            position::{Position, StageTotals, Standing, Totals, position},
            report::Report,
        },
    },
    fleet::{nodes::Nodes, pods::Pods},
    model::{Millis, Text},
};

impl Row {
    /// Returns where each node is in the rollout, by the node's name. `None` without a `DaemonSet` or a rollout.
    pub(crate) fn positions(
        &mut self,
        nodes: &Nodes,
        pods: &Pods,
        now: Millis,
        known: Option<&Totals>,
        policies: &HashMap<Text, String>,
    ) -> Option<HashMap<Text, Position>> {
        // Brings the counts up to date.
        let report = self.decide(nodes, pods, now, false)?.rollout?;
        let rollout = self.rollout.as_deref()?;
        let daemon_set = &self.daemon_set.as_ref()?.daemon_set;
        let rules = Rules::new(daemon_set, now).with_rollout(rollout.rules());
        let cells = RowCells {
            daemon_set,
            rollout: Some(rollout),
            cells: &self.cells,
            backoffs: &self.backoffs,
            youngest_gone: &self.youngest_gone,
            nodes,
            pods,
        };
        let own = totals(&self.ledger, &report);
        let hold = rollout.hold(daemon_set);
        let standing = Standing {
            policy: policy_name(rollout, policies),
            memory: rollout.memory.as_ref(),
            staging: rollout.staging(),
            hold: hold.as_ref(),
            totals: known.unwrap_or(&own),
        };
        let mut positions = HashMap::new();
        let mut pods = Vec::new();
        for index in cells.in_order() {
            let Some(cell) = cells.cell(*index, &mut pods) else {
                continue;
            };
            let found = position(&standing, &rules, &cell);
            positions.extend(found.map(|found| (cell.node.clone(), found)));
        }
        Some(positions)
    }
}

fn policy_name<'n>(rollout: &RowRollout, policies: &'n HashMap<Text, String>) -> &'n str {
    match &rollout.governance {
        Governance::Policy { uid, .. } => policies.get(uid).map_or("", String::as_str),
        Governance::None | Governance::Unknown { .. } => "",
    }
}

/// The counts of the row's own nodes.
fn totals(ledger: &Ledger, report: &Report) -> Totals {
    let counts = ledger.groups().map(Groups::total);
    let stages = report.stages.iter().map(|stage| StageTotals {
        desired: stage.seen.desired,
        updated_available: stage.seen.updated_available,
        domain: stage.domain.clone(),
    });
    Totals {
        desired: report.desired,
        unavailable: counts.map_or(0, |counts| counts.unavailable),
        in_replacement: counts.map(|counts| counts.in_replacement),
        ignored: ledger.tally().count(Mark::Ignored),
        stages: stages.collect(),
    }
}
