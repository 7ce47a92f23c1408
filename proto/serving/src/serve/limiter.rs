//! Limits the calls of a server. An admitted call holds a permit and memory until its work has ended.

mod memory;

use std::{sync::Arc, thread};

use everynode_proto::memory_budget::MemoryBudget;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

pub(super) use self::memory::MessageMemory;
use self::memory::{MemoryBudgets, MessageBudget, units};
use super::{
    CallKind, Observer, Refusal, connections,
    fair_semaphore::{Caller, FairPermit, FairSemaphore},
    limits::{ACQUIRE_TIMEOUT, Limits, MAX_AUXILIARY_CALLS, MAX_AUXILIARY_CALLS_PER_CALLER},
    refusal,
};

/// Limits the calls of a server, or of one of its ports.
#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) limits: Limits,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) shutdown: CancellationToken,
    unary_calls: FairSemaphore,
    streams: FairSemaphore,
    auxiliary_calls: FairSemaphore,
    budgets: Arc<MemoryBudgets>,
    processors: Arc<Semaphore>,
}

/// Permit of an admitted call; the request carries it to the service. The call counts against its limit until
/// every clone of the permit has been dropped. The memory of the request's message counts until the handler
/// has dropped its last clone. A handler whose work outlives the request must keep the permit with the work.
#[derive(Debug, Clone)]
pub struct Permit {
    slot: Slot,
    memory: MessageMemory,
}

/// An admitted call's place in the limit of its kind, without the memory of its message.
#[derive(Debug, Clone)]
pub(super) struct Slot(Arc<SlotState>);

#[derive(Debug)]
struct SlotState {
    limiter: Arc<Limiter>,
    kind: CallKind,
    _permit: FairPermit,
    _connection: Option<connections::BusyGuard>,
    answer_memory: Mutex<Vec<FairPermit>>,
}

impl Limiter {
    pub(super) fn new(limits: Limits, observer: Arc<dyn Observer>, shutdown: CancellationToken) -> Self {
        let semaphore =
            |permits: u32| FairSemaphore::half_per_caller(usize::try_from(permits).unwrap_or(usize::MAX));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            limits,
            observer,
            shutdown,
            unary_calls: semaphore(limits.max_concurrent_calls),
            streams: semaphore(limits.max_streams),
            auxiliary_calls: FairSemaphore::new(MAX_AUXILIARY_CALLS, MAX_AUXILIARY_CALLS_PER_CALLER),
            budgets: Arc::new(MemoryBudgets::new(&limits)),
            processors: Arc::new(Semaphore::new(processors)),
        }
    }

    /// A limiter for another port of the server. It has permits of its own, but shares the memory budgets and the
    /// processors.
    pub(super) fn with_shared_memory(&self, limits: Limits) -> Self {
        Self {
            budgets: self.budgets.clone(),
            processors: self.processors.clone(),
            ..Self::new(limits, self.observer.clone(), self.shutdown.clone())
        }
    }

    /// Reports and logs a refusal. Returns its status.
    pub(super) fn refuse(&self, reason: Refusal, status: Status) -> Status {
        self.observer.on_refused(reason);
        tracing::debug!(
            reason = reason.as_str(),
            status = status.message(),
            "call refused"
        );
        status
    }

    /// Waits for a permit. The call's connection is busy until the permit has been dropped.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when no permit becomes free in time.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        kind: CallKind,
        caller: Option<Caller>,
        connection: Option<&connections::Handle>,
    ) -> Result<Permit, Status> {
        let (semaphore, budget) = match kind {
            CallKind::Unary => (&self.unary_calls, MessageBudget::Requests),
            CallKind::Stream => (&self.streams, MessageBudget::Streams),
        };
        let Ok(permit) = semaphore.acquire(caller.as_ref(), 1, ACQUIRE_TIMEOUT).await else {
            return Err(match kind {
                CallKind::Unary => self.refuse(Refusal::Calls, refusal::too_many_calls(&self.limits)),
                CallKind::Stream => self.refuse(Refusal::Streams, refusal::too_many_streams(&self.limits)),
            });
        };
        self.observer.on_call_started(kind);
        let state = SlotState {
            limiter: self.clone(),
            kind,
            _permit: permit,
            _connection: connection.map(connections::Handle::mark_busy),
            answer_memory: Mutex::default(),
        };
        Ok(Permit {
            slot: Slot(Arc::new(state)),
            memory: MessageMemory::new(self, caller, budget),
        })
    }

    /// Takes a permit for an auxiliary call if one is free. These calls never wait for a permit.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when no permit is free.
    pub(super) fn try_acquire_auxiliary(
        self: &Arc<Self>,
        caller: Option<Caller>,
    ) -> Result<(FairPermit, MessageMemory), Status> {
        match self.auxiliary_calls.try_acquire(caller.as_ref(), 1) {
            Ok(permit) => Ok((permit, MessageMemory::new(self, caller, MessageBudget::Unlimited))),
            Err(_) => Err(self.refuse(Refusal::AuxiliaryCalls, refusal::too_many_auxiliary_calls())),
        }
    }
}

impl Permit {
    /// Takes the permit out of a request. `None` if the request didn't come through a
    /// [`Server`](super::Server).
    pub fn take_from<T>(request: &mut Request<T>) -> Option<Self> {
        request.extensions_mut().remove()
    }

    pub(super) fn slot(&self) -> Slot {
        self.slot.clone()
    }

    pub(super) fn memory(&self) -> MessageMemory {
        self.memory.clone()
    }

    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }

    /// Waits until a processor is free for work that takes a while. Running more such work than there are
    /// processors would only slow all of it down and keep more of it in memory.
    pub(super) async fn acquire_processor(&self) -> Option<OwnedSemaphorePermit> {
        let processors = self.slot.0.limiter.processors.clone();
        processors.acquire_owned().await.ok()
    }
}

impl Slot {
    pub(super) fn limits(&self) -> &Limits {
        &self.0.limiter.limits
    }

    /// Waits for memory to send an answer of this size, and holds it as long as the call holds its slot. This
    /// memory replaces the memory that the answer took while it was made.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when other calls still hold too much after the wait.
    pub(super) async fn acquire_answer_memory(&self, bytes: usize) -> Result<(), Status> {
        self.0.answer_memory.lock().clear();
        let answers = &self.0.limiter.budgets.answers;
        let permit = answers.acquire(None, units(bytes), ACQUIRE_TIMEOUT).await;
        let permit = permit.map_err(|_| self.answer_memory_exhausted())?;
        self.0.answer_memory.lock().push(permit);
        Ok(())
    }

    /// Memory for what the call reads from its request. Dropping the budget returns it.
    pub(super) fn read_budget(&self) -> MemoryBudget {
        let (limiter, permits) = (self.0.limiter.clone(), Mutex::new(Vec::new()));
        let runtime = Handle::current();
        MemoryBudget::with_grant(move |bytes| {
            let budget = &limiter.budgets.read_objects;
            let permit = runtime.block_on(budget.acquire(None, units(bytes), ACQUIRE_TIMEOUT));
            permit.map(|permit| permits.lock().push(permit)).is_ok()
        })
    }

    /// Memory for the answer while it is made.
    pub(super) fn answer_budget(&self) -> MemoryBudget {
        let (slot, runtime) = (self.0.clone(), Handle::current());
        MemoryBudget::with_grant(move |bytes| {
            let budget = &slot.limiter.budgets.answers;
            let permit = runtime.block_on(budget.acquire(None, units(bytes), ACQUIRE_TIMEOUT));
            permit
                .map(|permit| slot.answer_memory.lock().push(permit))
                .is_ok()
        })
    }

    /// Refuses the call because there is no memory for what it reads.
    pub(super) fn read_memory_exhausted(&self) -> Status {
        self.memory_exhausted("objects", self.limits().max_read_bytes())
    }

    /// Refuses the call because there is no memory for its answer.
    pub(super) fn answer_memory_exhausted(&self) -> Status {
        self.memory_exhausted("answers", self.limits().max_request_bytes())
    }

    fn memory_exhausted(&self, content: &str, max_bytes: u64) -> Status {
        let status = refusal::memory_exhausted(content, max_bytes);
        self.0.limiter.refuse(Refusal::Memory, status)
    }
}

impl Drop for SlotState {
    fn drop(&mut self) {
        self.limiter.observer.on_call_ended(self.kind);
    }
}
