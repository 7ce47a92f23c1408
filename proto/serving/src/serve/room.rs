//! Permits and memory of calls, and how long calls keep them.

use std::{fmt, sync::Arc, thread, time::Duration};

use everynode_proto::memory_budget::MemoryBudget;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::{
    Refusal, connections,
    limits::{Limits, MAX_MINOR_CALLS, MAX_MINOR_CALLS_OF_ONE, MAX_MINOR_MESSAGE_BYTES, PATIENCE},
    refusal,
    shares::{Caller, Share, Shares},
};

/// Memory is counted in units of this size, because a semaphore counts at most about four billion permits at
/// once.
const MEMORY_UNIT_BYTES: usize = 1024;

/// Kinds of requests, each with a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A unary call: one request, one answer.
    Call,
    /// A stream: any other method.
    Stream,
}

/// Receives what happens to calls, for the program's metrics.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// A call or stream was admitted.
    fn began(&self, kind: Kind);

    /// The work of a call or stream has ended.
    fn ended(&self, kind: Kind);

    /// A call was refused or given up, or a connection was closed.
    fn refused(&self, why: Refusal);
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn began(&self, _: Kind) {}
    fn ended(&self, _: Kind) {}
    fn refused(&self, _: Refusal) {}
}

/// All permits of a server, or of one of its ports.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) limits: Limits,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) shutdown: CancellationToken,
    calls: Shares,
    streams: Shares,
    minor: Shares,
    budgets: Arc<Budgets>,
    processors: Arc<Semaphore>,
}

/// The memory budgets that all ports of a server share, in units.
#[derive(Debug)]
struct Budgets {
    /// The messages of unary calls, encoded and decoded.
    requests: Shares,
    /// The messages of streams, until handlers take them.
    streams: Shares,
    /// Data that the few calls in progress read from their messages.
    work: Shares,
    /// The answers to unary calls, from while they are made until they have been sent.
    answers: Shares,
}

/// Permit of an admitted call; every request that reaches a service carries it. The call counts against its
/// limit until every clone of the permit is dropped. The memory of the request's message counts until the
/// handler drops its last clone. A handler whose work outlives the request must keep the permit with the
/// work.
#[derive(Debug, Clone)]
pub struct Leave {
    place: Place,
    memory: Memory,
}

/// A call's permit in the limit of its kind, without the memory of its message.
#[derive(Debug, Clone)]
pub(super) struct Place(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    room: Arc<Room>,
    kind: Kind,
    _share: Share,
    _busy: Option<connections::Busy>,
    answer: Mutex<Vec<Share>>,
}

/// The budget that a message counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Budget {
    Requests,
    Streams,
    /// No budget: messages of health and reflection are small and few.
    Minor,
}

/// Memory of one message. It grows as the message arrives, so announcing a large message takes no memory from
/// anybody.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    room: Arc<Room>,
    caller: Option<Caller>,
    budget: Budget,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    units: u32,
    shares: Vec<Share>,
}

impl Room {
    pub(super) fn new(limits: Limits, observer: Arc<dyn Observer>, shutdown: CancellationToken) -> Self {
        let places = |count: u32| Shares::halved(usize::try_from(count).unwrap_or(usize::MAX));
        let units = |bytes: u64| {
            usize::try_from(bytes)
                .unwrap_or(usize::MAX)
                .div_ceil(MEMORY_UNIT_BYTES)
        };
        // One caller may hold three quarters of a budget. That fits the largest possible request, and still
        // leaves room for other callers.
        let memory = |bytes: u64| Shares::new(units(bytes), units(bytes.saturating_mul(3) / 4));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            limits,
            observer,
            shutdown,
            calls: places(limits.max_concurrent_calls),
            streams: places(limits.max_streams),
            minor: Shares::new(MAX_MINOR_CALLS, MAX_MINOR_CALLS_OF_ONE),
            budgets: Arc::new(Budgets {
                requests: memory(limits.max_request_bytes()),
                streams: memory(limits.max_stream_bytes()),
                work: memory(limits.max_work_bytes()),
                answers: memory(limits.max_request_bytes()),
            }),
            processors: Arc::new(Semaphore::new(processors)),
        }
    }

    /// A room for another port, with permits of its own and the same memory.
    pub(super) fn beside(&self, limits: Limits) -> Self {
        Self {
            budgets: self.budgets.clone(),
            processors: self.processors.clone(),
            ..Self::new(limits, self.observer.clone(), self.shutdown.clone())
        }
    }

    pub(super) fn refuse(&self, why: Refusal, status: Status) -> Status {
        self.observer.refused(why);
        tracing::debug!(reason = why.as_str(), "{}", status.message());
        status
    }

    /// Waits for a permit and takes it. The connection counts as busy until the call returns the permit.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when no permit becomes free in time.
    pub(super) async fn enter(
        self: &Arc<Self>,
        kind: Kind,
        caller: Option<Caller>,
        connection: Option<&connections::Handle>,
    ) -> Result<Leave, Status> {
        let (places, budget) = match kind {
            Kind::Call => (&self.calls, Budget::Requests),
            Kind::Stream => (&self.streams, Budget::Streams),
        };
        let Ok(share) = places.take(caller.as_ref(), 1, PATIENCE).await else {
            return Err(match kind {
                Kind::Call => self.refuse(Refusal::Calls, refusal::too_many_calls(&self.limits)),
                Kind::Stream => self.refuse(Refusal::Streams, refusal::too_many_streams(&self.limits)),
            });
        };
        self.observer.began(kind);
        let taken = Taken {
            room: self.clone(),
            kind,
            _share: share,
            _busy: connection.map(connections::Handle::busy),
            answer: Mutex::default(),
        };
        Ok(Leave {
            place: Place(Arc::new(taken)),
            memory: Memory::new(self, caller, budget),
        })
    }

    /// Takes a permit for health or reflection if one is free. Such calls have few permits and never wait for
    /// one.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when no permit is free.
    pub(super) fn enter_minor(self: &Arc<Self>, caller: Option<Caller>) -> Result<(Share, Memory), Status> {
        match self.minor.try_take(caller.as_ref(), 1) {
            Ok(share) => Ok((share, Memory::new(self, caller, Budget::Minor))),
            Err(_) => Err(self.refuse(Refusal::Minor, refusal::too_many_minor_calls())),
        }
    }
}

impl Leave {
    /// Takes the permit out of a request.
    pub fn of<T>(request: &mut Request<T>) -> Option<Self> {
        request.extensions_mut().remove()
    }

    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    pub(super) fn memory(&self) -> Memory {
        self.memory.clone()
    }

    pub(super) fn into_place(self) -> Place {
        self.place
    }

    /// Waits until a processor is free for work that takes a while. Running more such work than there are
    /// processors would only slow all of it down and keep more of it in memory.
    pub(super) async fn processor(&self) -> Option<OwnedSemaphorePermit> {
        self.place.0.room.processors.clone().acquire_owned().await.ok()
    }
}

impl Memory {
    fn new(room: &Arc<Room>, caller: Option<Caller>, budget: Budget) -> Self {
        Self {
            room: room.clone(),
            caller,
            budget,
            held: Arc::default(),
        }
    }

    pub(super) fn max_message_bytes(&self) -> usize {
        match self.budget {
            Budget::Requests => self.room.limits.max_message_bytes,
            Budget::Streams => self.room.limits.max_stream_message_bytes(),
            Budget::Minor => MAX_MINOR_MESSAGE_BYTES,
        }
    }

    /// How long a message of a stream may take to arrive. A unary call has a deadline for the whole call
    /// instead.
    pub(super) fn message_deadline(&self) -> Duration {
        self.room.limits.call_deadline
    }

    /// Waits until the message may take `bytes` in all.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when other callers still hold too much after the wait, or when `bytes` is more
    /// than one message may take.
    pub(super) async fn grow_to(self, bytes: usize) -> Result<(), Status> {
        let (budgets, limits) = (&self.room.budgets, &self.room.limits);
        let (shares, patience, full) = match self.budget {
            Budget::Requests => (
                &budgets.requests,
                PATIENCE,
                ("requests", limits.max_request_bytes()),
            ),
            // A session has no use for an error that says to retry, and it can wait.
            Budget::Streams => {
                let full = ("streams", limits.max_stream_bytes());
                (&budgets.streams, self.message_deadline(), full)
            }
            Budget::Minor => return Ok(()),
        };
        let units = units(bytes);
        let most = shares.most_for(self.caller.as_ref());
        if units > most {
            let most = usize::try_from(most)
                .unwrap_or(usize::MAX)
                .saturating_mul(MEMORY_UNIT_BYTES);
            return Err(self.refuse(Refusal::MessageSize, refusal::too_large_in_memory(bytes, most)));
        }
        let held = self.held.lock().units;
        let Some(missing) = units.checked_sub(held).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let share = shares.take(self.caller.as_ref(), missing, patience).await;
        let share = share.map_err(|_| {
            let (of, most) = full;
            self.refuse(Refusal::Memory, refusal::memory_full(of, most))
        })?;
        let mut held = self.held.lock();
        held.units += missing;
        held.shares.push(share);
        Ok(())
    }

    /// Returns the memory once the message has been taken.
    pub(super) fn release(&self) {
        *self.held.lock() = Held::default();
    }

    pub(super) fn refuse(&self, why: Refusal, status: Status) -> Status {
        self.room.refuse(why, status)
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(MEMORY_UNIT_BYTES)).unwrap_or(u32::MAX)
}

impl Place {
    pub(super) fn limits(&self) -> &Limits {
        &self.0.room.limits
    }

    /// Waits for memory to send an answer of this size, and holds it as long as the call holds its permit.
    /// The memory that the answer took while it was made no longer counts.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when other callers still hold too much after the wait.
    pub(super) async fn hold_answer(&self, bytes: usize) -> Result<(), Status> {
        let room = &self.0.room;
        self.0.answer.lock().clear();
        let share = room.budgets.answers.take(None, units(bytes), PATIENCE).await;
        let share = share.map_err(|_| self.no_memory_to_answer())?;
        self.0.answer.lock().push(share);
        Ok(())
    }

    /// Memory for what the call reads from its request. Dropping the budget returns it.
    pub(super) fn reading(&self) -> MemoryBudget {
        let (room, shares) = (self.0.room.clone(), Mutex::new(Vec::new()));
        let runtime = Handle::current();
        MemoryBudget::with_grant(move |bytes| {
            let share = runtime.block_on(room.budgets.work.take(None, units(bytes), PATIENCE));
            share.map(|share| shares.lock().push(share)).is_ok()
        })
    }

    /// Memory for the answer while it is made.
    pub(super) fn answering(&self) -> MemoryBudget {
        let (taken, runtime) = (self.0.clone(), Handle::current());
        MemoryBudget::with_grant(move |bytes| {
            let answers = &taken.room.budgets.answers;
            let share = runtime.block_on(answers.take(None, units(bytes), PATIENCE));
            share.map(|share| taken.answer.lock().push(share)).is_ok()
        })
    }

    /// Refuses the call because there is no memory for what it reads.
    pub(super) fn no_memory_to_read(&self) -> Status {
        self.no_memory("objects", self.limits().max_work_bytes())
    }

    /// Refuses the call because there is no memory for its answer.
    pub(super) fn no_memory_to_answer(&self) -> Status {
        self.no_memory("answers", self.limits().max_request_bytes())
    }

    fn no_memory(&self, of: &str, most: u64) -> Status {
        let full = refusal::memory_full(of, most);
        self.0.room.refuse(Refusal::Memory, full)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.observer.ended(self.kind);
    }
}
