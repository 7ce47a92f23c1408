//! The nodes of a fleet, each with an index that rows of cells are addressed by.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::{Node, Text};

/// A node's place in every row of cells.
pub type NodeIndex = u32;

/// Nodes by index and by name. A node that pods or actions refer to keeps its index though it is gone, or not seen yet.
#[derive(Debug, Default)]
pub struct Nodes {
    slots: Vec<Slot>,
    /// Indices by name; the name itself is in the slot.
    by_name: HashTable<NodeIndex>,
    hasher: DefaultHashBuilder,
    /// The indices in use, in the order of their nodes' names.
    order: Vec<NodeIndex>,
    free: Vec<NodeIndex>,
}

#[derive(Debug, Default)]
struct Slot {
    /// `None` while the index is not in use.
    name: Option<Text>,
    /// `None` while the node is not in the cluster.
    facts: Option<Node>,
    /// How many pods and actions in flight refer to the node.
    references: usize,
}

impl Nodes {
    /// How long a row of cells must be.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The indices in use, in the order of their nodes' names.
    pub fn in_order(&self) -> &[NodeIndex] {
        &self.order
    }

    /// The name of a node in use.
    pub fn name(&self, index: NodeIndex) -> Option<&Text> {
        self.slot(index)?.name.as_ref()
    }

    /// The node, if it is in the cluster.
    pub fn get(&self, index: NodeIndex) -> Option<&Node> {
        self.slot(index)?.facts.as_ref()
    }

    /// The index of a name, if it is in use.
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        let is_it = |index: &NodeIndex| self.name(*index).is_some_and(|known| known.as_ref() == name);
        self.by_name.find(self.hasher.hash_one(name), is_it).copied()
    }

    fn slot(&self, index: NodeIndex) -> Option<&Slot> {
        self.slots.get(index as usize)
    }

    fn slot_mut(&mut self, index: NodeIndex) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)
    }

    /// Sets a node's facts; `None` when they were the same already.
    pub fn set(&mut self, node: Node) -> Option<NodeIndex> {
        let index = self.index_of(&node.name);
        let slot = self.slot_mut(index)?;
        if slot.facts.as_ref() == Some(&node) {
            return None;
        }
        slot.facts = Some(node);
        Some(index)
    }

    /// Takes a node out of the cluster; `None` when it wasn't there.
    pub fn remove(&mut self, name: &str) -> Option<NodeIndex> {
        let index = self.find(name)?;
        self.slot_mut(index)?.facts.take()?;
        Some(index)
    }

    /// The index of a name, which stays in use until it is released.
    pub fn refer(&mut self, name: &Text) -> NodeIndex {
        let index = self.index_of(name);
        self.refer_index(index);
        index
    }

    /// Like `refer`, for an index in use.
    pub fn refer_index(&mut self, index: NodeIndex) {
        if let Some(slot) = self.slot_mut(index) {
            slot.references += 1;
        }
    }

    /// Takes back one `refer`.
    pub fn release(&mut self, index: NodeIndex) {
        if let Some(slot) = self.slot_mut(index) {
            slot.references = slot.references.saturating_sub(1);
        }
    }

    /// Gives the index to be used for another node, if nothing refers to it any more. Says whether it did.
    pub fn reclaim(&mut self, index: NodeIndex) -> bool {
        let Some(slot) = self.slot_mut(index) else {
            return false;
        };
        if slot.facts.is_some() || slot.references > 0 {
            return false;
        }
        let Some(name) = slot.name.clone() else {
            return false;
        };
        if let Ok(position) = self.position(&name) {
            self.order.remove(position);
        }
        let hash = self.hasher.hash_one(name.as_ref());
        if let Ok(found) = self.by_name.find_entry(hash, |candidate| *candidate == index) {
            found.remove();
        }
        if let Some(slot) = self.slot_mut(index) {
            slot.name = None;
        }
        self.free.push(index);
        true
    }

    fn index_of(&mut self, name: &Text) -> NodeIndex {
        if let Some(index) = self.find(name) {
            return index;
        }
        let last = self.order.last().and_then(|index| self.name(*index));
        let position = if last < Some(name) {
            // A list of nodes is sorted by name most of the time.
            self.order.len()
        } else {
            self.position(name).unwrap_or_else(|position| position)
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            NodeIndex::try_from(self.slots.len() - 1).unwrap_or(NodeIndex::MAX)
        });
        self.order.insert(position, index);
        if let Some(slot) = self.slot_mut(index) {
            slot.name = Some(name.clone());
        }
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash = |name: &Text| hasher.hash_one(name.as_ref());
        self.by_name.insert_unique(hash(name), index, |index| {
            let name = slots.get(*index as usize).and_then(|slot| slot.name.as_ref());
            name.map_or(0, hash)
        });
        index
    }

    /// Where a name stands in the order, or would.
    fn position(&self, name: &Text) -> Result<usize, usize> {
        self.order
            .binary_search_by(|candidate| self.name(*candidate).cmp(&Some(name)))
    }
}
