//! Actions in flight: what has been asked for, and has not been said to be done.

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

/// What it is about.
#[derive(Debug)]
enum Target {
    Create(NodeIndex),
    Delete(Uid),
}

impl Fleet {
    /// Puts an action in flight.
    pub(super) fn launch(
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
                self.nodes.refer_index(cell);
                if let Some(row) = row {
                    row.set_creating(cell, true);
                }
                Target::Create(cell)
            }
            Action::Delete { uid, reason, .. } => {
                let uid = Uid::new(uid);
                if let Some(row) = row.filter(|_| *reason == DeleteReason::Failed) {
                    row.note_failure(cell, now);
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

    /// Marks that a pod's deletion is in flight, or not any more, if the pod is told. Returns its row.
    fn set_delete_in_flight(&mut self, uid: &Uid, in_flight: bool) -> Option<RowIndex> {
        let entry = self.pods.get_mut(self.pods.find(uid)?)?;
        entry.record.delete_in_flight = in_flight;
        self.rows.get_mut(entry.row)?.touch(entry.node);
        Some(entry.row)
    }

    /// An action is not in flight any more. What it changed has been told before.
    pub fn action_done(&mut self, id: ActionId) {
        let Some(InFlight { row, target }) = self.in_flight.remove(&id) else {
            return;
        };
        match target {
            Target::Create(node) => {
                if let Some(row) = self.rows.get_mut(row) {
                    row.set_creating(node, false);
                }
                self.nodes.release(node);
                self.reclaim(node);
            }
            Target::Delete(uid) => {
                self.deleting.remove(&uid);
                // The pod may have come to another DaemonSet in the meantime.
                let row = self.set_delete_in_flight(&uid, false);
                self.dirty.extend(row);
            }
        }
        self.dirty.insert(row);
    }
}
