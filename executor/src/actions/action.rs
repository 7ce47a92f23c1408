//! Carries out one action. Both kinds of action can be repeated without harm (ARCHITECTURE.md: "Acting twice is
//! harmless").

use std::{sync::Arc, time::Duration};

use everynode_proto::{
    facts::{Pod, REVISION_LABEL},
    planner::v1::{CreatePod, DeletePod},
};
use everynode_serving::backoff::Backoff;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    apiserver::{api::Api, failure::ApiError, objects::DaemonSet},
    pods::pod::{self, PodBuilder},
};

/// The shortest and the longest wait between attempts while the server is busy or gives no clear answer.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// An answer that is still unclear after this long counts as a refusal. The planner may request the action again.
const RETRY_DEADLINE: Duration = Duration::from_secs(15);
/// Maximum number of names to try when other pods have taken them.
const MAX_NAMES: u32 = 16;

#[derive(Debug)]
pub(crate) enum ActionResult {
    /// The pod exists.
    Created(Box<Pod>),
    /// The pod is being deleted.
    Deleting,
    /// The pod is gone.
    Gone,
    /// The server refused.
    Refused(ApiError),
    /// The action was cancelled before the server gave a clear answer.
    Cancelled,
}

/// The result of an action, and whether calls had to be retried.
#[derive(Debug)]
pub(crate) struct ActionReport {
    pub(crate) result: ActionResult,
    /// Whether a call had to be retried because the server was busy or gave no clear answer.
    pub(crate) was_retried: bool,
}

/// Repeats a call until the answer is clear, `stop` is cancelled, or `RETRY_DEADLINE` passes. Without that deadline,
/// one broken webhook would block all actions behind the call.
async fn retry<T, F: Future<Output = Result<T, ApiError>>>(
    stop: &CancellationToken,
    was_retried: &mut bool,
    mut call: impl FnMut() -> F,
) -> Option<Result<T, ApiError>> {
    let mut backoff = Backoff::between(FIRST_WAIT, LONGEST_WAIT);
    let begun = Instant::now();
    loop {
        let answer = call().await;
        let retry_after = match &answer {
            Err(error) if error.is_transient() => error.retry_after(),
            Ok(_) | Err(_) => return Some(answer),
        };
        if begun.elapsed() >= RETRY_DEADLINE {
            return Some(answer);
        }
        *was_retried = true;
        let wait = backoff.next_wait().max(retry_after.unwrap_or_default());
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Creates a pod. If the wanted pod itself already has the name, the action has succeeded. If another pod has it, tries
/// the next name of the sequence.
pub(crate) async fn create(
    api: Api,
    daemon_set: Arc<DaemonSet>,
    builder: Arc<PodBuilder>,
    action: CreatePod,
    stop: CancellationToken,
) -> ActionReport {
    let mut was_retried = false;
    let result = try_names(&api, &daemon_set, &builder, &action, &stop, &mut was_retried).await;
    ActionReport { result, was_retried }
}

async fn try_names(
    api: &Api,
    daemon_set: &DaemonSet,
    builder: &PodBuilder,
    action: &CreatePod,
    stop: &CancellationToken,
    was_retried: &mut bool,
) -> ActionResult {
    let namespace = &daemon_set.metadata.namespace;
    let mut taken = None;
    for attempt in 0..MAX_NAMES {
        let name = pod::name(
            daemon_set,
            &action.node,
            &action.revision,
            &action.succeeds_uid,
            attempt,
        );
        let body = builder.build(&name, &action.node);
        let refusal = match retry(stop, was_retried, || api.create_pod(namespace, body.clone())).await {
            None => return ActionResult::Cancelled,
            Some(Ok(pod)) => return ActionResult::Created(Box::new(pod)),
            Some(Err(error)) if error.is_already_exists() => error,
            Some(Err(error)) => return ActionResult::Refused(error),
        };
        match retry(stop, was_retried, || api.get_pod(namespace, &name)).await {
            None => return ActionResult::Cancelled,
            Some(Ok(pod)) if is_wanted_pod(&pod, daemon_set, action) => {
                return ActionResult::Created(Box::new(pod));
            }
            Some(Ok(_)) => taken = Some(refusal),
            // The pod that had the name has just been deleted, so its successor gets the next name.
            Some(Err(error)) if error.is_not_found() => taken = Some(refusal),
            Some(Err(error)) => return ActionResult::Refused(error),
        }
    }
    taken.map_or(ActionResult::Cancelled, ActionResult::Refused)
}

fn is_wanted_pod(pod: &Pod, daemon_set: &DaemonSet, action: &CreatePod) -> bool {
    let owned = pod.metadata.controlling_daemon_set() == Some(daemon_set.metadata.identity());
    let revision = pod
        .metadata
        .labels
        .get(REVISION_LABEL)
        .is_some_and(|label| *label == action.revision);
    owned && revision && pod.target_node() == Some(&action.node)
}

/// Deletes a pod if it still has the action's uid.
pub(crate) async fn delete(
    api: Api,
    namespace: String,
    action: DeletePod,
    stop: CancellationToken,
) -> ActionReport {
    let mut was_retried = false;
    let call = || api.delete_pod(&namespace, &action.pod, &action.uid);
    let result = match retry(&stop, &mut was_retried, call).await {
        None => ActionResult::Cancelled,
        Some(Ok(())) => ActionResult::Deleting,
        // If another pod has the name, the intended one is gone.
        Some(Err(error)) if error.is_not_found() || error.is_conflict() => ActionResult::Gone,
        Some(Err(error)) => ActionResult::Refused(error),
    };
    ActionReport { result, was_retried }
}

#[cfg(test)]
mod tests;
