//! Memory budgets, and the part of a budget that one message holds.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tonic::Status;

use super::{
    super::{
        Limits, Refusal,
        fair_semaphore::{Caller, FairPermit, FairSemaphore},
        limits::{ACQUIRE_TIMEOUT, MAX_AUXILIARY_MESSAGE_BYTES},
        refusal,
    },
    Limiter,
};

/// Memory is counted in units of this size, because at most `u32::MAX` permits of a semaphore can be acquired
/// at once.
const UNIT_BYTES: usize = 1024;

/// The memory budgets that all ports of a server share, in units.
#[derive(Debug)]
pub(super) struct MemoryBudgets {
    /// The messages of unary calls, encoded and decoded.
    requests: FairSemaphore,
    /// The messages of streams, until handlers take them.
    streams: FairSemaphore,
    /// Objects that the calls in progress read from their messages.
    pub(super) read_objects: FairSemaphore,
    /// The answers to unary calls, while they are made and until they have been sent.
    pub(super) answers: FairSemaphore,
}

impl MemoryBudgets {
    pub(super) fn new(limits: &Limits) -> Self {
        let units = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(UNIT_BYTES);
        // One caller may hold three quarters of a budget. A message of the largest encoded size fits into that,
        // and a quarter remains for other callers.
        let budget = |bytes: u64| FairSemaphore::new(units(bytes), units(bytes.saturating_mul(3) / 4));
        Self {
            requests: budget(limits.max_request_bytes()),
            streams: budget(limits.max_stream_bytes()),
            read_objects: budget(limits.max_read_bytes()),
            answers: budget(limits.max_request_bytes()),
        }
    }
}

/// The budget that a message counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageBudget {
    Requests,
    Streams,
    /// None: the messages of auxiliary calls are small and few.
    Unlimited,
}

/// Memory of one message. It grows as the message arrives, so announcing a large message takes no memory from
/// other calls.
#[derive(Debug, Clone)]
pub(crate) struct MessageMemory {
    limiter: Arc<Limiter>,
    caller: Option<Caller>,
    budget: MessageBudget,
    held: Arc<Mutex<HeldMemory>>,
}

#[derive(Debug, Default)]
struct HeldMemory {
    units: u32,
    permits: Vec<FairPermit>,
}

impl MessageMemory {
    pub(super) fn new(limiter: &Arc<Limiter>, caller: Option<Caller>, budget: MessageBudget) -> Self {
        Self {
            limiter: limiter.clone(),
            caller,
            budget,
            held: Arc::default(),
        }
    }

    /// Limit of the encoded size of the message.
    pub(crate) fn max_message_bytes(&self) -> usize {
        match self.budget {
            MessageBudget::Requests => self.limiter.limits.max_message_bytes,
            MessageBudget::Streams => self.limiter.limits.max_stream_message_bytes(),
            MessageBudget::Unlimited => MAX_AUXILIARY_MESSAGE_BYTES,
        }
    }

    /// How long a message of a stream may take to arrive. A unary call has a deadline for the whole call
    /// instead.
    pub(crate) fn message_timeout(&self) -> Duration {
        self.limiter.limits.call_deadline
    }

    /// Waits until the message may take `bytes` in all.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when other callers still hold too much after the wait, or when `bytes` is more
    /// than one message may take.
    pub(crate) async fn grow_to(self, bytes: usize) -> Result<(), Status> {
        let (budgets, limits) = (&self.limiter.budgets, &self.limiter.limits);
        let (semaphore, timeout, content, max_bytes) = match self.budget {
            MessageBudget::Requests => (
                &budgets.requests,
                ACQUIRE_TIMEOUT,
                "requests",
                limits.max_request_bytes(),
            ),
            // A stream can wait longer, and an error that says to retry would end it.
            MessageBudget::Streams => (
                &budgets.streams,
                self.message_timeout(),
                "stream messages",
                limits.max_stream_bytes(),
            ),
            MessageBudget::Unlimited => return Ok(()),
        };
        let units = units(bytes);
        let max_units = semaphore.max_for(self.caller.as_ref());
        if units > max_units {
            let max_bytes = usize::try_from(max_units)
                .unwrap_or(usize::MAX)
                .saturating_mul(UNIT_BYTES);
            let status = refusal::decoded_message_too_large(bytes, max_bytes);
            return Err(self.refuse(Refusal::MessageSize, status));
        }
        let held = self.held.lock().units;
        let Some(missing) = units.checked_sub(held).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let permit = semaphore.acquire(self.caller.as_ref(), missing, timeout).await;
        let permit = permit
            .map_err(|_| self.refuse(Refusal::Memory, refusal::memory_exhausted(content, max_bytes)))?;
        let mut held = self.held.lock();
        held.units += missing;
        held.permits.push(permit);
        Ok(())
    }

    /// Returns the memory after the handler has taken the message.
    pub(crate) fn release(&self) {
        *self.held.lock() = HeldMemory::default();
    }

    pub(crate) fn refuse(&self, reason: Refusal, status: Status) -> Status {
        self.limiter.refuse(reason, status)
    }
}

pub(super) fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}
