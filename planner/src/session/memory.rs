//! Limits how much memory all sessions of a planner take together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use everynode_proto::status;
use tonic::Status;

/// Reservations grow and shrink in steps of this many bytes, so that parallel sessions rarely contend for the counter.
const STEP: usize = 64 * 1024;

/// The memory limit that all sessions share.
#[derive(Debug, Clone)]
pub struct SessionMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
}

impl Default for SessionMemory {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

impl SessionMemory {
    /// The default limit in bytes: 512 MiB, about five times what a session of 5,000 nodes and 50 `DaemonSet`s takes.
    pub const DEFAULT_LIMIT: usize = 512 * 1024 * 1024;

    /// A limit of `limit` bytes for all sessions together.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner {
            limit,
            used: AtomicUsize::new(0),
        }))
    }

    /// An empty reservation, for a session that holds no facts yet.
    pub fn reservation(&self) -> MemoryReservation {
        MemoryReservation {
            memory: self.clone(),
            reserved: 0,
        }
    }
}

/// The bytes that one session has reserved. Dropping it releases them.
#[derive(Debug)]
pub struct MemoryReservation {
    memory: SessionMemory,
    reserved: usize,
}

impl Default for MemoryReservation {
    fn default() -> Self {
        SessionMemory::default().reservation()
    }
}

impl MemoryReservation {
    /// Resizes the reservation to what the session holds now: `bytes`, rounded up to whole steps.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when all sessions together would exceed the limit.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Status> {
        let wanted = bytes.div_ceil(STEP).saturating_mul(STEP);
        let Inner { limit, used } = &*self.memory.0;
        if wanted <= self.reserved {
            used.fetch_sub(self.reserved - wanted, Ordering::Relaxed);
            self.reserved = wanted;
            return Ok(());
        }
        let more = wanted - self.reserved;
        let grown = |used: usize| used.checked_add(more).filter(|used| used <= limit);
        if used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_err()
        {
            let message = format!(
                "the facts of all sessions of this planner would take more than {limit} bytes together; raise \
                 --max-session-memory, or close other sessions"
            );
            return Err(status::too_many("facts", &message));
        }
        self.reserved = wanted;
        Ok(())
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.reserved, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn sessions_share_one_limit_and_release_unused_memory() {
        let memory = SessionMemory::new(10 * STEP);
        let (mut one, mut other) = (memory.reservation(), memory.reservation());
        one.resize(6 * STEP).unwrap();
        let status = other.resize(5 * STEP).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("--max-session-memory"), "{status}");
        other.resize(4 * STEP).unwrap();
        one.resize(5 * STEP).unwrap();
        other.resize(5 * STEP).unwrap();
        drop(one);
        other.resize(10 * STEP).unwrap();
        assert!(other.resize(10 * STEP + 1).is_err());
        drop(other);
        assert_eq!(memory.0.used.load(Ordering::Relaxed), 0);
    }
}
