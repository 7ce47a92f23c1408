//! Limits the memory that a piece of work may use, on any number of threads.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// The overhead of an allocation, in addition to the bytes requested.
pub(crate) const ALLOCATION_BYTES: usize = 32;
/// A growing list reserves up to twice what it holds.
pub(crate) const GROWTH: usize = 2;
/// The number of entries that fit into a `BTreeMap` node.
pub(crate) const MAP_NODE_CAPACITY: usize = 11;

/// Bytes requested from the grant at once, so that small amounts don't each cause a request.
const STEP_BYTES: usize = 64 * 1024;

/// A memory limit for one piece of work. The budget requests memory in steps, and any number of threads may take from
/// it.
pub struct MemoryBudget {
    available: AtomicUsize,
    is_exhausted: AtomicBool,
    grant: Box<dyn Fn(usize) -> bool + Send + Sync>,
}

impl MemoryBudget {
    /// Creates a budget. `grant` receives a number of bytes, and returns whether the budget may grow by that number.
    pub fn with_grant(grant: impl Fn(usize) -> bool + Send + Sync + 'static) -> Self {
        Self {
            available: AtomicUsize::new(0),
            is_exhausted: AtomicBool::new(false),
            grant: Box::new(grant),
        }
    }

    /// Creates a budget without a limit, for work outside a server.
    pub fn unlimited() -> Self {
        Self::with_grant(|_| true)
    }

    /// Whether a request for memory has been refused. After that, the budget no longer grows.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted.load(Ordering::Relaxed)
    }

    /// Takes memory, in bytes. Returns false when the budget doesn't have enough.
    pub fn take(&self, bytes: usize) -> bool {
        let taken = self
            .available
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |available| {
                available.checked_sub(bytes)
            });
        if taken.is_ok() {
            return true;
        }
        let step = bytes.max(STEP_BYTES);
        if self.is_exhausted() || !(self.grant)(step) {
            self.is_exhausted.store(true, Ordering::Relaxed);
            return false;
        }
        self.release(step - bytes);
        true
    }

    /// Returns bytes that were taken but aren't needed.
    pub fn release(&self, bytes: usize) {
        self.available.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryBudget")
            .field("available", &self.available)
            .field("is_exhausted", &self.is_exhausted)
            .finish_non_exhaustive()
    }
}
