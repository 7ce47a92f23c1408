//! Work that takes a while.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use everynode_proto::memory_budget::MemoryBudget;
use prost::Message;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

use super::{Leave, refusal, room::Place};

/// Handle of a call's work. It says whether anybody still waits for the answer, and how much memory the work
/// may take.
///
/// Work that takes longer than a moment must call [`Work::check`] again and again, and stop when nobody
/// waits. Otherwise it would keep the processor busy after the deadline, for a caller who has gone.
#[derive(Debug, Clone)]
pub struct Work(Arc<Terms>);

#[derive(Debug)]
struct Terms {
    is_pointless: AtomicBool,
    reading: MemoryBudget,
    answering: MemoryBudget,
    place: Option<Place>,
}

impl Work {
    /// Work without limits: its answer is always awaited, and it may take any amount of memory.
    pub fn unbounded() -> Self {
        Self::at(None)
    }

    /// The work of a call that holds a permit.
    fn at(place: Option<Place>) -> Self {
        let of_place = place.as_ref();
        Self(Arc::new(Terms {
            is_pointless: AtomicBool::new(false),
            reading: of_place.map_or_else(MemoryBudget::unlimited, Place::reading),
            answering: of_place.map_or_else(MemoryBudget::unlimited, Place::answering),
            place,
        }))
    }

    /// The memory for what is read from the request's objects.
    pub fn reading(&self) -> &MemoryBudget {
        &self.0.reading
    }

    /// Takes memory for a part of the answer.
    ///
    /// # Errors
    /// As [`Work::check`].
    pub fn answers(&self, bytes: usize) -> Result<(), Status> {
        self.0.answering.take(bytes);
        self.check()
    }

    /// Checks whether the work should go on. It is cheap enough to call for each object.
    ///
    /// # Errors
    /// `CANCELLED` when the caller has gone or the call's deadline has passed; nobody receives this status.
    /// `RESOURCE_EXHAUSTED` when there was no memory for what has been read or answered so far.
    pub fn check(&self) -> Result<(), Status> {
        let terms = &self.0;
        if terms.is_pointless.load(Ordering::Relaxed) {
            return Err(Status::cancelled("nobody waits for the answer any more"));
        }
        // Without a permit there is no limit, so the memory is never exhausted.
        if let Some(place) = &terms.place {
            if terms.reading.is_exhausted() {
                return Err(place.no_memory_to_read());
            }
            if terms.answering.is_exhausted() {
                return Err(place.no_memory_to_answer());
            }
        }
        Ok(())
    }

    /// Makes the work pointless when the returned value is dropped.
    fn awaited(&self) -> Awaited {
        Awaited(self.clone())
    }
}

/// The caller's wait for the answer. Dropping it makes the work pointless.
struct Awaited(Work);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.0.is_pointless.store(true, Ordering::Relaxed);
    }
}

/// Answers a request by work that takes a while, without holding up streams. The work runs on a blocking
/// thread, and at most as much of it runs at the same time as there are processors.
///
/// The call counts against its limit until the work has ended, even if its caller has gone or its deadline
/// has passed. Work that hasn't begun by then never begins. Work that has begun learns from its [`Work`] that
/// it may stop.
///
/// # Errors
/// Those of the work; `RESOURCE_EXHAUSTED` when the answer is larger than a message may be; `INTERNAL` when
/// the work panics.
pub async fn in_background<Q, A>(
    mut request: Request<Q>,
    work: impl FnOnce(Q, &Work) -> Result<A, Status> + Send + 'static,
) -> Result<Response<A>, Status>
where
    Q: Send + 'static,
    A: Message + 'static,
{
    let leave = Leave::of(&mut request);
    let processor = match &leave {
        Some(leave) => leave.processor().await,
        None => None,
    };
    let request = request.into_inner();
    let handle = Work::at(leave.as_ref().map(Leave::place));
    // This is dropped with the future, when the caller has gone or the deadline has passed.
    let _awaited = handle.awaited();
    let work = tokio::task::spawn_blocking(move || {
        let answer = work(request, &handle);
        // The request's memory is returned together with the request. The permit is kept until the answer has
        // been sent.
        (answer, leave.map(Leave::into_place), processor)
    });
    let (answer, place, processor) = AbortOnDropHandle::new(work)
        .await
        .map_err(|error| Status::internal(format!("the server failed: {error}")))?;
    let answer = answer?;
    if let Some(place) = place {
        let (bytes, limit) = (answer.encoded_len(), place.limits().max_message_bytes);
        if bytes > limit {
            return Err(refusal::answer_too_large(limit));
        }
        place.hold_answer(bytes).await?;
    }
    // Other work may begin only once there is room for this answer. Otherwise answers that count against no
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
    async fn work_learns_that_nobody_waits_for_it_any_more() {
        let (begin, has_begun) = oneshot::channel();
        let (end, has_ended) = oneshot::channel();
        let call = tokio::spawn(in_background(Request::new(()), move |(), work| {
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
        ended.expect("the work doesn't hear of it").unwrap();
    }

    #[tokio::test]
    async fn work_that_is_waited_for_goes_on() {
        let answer = in_background(Request::new(()), |(), work| {
            work.check()?;
            Ok(GetInfoResponse::default())
        });
        answer.await.unwrap();
        Work::unbounded().check().unwrap();
    }
}
