//! Work of calls on blocking threads.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use everynode_proto::memory_budget::MemoryBudget;
use prost::Message;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

use super::{Permit, limiter::Slot, refusal};

/// Handle of a call's work. It tells the work whether the caller still waits for the answer, and limits the
/// memory that the work may take.
///
/// Work that takes longer than a moment must call [`Work::check`] repeatedly, and stop when it fails. Otherwise
/// the work would keep a processor busy after the deadline, for a caller who no longer waits.
#[derive(Debug, Clone)]
pub struct Work(Arc<State>);

#[derive(Debug)]
struct State {
    is_abandoned: AtomicBool,
    read_budget: MemoryBudget,
    answer_budget: MemoryBudget,
    slot: Option<Slot>,
    /// Whether there is no server whose limits apply.
    is_unbounded: bool,
}

impl Work {
    /// Work outside a server: it is never abandoned, and no limit applies to it.
    pub fn unbounded() -> Self {
        Self::with_slot(None, true)
    }

    /// The work of a call. It may take any amount of memory if the call holds no slot.
    fn new(slot: Option<Slot>) -> Self {
        Self::with_slot(slot, false)
    }

    fn with_slot(slot: Option<Slot>, is_unbounded: bool) -> Self {
        Self(Arc::new(State {
            is_abandoned: AtomicBool::new(false),
            read_budget: slot
                .as_ref()
                .map_or_else(MemoryBudget::unlimited, Slot::read_budget),
            answer_budget: slot
                .as_ref()
                .map_or_else(MemoryBudget::unlimited, Slot::answer_budget),
            slot,
            is_unbounded,
        }))
    }

    /// Whether the work is done outside a server, so that the limits on requests and answers don't apply.
    pub fn is_unbounded(&self) -> bool {
        self.0.is_unbounded
    }

    /// The memory for objects that are read from the request.
    pub fn read_budget(&self) -> &MemoryBudget {
        &self.0.read_budget
    }

    /// Takes memory for a part of the answer.
    ///
    /// # Errors
    /// As [`Work::check`].
    pub fn allocate_answer(&self, bytes: usize) -> Result<(), Status> {
        self.0.answer_budget.take(bytes);
        self.check()
    }

    /// Checks whether the work should continue. The check is cheap enough for each object.
    ///
    /// # Errors
    /// `CANCELLED` when the caller has disconnected or the call's deadline has passed; nobody receives this
    /// status. `RESOURCE_EXHAUSTED` when there was no memory for what has been read or answered so far.
    pub fn check(&self) -> Result<(), Status> {
        let state = &self.0;
        if state.is_abandoned.load(Ordering::Relaxed) {
            return Err(Status::cancelled("the caller no longer waits for the answer"));
        }
        // Without a slot there is no limit, so the memory is never exhausted.
        if let Some(slot) = &state.slot {
            if state.read_budget.is_exhausted() {
                return Err(slot.read_memory_exhausted());
            }
            if state.answer_budget.is_exhausted() {
                return Err(slot.answer_memory_exhausted());
            }
        }
        Ok(())
    }
}

/// Marks the work as abandoned when it is dropped.
struct AbandonOnDrop(Work);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.0.is_abandoned.store(true, Ordering::Relaxed);
    }
}

/// Answers a request with work that takes a while. The work runs on a blocking thread, so it doesn't delay
/// streams. At most one such thread for each processor runs at the same time.
///
/// The call counts against its limit until the work has ended, even if its caller has disconnected or its
/// deadline has passed. Work that hasn't started by then never starts. Work that has started learns from
/// [`Work::check`] that it should stop.
///
/// # Errors
/// Those of the work; `RESOURCE_EXHAUSTED` when the answer is larger than a message may be, or when there is no
/// memory for it; `INTERNAL` when the work panics.
pub async fn run_in_background<Q, A>(
    mut request: Request<Q>,
    work: impl FnOnce(Q, &Work) -> Result<A, Status> + Send + 'static,
) -> Result<Response<A>, Status>
where
    Q: Send + 'static,
    A: Message + 'static,
{
    let permit = Permit::take_from(&mut request);
    let processor = match &permit {
        Some(permit) => permit.acquire_processor().await,
        None => None,
    };
    let request = request.into_inner();
    let handle = Work::new(permit.as_ref().map(Permit::slot));
    // This is dropped with the future, when the caller has disconnected or the deadline has passed.
    let _abandon = AbandonOnDrop(handle.clone());
    let work = tokio::task::spawn_blocking(move || {
        let answer = work(request, &handle);
        // The work has consumed the request, so this frees the memory of its message. The call keeps its slot
        // until the answer has been sent.
        (answer, permit.map(Permit::into_slot), processor)
    });
    let (answer, slot, processor) = AbortOnDropHandle::new(work)
        .await
        .map_err(|error| Status::internal(format!("the work of the call failed: {error}")))?;
    let answer = answer?;
    if let Some(slot) = slot {
        let (bytes, limit) = (answer.encoded_len(), slot.limits().max_message_bytes);
        if bytes > limit {
            return Err(refusal::answer_too_large(limit));
        }
        slot.acquire_answer_memory(bytes).await?;
    }
    // Other work may start only when this answer has its memory. Otherwise answers that count against no
    // budget would pile up.
    drop(processor);
    Ok(Response::new(answer))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use everynode_proto::executor::v1::GetInfoResponse;

    #[tokio::test]
    async fn work_learns_that_its_caller_no_longer_waits() {
        let (begin, has_begun) = oneshot::channel();
        let (end, has_ended) = oneshot::channel();
        let call = tokio::spawn(run_in_background(Request::new(()), move |(), work| {
            begin.send(()).unwrap();
            while work.check().is_ok() {
                std::thread::yield_now();
            }
            end.send(()).unwrap();
            Ok(GetInfoResponse::default())
        }));
        has_begun.await.unwrap();
        call.abort();
        let ended = tokio::time::timeout(Duration::from_secs(20), has_ended).await;
        ended.expect("the work wasn't abandoned").unwrap();
    }

    #[tokio::test]
    async fn work_continues_while_its_caller_waits() {
        let answer = run_in_background(Request::new(()), |(), work| {
            work.check()?;
            Ok(GetInfoResponse::default())
        });
        answer.await.unwrap();
        Work::unbounded().check().unwrap();
    }

    #[test]
    fn only_work_outside_a_server_is_unbounded() {
        assert!(Work::unbounded().is_unbounded());
        assert!(!Work::new(None).is_unbounded());
    }
}
