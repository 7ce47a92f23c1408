//! What reading objects may take of memory. An element of a list has a few bytes on the wire and up to some hundred as what it is
//! read into, so what is read counts by its own size, while it is read.

use std::cell::Cell;

use crate::allowance::Allowance;

/// What an allocation takes beside what was asked for.
const ALLOCATION_BYTES: usize = 32;
/// A list that grows reserves up to twice what it holds.
const GROWTH: usize = 2;
/// The entries that a node of a `BTreeMap` has room for.
const MAP_NODE_ENTRIES: usize = 11;
/// What is taken out of the allowance at once, so that not every element goes to what all threads share.
const STEP_BYTES: usize = 4 * 1024;
/// Of what is read of an object of usual size, half is kept. A larger one is there three times while it is turned into facts and those
/// into what decisions are made of.
const USUAL_OBJECT_BYTES: usize = 64 * 1024;
const COPIES_OF_LARGE_OBJECTS: usize = 3;

/// What reading one object has taken, on one thread.
#[derive(Debug)]
pub(super) struct Account<'a> {
    allowance: &'a Allowance,
    left: Cell<usize>,
    read: Cell<usize>,
}

/// There is no more memory.
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

    /// Takes memory for an element of a list, of this size.
    pub(super) fn element(&self, size: usize) -> Result<(), Exhausted> {
        self.take(GROWTH * size)
    }

    /// Takes memory for an entry of a map, of this size, which is the first one or not.
    pub(super) fn entry(&self, size: usize, is_first: bool) -> Result<(), Exhausted> {
        let entries = if is_first { MAP_NODE_ENTRIES } else { GROWTH };
        self.take(entries * size + ALLOCATION_BYTES)
    }

    /// Takes memory for a text of this length.
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
