//! The pods of a fleet. Those of one cell form a linked list.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Fleet, memory, nodes::NodeIndex};
use crate::{
    decide::cell::PodRecord,
    model::{Pod, TemplateId, Text, Uid},
};

/// A pod's index among all pods.
pub(crate) type PodIndex = u32;

/// A row's index among all rows.
pub(crate) type RowIndex = u32;

/// The index that means no pod.
pub(crate) const NO_POD: PodIndex = PodIndex::MAX;

/// A pod, and the cell that it is in.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The pod.
    pub(crate) record: PodRecord,
    /// The row of its `DaemonSet`.
    pub(crate) row: RowIndex,
    /// The node that it is for.
    pub(crate) node: NodeIndex,
    /// The next pod of the cell.
    pub(crate) next: PodIndex,
}

/// Pods by index and by uid.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    entries: Vec<Option<Entry>>,
    free: Vec<PodIndex>,
    /// Indices by uid. The uid itself is in the entry.
    by_uid: HashTable<PodIndex>,
    hasher: DefaultHashBuilder,
}

impl Pods {
    /// Reserves capacity for `more` pods.
    pub(crate) fn reserve(&mut self, more: usize) {
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_uid
            .reserve(more, |index| hash_of(entries, hasher, *index));
        self.entries.reserve(more);
    }

    /// The index of the pod with this uid.
    pub(crate) fn find(&self, uid: &Uid) -> Option<PodIndex> {
        let is_it = |index: &PodIndex| self.get(*index).is_some_and(|entry| entry.record.uid == *uid);
        self.by_uid.find(self.hasher.hash_one(uid), is_it).copied()
    }

    /// The pod at an index.
    pub(crate) fn get(&self, index: PodIndex) -> Option<&Entry> {
        self.entries.get(index as usize)?.as_ref()
    }

    /// The pod at an index, mutable. Its uid must not change.
    pub(crate) fn get_mut(&mut self, index: PodIndex) -> Option<&mut Entry> {
        self.entries.get_mut(index as usize)?.as_mut()
    }

    /// Adds a pod whose uid isn't known yet, and returns its index.
    pub(crate) fn insert(&mut self, entry: Entry) -> PodIndex {
        let hash = self.hasher.hash_one(&entry.record.uid);
        let index = if let Some(index) = self.free.pop() {
            if let Some(place) = self.entries.get_mut(index as usize) {
                *place = Some(entry);
            }
            index
        } else {
            self.entries.push(Some(entry));
            PodIndex::try_from(self.entries.len() - 1).unwrap_or(NO_POD)
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_uid
            .insert_unique(hash, index, |index| hash_of(entries, hasher, *index));
        index
    }

    /// Removes a pod.
    pub(crate) fn remove(&mut self, index: PodIndex) -> Option<Entry> {
        let entry = self.entries.get_mut(index as usize)?.take()?;
        let hash = self.hasher.hash_one(&entry.record.uid);
        if let Ok(found) = self.by_uid.find_entry(hash, |candidate| *candidate == index) {
            found.remove();
        }
        self.free.push(index);
        Some(entry)
    }

    /// The number of pods.
    pub(crate) fn count(&self) -> usize {
        self.by_uid.len()
    }

    /// The pods of a cell, starting with its first one.
    pub(crate) fn chain(&self, first: PodIndex) -> impl Iterator<Item = &PodRecord> {
        let mut at = first;
        std::iter::from_fn(move || {
            let entry = self.get(at)?;
            at = entry.next;
            Some(&entry.record)
        })
    }
}

fn hash_of(entries: &[Option<Entry>], hasher: &DefaultHashBuilder, index: PodIndex) -> u64 {
    let entry = entries.get(index as usize).and_then(Option::as_ref);
    entry.map_or(0, |entry| hasher.hash_one(&entry.record.uid))
}

impl Fleet {
    /// Adds a pod of the `DaemonSet` with this uid, or replaces the pod's earlier state. The `DaemonSet` itself may
    /// follow later.
    pub fn pod_changed(&mut self, daemon_set: &Text, mut pod: Pod) {
        let uid = Uid::new(&pod.uid);
        let template_id = self.template_ids.share(TemplateId {
            revision: std::mem::take(&mut pod.revision),
            template_generation: std::mem::take(&mut pod.template_generation),
        });
        let node_name = std::mem::take(&mut pod.node);
        let delete_in_flight = self.deleting.contains(&uid);
        let record = PodRecord::new(pod, uid, template_id, delete_in_flight);
        if let Some(index) = self.pods.find(&record.uid) {
            if self.change_pod(index, daemon_set, &node_name, &record) {
                return;
            }
            self.remove_pod(index);
        }
        if node_name.is_empty() {
            // A pod that names no node counts for none (N1).
            return;
        }
        let (node, row) = (self.nodes.acquire(&node_name), self.rows.index_of(daemon_set));
        self.fact_bytes += memory::of_pod(&record);
        let index = self.pods.insert(Entry {
            record,
            row,
            node,
            next: NO_POD,
        });
        if let Some(row) = self.rows.get_mut(row)
            && let Some(entry) = self.pods.get_mut(index)
        {
            entry.next = row.link(index, &entry.record, node);
        }
        self.dirty.insert(row);
    }

    /// Updates a pod in place. Returns `false` if the pod now has another node or `DaemonSet`.
    fn change_pod(
        &mut self,
        index: PodIndex,
        daemon_set: &Text,
        node_name: &Text,
        record: &PodRecord,
    ) -> bool {
        let Some(entry) = self.pods.get_mut(index) else {
            return false;
        };
        let Some(row) = self.rows.get_mut(entry.row).filter(|row| row.uid == *daemon_set) else {
            return false;
        };
        if self.nodes.name(entry.node) != Some(node_name) {
            return false;
        }
        if entry.record != *record {
            self.fact_bytes = self.fact_bytes + memory::of_pod(record) - memory::of_pod(&entry.record);
            entry.record = record.clone();
            row.touch(entry.node);
            self.dirty.insert(entry.row);
        }
        true
    }

    /// Removes a pod that is gone or no longer belongs to a `DaemonSet`.
    pub fn pod_gone(&mut self, uid: &str) {
        if let Some(index) = self.pods.find(&Uid::new(uid)) {
            self.remove_pod(index);
        }
    }

    fn remove_pod(&mut self, index: PodIndex) {
        let Some(Entry {
            record,
            row: row_index,
            node,
            next,
        }) = self.pods.remove(index)
        else {
            return;
        };
        self.fact_bytes -= memory::of_pod(&record);
        if let Some(row) = self.rows.get_mut(row_index) {
            row.unlink(index, record, node, next, &mut self.pods);
        }
        self.nodes.release(node);
        self.reclaim(node);
        self.dirty.insert(row_index);
        self.rows.drop_empty(row_index);
    }
}
