//! The places that calls take up, and how long they keep them.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    thread,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::{
    Refusal,
    limits::{Limits, PATIENCE},
    refusal,
};

/// A semaphore counts at most some four billion at once; of memory it therefore counts these.
const MEMORY_UNIT_BYTES: usize = 1024;

/// What is limited separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One request, one answer.
    Call,
    /// Anything else.
    Stream,
}

/// Is told what becomes of calls, for a program's metrics.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// A call or stream was let in.
    fn began(&self, kind: Kind);

    /// Its work has ended.
    fn ended(&self, kind: Kind);

    /// A call was refused or given up, or a connection closed.
    fn refused(&self, why: Refusal);
}

/// Looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn began(&self, _: Kind) {}
    fn ended(&self, _: Kind) {}
    fn refused(&self, _: Refusal) {}
}

/// All places of a server.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) limits: Limits,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) shutdown: CancellationToken,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    processors: Arc<Semaphore>,
}

/// The leave of a call to be worked on, which every request of a service brings along. The call counts as long as a
/// leave of it is there, and the memory of its message counts as long as one is there that a handler has: a handler
/// whose work goes on without its request takes it along.
#[derive(Debug, Clone)]
pub struct Leave {
    place: Place,
    memory: Memory,
}

/// The place that a call takes up among those of its kind.
#[derive(Debug, Clone)]
pub(super) struct Place(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    room: Arc<Room>,
    kind: Kind,
    _permit: OwnedSemaphorePermit,
    answer: OnceLock<OwnedSemaphorePermit>,
}

/// A request's share of the memory, taken when the size of its message is known.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    room: Arc<Room>,
    permit: Arc<OnceLock<OwnedSemaphorePermit>>,
}

impl Room {
    pub(super) fn new(limits: Limits, observer: Arc<dyn Observer>, shutdown: CancellationToken) -> Self {
        let semaphore = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let places = |count: u32| semaphore(usize::try_from(count).unwrap_or(usize::MAX));
        let memory = usize::try_from(limits.max_request_bytes()).unwrap_or(usize::MAX);
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            limits,
            observer,
            shutdown,
            calls: places(limits.max_concurrent_calls),
            streams: places(limits.max_streams),
            requests: semaphore(memory.div_ceil(MEMORY_UNIT_BYTES)),
            answers: semaphore(memory.div_ceil(MEMORY_UNIT_BYTES)),
            processors: semaphore(processors),
        }
    }

    pub(super) fn refuse(&self, why: Refusal, status: Status) -> Status {
        self.observer.refused(why);
        tracing::debug!(reason = why.as_str(), "{}", status.message());
        status
    }

    /// Waits until so much of the memory for requests or for answers is free, and takes it.
    async fn hold(
        &self,
        memory: &Arc<Semaphore>,
        of: &str,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit, Status> {
        let units = u32::try_from(bytes.div_ceil(MEMORY_UNIT_BYTES)).unwrap_or(u32::MAX);
        match timeout(PATIENCE, memory.clone().acquire_many_owned(units)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(self.refuse(Refusal::Memory, refusal::memory_full(&self.limits, of))),
        }
    }

    /// Waits for a place, and takes it.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when none has become free for a while.
    pub(super) async fn enter(self: &Arc<Self>, kind: Kind) -> Result<Leave, Status> {
        let places = match kind {
            Kind::Call => &self.calls,
            Kind::Stream => &self.streams,
        };
        let Ok(Ok(permit)) = timeout(PATIENCE, places.clone().acquire_owned()).await else {
            return Err(match kind {
                Kind::Call => self.refuse(Refusal::Calls, refusal::too_many_calls(&self.limits)),
                Kind::Stream => self.refuse(Refusal::Streams, refusal::too_many_streams(&self.limits)),
            });
        };
        self.observer.began(kind);
        let taken = Taken {
            room: self.clone(),
            kind,
            _permit: permit,
            answer: OnceLock::new(),
        };
        Ok(Leave {
            place: Place(Arc::new(taken)),
            memory: Memory {
                room: self.clone(),
                permit: Arc::default(),
            },
        })
    }
}

impl Leave {
    /// Takes the leave out of a request.
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

    /// Waits until a processor is free for work that takes a while: more such work than processors would only make all
    /// of it slower and keep more of it in memory.
    pub(super) async fn processor(&self) -> Option<OwnedSemaphorePermit> {
        self.place.0.room.processors.clone().acquire_owned().await.ok()
    }
}

impl Memory {
    pub(super) fn max_message_bytes(&self) -> usize {
        self.room.limits.max_message_bytes
    }

    /// Waits until a message of this size may be held.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the others still take too much after a while.
    pub(super) async fn take(self, bytes: usize) -> Result<(), Status> {
        let permit = self.room.hold(&self.room.requests, "requests", bytes).await?;
        // A call has one message, so there is none yet.
        let _ = self.permit.set(permit);
        Ok(())
    }
}

impl Place {
    pub(super) fn limits(&self) -> &Limits {
        &self.0.room.limits
    }

    /// Waits until an answer of this size may be on its way, which it is as long as the call has its place.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the others still take too much after a while.
    pub(super) async fn hold_answer(&self, bytes: usize) -> Result<(), Status> {
        let room = &self.0.room;
        let permit = room.hold(&room.answers, "answers", bytes).await?;
        // A call has one answer, so there is none yet.
        let _ = self.0.answer.set(permit);
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.observer.ended(self.kind);
    }
}
