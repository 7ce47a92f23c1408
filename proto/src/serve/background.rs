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
        let limit = leave.as_ref().map(|leave| leave.limits().max_message_bytes);
        // Only now, with the request and all that was made of it gone, may the next have its place.
        drop((processor, leave));
        let answer = answer?;
        match limit {
            Some(limit) if answer.encoded_len() > limit => Err(refusal::answer_too_large(limit)),
            _ => Ok(Response::new(answer)),
        }
    });
    AbortOnDropHandle::new(work)
        .await
        .map_err(|error| Status::internal(format!("the server failed: {error}")))?
}
