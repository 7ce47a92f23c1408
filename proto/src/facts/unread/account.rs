//! Accounts for the memory that reading objects takes. An element of a list has a few bytes on the wire and up to a few
//! hundred in the type that it is read into. So everything that is read counts by its own size, while it is read.

use std::cell::Cell;

use crate::allowance::{ALLOCATION_BYTES, Allowance, GROWTH, MAP_NODE_ENTRIES};

/// Bytes taken from the allowance at once, so that not every element accesses the counter that all threads share.
const STEP_BYTES: usize = 4 * 1024;
/// Up to this size, an object is charged for half of what is read, because half of it is kept. Beyond it, everything is
/// charged three times: a large object exists in three copies while it is turned into facts and the facts into the
/// types that decisions use.
const USUAL_OBJECT_BYTES: usize = 64 * 1024;
const COPIES_OF_LARGE_OBJECTS: usize = 3;

/// The memory that reading one object has taken, on one thread.
#[derive(Debug)]
pub(super) struct Account<'a> {
    allowance: &'a Allowance,
    left: Cell<usize>,
    read: Cell<usize>,
}

/// The allowance is exhausted.
#[derive(Debug)]
pub(super) struct Exhausted;

impl<'a> Account<'a> {
    pub(super) fn with(allowance: &'a Allowance) -> Self {
        Self {
            allowance,
            left: Cell::new(0),
            read: Cell::new(0),
        }
    }

    /// Charges for an element of a list that takes `size` bytes.
    pub(super) fn element(&self, size: usize) -> Result<(), Exhausted> {
        self.take(GROWTH * size)
    }

    /// Charges for an entry of a map that takes `size` bytes. The first entry pays for a whole node of the map.
    pub(super) fn entry(&self, size: usize, is_first: bool) -> Result<(), Exhausted> {
        let entries = if is_first { MAP_NODE_ENTRIES } else { GROWTH };
        self.take(entries * size + ALLOCATION_BYTES)
    }

    /// Charges for a text of `length` bytes.
    pub(super) fn text(&self, length: usize) -> Result<(), Exhausted> {
        if length == 0 {
            return Ok(());
        }
        self.take(length + ALLOCATION_BYTES)
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let read = self.read.get().saturating_add(bytes);
        self.read.set(read);
        let bytes = if read <= USUAL_OBJECT_BYTES {
            bytes / 2
        } else {
            bytes.saturating_mul(COPIES_OF_LARGE_OBJECTS)
        };
        if let Some(left) = self.left.get().checked_sub(bytes) {
            self.left.set(left);
            return Ok(());
        }
        let step = bytes.max(STEP_BYTES);
        if !self.allowance.take(step) {
            return Err(Exhausted);
        }
        self.left.set(self.left.get() + step - bytes);
        Ok(())
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.allowance.give_back(self.left.get());
    }
}
