//! Work that takes a while.

use prost::Message;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

use super::{Leave, refusal};

/// Answers a request by work that takes a while, where it doesn't hold up streams: on a thread for it, at most as much of
/// such work at the same time as there are processors.
///
/// The call counts until the work has ended, even when its caller has gone or its deadline has passed; what hasn't begun
/// by then never begins.
///
/// # Errors
/// Those of the work; `RESOURCE_EXHAUSTED` when the answer is larger than a message may be, `INTERNAL` when the work panics.
pub async fn in_background<Q, A>(
    mut request: Request<Q>,
    work: impl FnOnce(Q) -> Result<A, Status> + Send + 'static,
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
    let work = tokio::task::spawn_blocking(move || {
        let answer = work(request);
        // The memory of the request goes back with the request; the place is kept until the answer has gone out.
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
    // No other work begins before there is room for this answer, or answers would heap up that nobody counts.
    drop(processor);
    Ok(Response::new(answer))
}
