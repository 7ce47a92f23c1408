//! Carries out one action. Both kinds of action can be repeated without harm (design: "acting twice is harmless").

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
    pods::pod::{self, Recipe},
};

/// The shortest and the longest wait between attempts while the server is busy or gives no clear answer.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// An answer that is still unclear after this long counts as a refusal. The planner may ask for the action again.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many names are tried when other pods have taken them.
const MAX_NAMES: u32 = 16;

/// The result of an action.
#[derive(Debug)]
pub enum Came {
    /// The pod exists.
    Created(Box<Pod>),
    /// The pod is being deleted.
    Deleting,
    /// The pod is gone.
    Gone,
    /// The server refused.
    Refused(ApiError),
    /// The action was cancelled before the server gave a clear answer.
    GivenUp,
}

/// The result of an action, and whether the server made it wait.
#[derive(Debug)]
pub struct Carried {
    /// The result.
    pub came: Came,
    /// Whether the server had to be asked more than once.
    pub with_pressure: bool,
}

/// Repeats a call until the answer is clear, `stop` is cancelled, or `PATIENCE` runs out. Without that bound, a call
/// that one bad webhook can't answer would hold up everything behind it.
async fn insist<T, F: Future<Output = Result<T, ApiError>>>(
    stop: &CancellationToken,
    with_pressure: &mut bool,
    mut call: impl FnMut() -> F,
) -> Option<Result<T, ApiError>> {
    let mut backoff = Backoff::between(FIRST_WAIT, LONGEST_WAIT);
    let begun = Instant::now();
    loop {
        let answer = call().await;
        let retry_after = match &answer {
            Err(error) if error.is_passing() => error.retry_after(),
            Ok(_) | Err(_) => return Some(answer),
        };
        if begun.elapsed() >= PATIENCE {
            return Some(answer);
        }
        *with_pressure = true;
        let wait = backoff.next_wait().max(retry_after.unwrap_or_default());
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Creates a pod. If exactly the wanted pod has taken the name, the pod exists already. If another pod has taken it,
/// the next name of the sequence is tried.
pub async fn create(
    api: Api,
    daemon_set: Arc<DaemonSet>,
    recipe: Arc<Recipe>,
    action: CreatePod,
    stop: CancellationToken,
) -> Carried {
    let mut with_pressure = false;
    let came = try_names(&api, &daemon_set, &recipe, &action, &stop, &mut with_pressure).await;
    Carried { came, with_pressure }
}

async fn try_names(
    api: &Api,
    daemon_set: &DaemonSet,
    recipe: &Recipe,
    action: &CreatePod,
    stop: &CancellationToken,
    with_pressure: &mut bool,
) -> Came {
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
        let body = recipe.pod(&name, &action.node);
        let refusal = match insist(stop, with_pressure, || api.create_pod(namespace, body.clone())).await {
            None => return Came::GivenUp,
            Some(Ok(pod)) => return Came::Created(Box::new(pod)),
            Some(Err(error)) if error.is_already_exists() => error,
            Some(Err(error)) => return Came::Refused(error),
        };
        match insist(stop, with_pressure, || api.get_pod(namespace, &name)).await {
            None => return Came::GivenUp,
            Some(Ok(pod)) if is_wanted(&pod, daemon_set, action) => return Came::Created(Box::new(pod)),
            Some(Ok(_)) => taken = Some(refusal),
            // The pod has just gone, so its successor gets the next name.
            Some(Err(error)) if error.is_not_found() => taken = Some(refusal),
            Some(Err(error)) => return Came::Refused(error),
        }
    }
    taken.map_or(Came::GivenUp, Came::Refused)
}

fn is_wanted(pod: &Pod, daemon_set: &DaemonSet, action: &CreatePod) -> bool {
    let owned = pod.metadata.controlling_daemon_set() == Some(daemon_set.metadata.identity());
    let revision = pod
        .metadata
        .labels
        .get(REVISION_LABEL)
        .is_some_and(|label| *label == action.revision);
    owned && revision && pod.target_node() == Some(&action.node)
}

/// Deletes a pod if it still has the uid.
pub async fn delete(api: Api, namespace: String, action: DeletePod, stop: CancellationToken) -> Carried {
    let mut with_pressure = false;
    let call = || api.delete_pod(&namespace, &action.pod, &action.uid);
    let came = match insist(&stop, &mut with_pressure, call).await {
        None => Came::GivenUp,
        Some(Ok(())) => Came::Deleting,
        // If another pod has the name, the intended one is gone.
        Some(Err(error)) if error.is_not_found() || error.is_conflict() => Came::Gone,
        Some(Err(error)) => Came::Refused(error),
    };
    Carried { came, with_pressure }
}

#[cfg(test)]
mod tests;
