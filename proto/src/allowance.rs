//! Memory that a piece of work may take, on any number of threads.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// The overhead of an allocation, in addition to the bytes requested.
pub(crate) const ALLOCATION_BYTES: usize = 32;
/// A growing list reserves up to twice what it holds.
pub(crate) const GROWTH: usize = 2;
/// The number of entries that a `BTreeMap` node has room for.
pub(crate) const MAP_NODE_ENTRIES: usize = 11;

/// Bytes requested from the grant at once, so that small amounts don't each cause a request.
const STEP_BYTES: usize = 64 * 1024;

/// Memory that is granted in steps to the readers of objects, on any number of threads.
pub struct Allowance {
    left: AtomicUsize,
    is_exhausted: AtomicBool,
    grant: Box<dyn Fn(usize) -> bool + Send + Sync>,
}

impl Allowance {
    /// Creates an allowance. `grant` gets a number of bytes and returns whether they may be taken in addition.
    pub fn granted_by(grant: impl Fn(usize) -> bool + Send + Sync + 'static) -> Self {
        Self {
            left: AtomicUsize::new(0),
            is_exhausted: AtomicBool::new(false),
            grant: Box::new(grant),
        }
    }

    /// Creates an allowance without a limit, for work that takes memory from nobody else.
    pub fn unlimited() -> Self {
        Self::granted_by(|_| true)
    }

    /// Whether something could not be read for lack of memory.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted.load(Ordering::Relaxed)
    }

    /// Takes memory, in bytes. Returns whether there was enough.
    pub fn take(&self, bytes: usize) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        if taken.is_ok() {
            return true;
        }
        let step = bytes.max(STEP_BYTES);
        if self.is_exhausted() || !(self.grant)(step) {
            self.is_exhausted.store(true, Ordering::Relaxed);
            return false;
        }
        self.give_back(step - bytes);
        true
    }

    /// Gives back bytes that were taken but aren't needed.
    pub fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Allowance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Allowance")
            .field("left", &self.left)
            .field("is_exhausted", &self.is_exhausted)
            .finish_non_exhaustive()
    }
}
