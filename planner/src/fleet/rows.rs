//! The rows of a fleet, each with an index that pods and actions refer to.

use std::collections::BTreeMap;

use super::{pods::RowIndex, row::Row};
use crate::model::Text;

/// Rows by index and by their `DaemonSet`s' uids.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    slots: Vec<Row>,
    by_uid: BTreeMap<Text, RowIndex>,
    free: Vec<RowIndex>,
}

impl Rows {
    /// The index of a `DaemonSet`'s row.
    pub(crate) fn find(&self, uid: &str) -> Option<RowIndex> {
        self.by_uid.get(uid).copied()
    }

    /// The row at an index.
    pub(crate) fn get(&self, index: RowIndex) -> Option<&Row> {
        self.slots.get(index as usize)
    }

    /// The row at an index, mutable.
    pub(crate) fn get_mut(&mut self, index: RowIndex) -> Option<&mut Row> {
        self.slots.get_mut(index as usize)
    }

    /// The index of a `DaemonSet`'s row. Creates the row when there is none.
    pub(crate) fn index_of(&mut self, uid: &Text) -> RowIndex {
        if let Some(index) = self.find(uid) {
            return index;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Row::default());
            RowIndex::try_from(self.slots.len() - 1).unwrap_or(RowIndex::MAX)
        });
        if let Some(row) = self.get_mut(index) {
            *row = Row::new(uid.clone());
        }
        self.by_uid.insert(uid.clone(), index);
        index
    }

    /// Drops a row that holds neither its `DaemonSet` nor any pods.
    pub(crate) fn drop_empty(&mut self, index: RowIndex) {
        if let Some(row) = self.get_mut(index).filter(|row| row.is_empty()) {
            let row = std::mem::take(row);
            if self.by_uid.remove(&row.uid).is_some() {
                self.free.push(index);
            }
        }
    }

    /// All rows with their indices. Nothing may depend on their order. A free index has an empty row.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (RowIndex, &mut Row)> {
        let rows = self.slots.iter_mut().enumerate();
        rows.filter_map(|(index, row)| Some((RowIndex::try_from(index).ok()?, row)))
    }

    /// The number of rows.
    pub(crate) fn count(&self) -> usize {
        self.by_uid.len()
    }

    /// All rows. Nothing may depend on their order. A free index has an empty row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.slots.iter()
    }

    /// Whether there are no rows.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }
}
