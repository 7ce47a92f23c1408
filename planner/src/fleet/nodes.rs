//! The nodes of a fleet. Each has an index that addresses its cell in every row.

use std::{collections::BTreeSet, hash::BuildHasher};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use crate::model::{Node, Text};

/// A node's index in every row of cells.
pub(crate) type NodeIndex = u32;

/// Nodes by index and by name. A node that pods or actions refer to keeps its index even when it is gone, or
/// hasn't been received yet.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    slots: Vec<Slot>,
    /// Indices by name. The name itself is in the slot.
    by_name: HashTable<NodeIndex>,
    hasher: DefaultHashBuilder,
    /// The indices in use, in the order of their nodes' names.
    order: Vec<NodeIndex>,
    free: Vec<NodeIndex>,
    /// The names of the nodes on which Everynode itself runs, whether they are in the cluster or not.
    own: BTreeSet<Text>,
}

#[derive(Debug, Default)]
struct Slot {
    state: SlotState,
    /// How many pods and actions in flight refer to the node.
    references: u32,
}

#[derive(Debug, Default)]
enum SlotState {
    /// The index is free.
    #[default]
    Free,
    /// The name of a node that is not in the cluster.
    Reserved(Text),
    /// A node that is in the cluster.
    Present(Box<Node>),
}

impl Slot {
    fn name(&self) -> Option<&Text> {
        match &self.state {
            SlotState::Free => None,
            SlotState::Reserved(name) => Some(name),
            SlotState::Present(node) => Some(&node.name),
        }
    }
}

fn name_of(slots: &[Slot], index: NodeIndex) -> Option<&Text> {
    slots.get(index as usize)?.name()
}

impl Nodes {
    /// Reserves capacity for `more` nodes.
    pub(crate) fn reserve(&mut self, more: usize) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_name.reserve(more, |index| {
            name_of(slots, *index).map_or(0, |name| hasher.hash_one(name.as_ref()))
        });
        self.slots.reserve(more);
        self.order.reserve(more);
    }

    /// Adds the name of a node on which Everynode itself runs.
    pub(crate) fn add_own(&mut self, name: Text) {
        self.own.insert(name);
    }

    /// Whether Everynode itself runs on the node with this name.
    pub(crate) fn is_own(&self, name: &Text) -> bool {
        self.own.contains(name)
    }

    /// The length that a row of cells must have.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The indices in use, in the order of their nodes' names.
    pub(crate) fn in_order(&self) -> &[NodeIndex] {
        &self.order
    }

    /// The name of the node at an index that is in use.
    pub(crate) fn name(&self, index: NodeIndex) -> Option<&Text> {
        name_of(&self.slots, index)
    }

    /// The node, if it is in the cluster.
    pub(crate) fn get(&self, index: NodeIndex) -> Option<&Node> {
        match &self.slots.get(index as usize)?.state {
            SlotState::Present(node) => Some(node),
            SlotState::Free | SlotState::Reserved(_) => None,
        }
    }

    /// The index of the node with this name, if the node has one.
    pub(crate) fn find(&self, name: &str) -> Option<NodeIndex> {
        let is_it = |index: &NodeIndex| self.name(*index).is_some_and(|known| known.as_ref() == name);
        self.by_name.find(self.hasher.hash_one(name), is_it).copied()
    }

    fn slot_mut(&mut self, index: NodeIndex) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)
    }

    /// Sets a node's facts. Returns `None` when they were already the same.
    pub(crate) fn set(&mut self, node: Box<Node>) -> Option<NodeIndex> {
        let known = self.entry(&node.name);
        let index = match known {
            Ok(index) => index,
            Err(index) => {
                self.put_in_order(index, &node.name);
                index
            }
        };
        if known.is_ok() && self.get(index) == Some(&*node) {
            return None;
        }
        self.slot_mut(index)?.state = SlotState::Present(node);
        Some(index)
    }

    /// Removes a node from the cluster. Returns `None` when it wasn't there.
    pub(crate) fn remove(&mut self, name: &str) -> Option<NodeIndex> {
        let index = self.find(name)?;
        let name = self.get(index)?.name.clone();
        self.slot_mut(index)?.state = SlotState::Reserved(name);
        Some(index)
    }

    /// Adds a reference to a name, and returns its index. The index stays in use at least until the reference is
    /// released.
    pub(crate) fn acquire(&mut self, name: &Text) -> NodeIndex {
        let index = self.entry(name).unwrap_or_else(|index| {
            self.put_in_order(index, name);
            if let Some(slot) = self.slot_mut(index) {
                slot.state = SlotState::Reserved(name.clone());
            }
            index
        });
        self.acquire_index(index);
        index
    }

    /// Adds a reference to an index that is already in use.
    pub(crate) fn acquire_index(&mut self, index: NodeIndex) {
        if let Some(slot) = self.slot_mut(index) {
            slot.references += 1;
        }
    }

    /// Releases one reference.
    pub(crate) fn release(&mut self, index: NodeIndex) {
        if let Some(slot) = self.slot_mut(index) {
            slot.references = slot.references.saturating_sub(1);
        }
    }

    /// Frees the index for another node if its node isn't in the cluster and nothing refers to it. Returns whether the
    /// index was freed.
    pub(crate) fn reclaim(&mut self, index: NodeIndex) -> bool {
        let Some(Slot {
            state: SlotState::Reserved(name),
            references: 0,
        }) = self.slots.get(index as usize)
        else {
            return false;
        };
        if let Ok(position) = self.position(name) {
            self.order.remove(position);
        }
        let hash = self.hasher.hash_one(name.as_ref());
        if let Ok(found) = self.by_name.find_entry(hash, |candidate| *candidate == index) {
            found.remove();
        }
        if let Some(slot) = self.slot_mut(index) {
            slot.state = SlotState::Free;
        }
        self.free.push(index);
        true
    }

    /// The index of a name: `Ok` if the name had an index, `Err` if the index was just assigned.
    fn entry(&mut self, name: &Text) -> Result<NodeIndex, NodeIndex> {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash = |name: &Text| hasher.hash_one(name.as_ref());
        let vacant = match self.by_name.entry(
            hash(name),
            |index| name_of(slots, *index) == Some(name),
            |index| name_of(slots, *index).map_or(0, hash),
        ) {
            Entry::Occupied(known) => return Ok(*known.get()),
            Entry::Vacant(vacant) => vacant,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            NodeIndex::try_from(self.slots.len() - 1).unwrap_or(NodeIndex::MAX)
        });
        vacant.insert(index);
        Err(index)
    }

    fn put_in_order(&mut self, index: NodeIndex, name: &Text) {
        let last = self.order.last().and_then(|index| self.name(*index));
        let position = if last < Some(name) {
            // Lists of nodes are usually sorted by name.
            self.order.len()
        } else {
            self.position(name).unwrap_or_else(|position| position)
        };
        self.order.insert(position, index);
    }

    /// A name's position in the order: `Ok` if the name is there, `Err` with its insertion position otherwise.
    fn position(&self, name: &Text) -> Result<usize, usize> {
        self.order
            .binary_search_by(|candidate| self.name(*candidate).cmp(&Some(name)))
    }
}
