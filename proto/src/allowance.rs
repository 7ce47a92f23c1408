//! Memory that somebody may take while they work, on any number of threads.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// What is asked for at once, so that not every little thing is.
const STEP_BYTES: usize = 64 * 1024;

/// Memory that is granted in steps to whoever reads objects, on any number of threads.
pub struct Allowance {
    left: AtomicUsize,
    is_exhausted: AtomicBool,
    grant: Box<dyn Fn(usize) -> bool + Send + Sync>,
}

impl Allowance {
    /// Memory of which `grant` says whether so many bytes more may be taken.
    pub fn granted_by(grant: impl Fn(usize) -> bool + Send + Sync + 'static) -> Self {
        Self {
            left: AtomicUsize::new(0),
            is_exhausted: AtomicBool::new(false),
            grant: Box::new(grant),
        }
    }

    /// As much memory as anybody wants, where nobody else's is at stake.
    pub fn unlimited() -> Self {
        Self::granted_by(|_| true)
    }

    /// Whether something could not be read for want of memory.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted.load(Ordering::Relaxed)
    }

    /// Takes memory. Whether there was enough.
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

    /// Gives back what was taken and isn't needed.
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
