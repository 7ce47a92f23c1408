//! Where nodes are in a rollout, for people who ask.

use hashbrown::HashMap;

use super::{Fleet, Governance, row::rollout::RowRollout};
use crate::{
    decide::rollout::position::{Position, Totals},
    model::{
        Millis, Text,
        rollout::{Memory, Verbs},
    },
};

impl Fleet {
    /// Sets the policy that applies to a `DaemonSet`, what people ask of its rollout, and what is remembered of it. It
    /// doesn't depend on the fleet's policies then, and must not be planned for.
    pub(crate) fn govern(
        &mut self,
        uid: &str,
        governance: Governance,
        verbs: Verbs,
        memory: Option<Memory>,
    ) -> bool {
        let index = self.rows.find(uid);
        let Some(row) = index.and_then(|index| self.rows.get_mut(index)) else {
            return false;
        };
        let Some(prepared) = row.prepared() else {
            return false;
        };
        let rollout = RowRollout::new(governance, verbs, memory, &prepared.daemon_set);
        let has_rollout = rollout.is_some();
        row.set_rollout(rollout, &self.nodes);
        has_rollout
    }

    /// Returns where each node is in the rollout of a `DaemonSet`, by the node's name. `known` are the counts of all nodes
    /// if the fleet doesn't hold all of them. `policies` has the names of policies for people, by uid.
    pub(crate) fn positions(
        &mut self,
        uid: &str,
        now: Millis,
        known: Option<&Totals>,
        policies: &HashMap<Text, String>,
    ) -> HashMap<Text, Position> {
        let index = self.rows.find(uid);
        let Some(row) = index.and_then(|index| self.rows.get_mut(index)) else {
            return HashMap::new();
        };
        row.positions(&self.nodes, &self.pods, now, known, policies)
            .unwrap_or_default()
    }
}
