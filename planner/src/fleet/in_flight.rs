//! Tracks actions in flight: they were requested, and haven't been reported as done.

use super::{ActionId, Fleet, nodes::NodeIndex, pods::RowIndex};
use crate::{
    decide::cell::CellIndex,
    model::{Action, DeleteReason, Millis, Uid},
};

/// An action in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) row: RowIndex,
    target: Target,
}

/// The node or pod that an action is about.
#[derive(Debug)]
enum Target {
    Create(NodeIndex),
    Delete(Uid),
}

impl Fleet {
    /// Puts an action in flight.
    pub(super) fn start_action(
        &mut self,
        index: RowIndex,
        cell: CellIndex,
        action: &Action,
        now: Millis,
    ) -> ActionId {
        self.last_action += 1;
        let row = self.rows.get_mut(index);
        let target = match action {
            Action::Create { .. } => {
                self.nodes.acquire_index(cell);
                if let Some(row) = row {
                    row.set_create_in_flight(cell, true);
                }
                Target::Create(cell)
            }
            Action::Delete { uid, reason, .. } => {
                let uid = Uid::new(uid);
                if let Some(row) = row.filter(|_| *reason == DeleteReason::Failed) {
                    row.record_failure(cell, now);
                }
                self.deleting.insert(uid.clone());
                self.set_delete_in_flight(&uid, true);
                Target::Delete(uid)
            }
        };
        self.in_flight
            .insert(self.last_action, InFlight { row: index, target });
        self.last_action
    }

    /// Marks whether a pod's deletion is in flight, if the pod is known. Returns its row.
    fn set_delete_in_flight(&mut self, uid: &Uid, in_flight: bool) -> Option<RowIndex> {
        let entry = self.pods.get_mut(self.pods.find(uid)?)?;
        entry.record.delete_in_flight = in_flight;
        self.rows.get_mut(entry.row)?.touch(entry.node);
        Some(entry.row)
    }

    /// Records that an action is no longer in flight. The fleet has already received the facts that the action caused.
    pub fn action_done(&mut self, id: ActionId) {
        let Some(InFlight { row, target }) = self.in_flight.remove(&id) else {
            return;
        };
        match target {
            Target::Create(node) => {
                if let Some(row) = self.rows.get_mut(row) {
                    row.set_create_in_flight(node, false);
                }
                self.nodes.release(node);
                self.reclaim(node);
            }
            Target::Delete(uid) => {
                self.deleting.remove(&uid);
                // The pod may belong to another DaemonSet by now.
                let row = self.set_delete_in_flight(&uid, false);
                self.dirty.extend(row);
            }
        }
        self.dirty.insert(row);
    }
}
