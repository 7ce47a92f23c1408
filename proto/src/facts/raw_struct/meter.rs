//! Measures the memory that an object takes while it is read. A list element takes a few bytes on the wire and up to a
//! few hundred in the type that it is read into, so every value counts by its size in memory.

use std::cell::Cell;

use crate::memory_budget::{ALLOCATION_BYTES, GROWTH, MAP_NODE_CAPACITY, MemoryBudget};

/// Bytes taken from the budget at once, so that not every element accesses the counter shared by all threads.
const STEP_BYTES: usize = 4 * 1024;
/// Up to this size, half of the bytes that are read are charged, because half of them are kept. Bytes beyond this size
/// are charged three times: a large object exists in three copies while it is converted to facts, and the facts to the
/// planner's own types.
const USUAL_OBJECT_BYTES: usize = 64 * 1024;
const COPIES_OF_LARGE_OBJECTS: usize = 3;

/// Charges the memory of one object to a budget, on one thread.
#[derive(Debug)]
pub(super) struct MemoryMeter<'a> {
    budget: &'a MemoryBudget,
    available: Cell<usize>,
    bytes_read: Cell<usize>,
}

/// The budget has refused more memory.
#[derive(Debug)]
pub(super) struct Exhausted;

impl<'a> MemoryMeter<'a> {
    pub(super) fn new(budget: &'a MemoryBudget) -> Self {
        Self {
            budget,
            available: Cell::new(0),
            bytes_read: Cell::new(0),
        }
    }

    /// Charges for a list element of `size` bytes.
    pub(super) fn charge_element(&self, size: usize) -> Result<(), Exhausted> {
        self.take(GROWTH * size)
    }

    /// Charges for a map entry of `size` bytes. The first entry is charged as a whole node of the map.
    pub(super) fn charge_entry(&self, size: usize, is_first: bool) -> Result<(), Exhausted> {
        let entries = if is_first { MAP_NODE_CAPACITY } else { GROWTH };
        self.take(entries * size + ALLOCATION_BYTES)
    }

    /// Charges for a text of `length` bytes.
    pub(super) fn charge_text(&self, length: usize) -> Result<(), Exhausted> {
        if length == 0 {
            return Ok(());
        }
        self.take(length + ALLOCATION_BYTES)
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let bytes_read = self.bytes_read.get().saturating_add(bytes);
        self.bytes_read.set(bytes_read);
        let bytes = if bytes_read <= USUAL_OBJECT_BYTES {
            bytes / 2
        } else {
            bytes.saturating_mul(COPIES_OF_LARGE_OBJECTS)
        };
        if let Some(available) = self.available.get().checked_sub(bytes) {
            self.available.set(available);
            return Ok(());
        }
        let step = bytes.max(STEP_BYTES);
        if !self.budget.take(step) {
            return Err(Exhausted);
        }
        self.available.set(self.available.get() + step - bytes);
        Ok(())
    }
}

impl Drop for MemoryMeter<'_> {
    fn drop(&mut self) {
        self.budget.release(self.available.get());
    }
}
