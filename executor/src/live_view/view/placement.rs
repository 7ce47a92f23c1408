//! Describes a `DaemonSet` on one node: the planner's verdict, the pods there, and why they don't match the verdict
//! yet.

use everynode_proto::{
    executor::v1::{Placement, Wait, WaitCode},
    planner::v1::{NodeVerdict, PodFacts, PodPhase, Verdict},
};

use super::{
    Context, Refusal, RequestedActions, Snapshot, phrases, pod,
    waits::{blocker, of_pods, wait},
};

/// Combines a verdict with the pods that run on the node or are assigned to it.
pub(crate) fn of(
    verdict: NodeVerdict,
    pods: &[&PodFacts],
    snapshot: &Snapshot,
    context: &Context,
) -> Placement {
    let is_there = |pod: &PodFacts| !matches!(pod.phase(), PodPhase::Failed | PodPhase::Succeeded);
    let stays = |pod: &&&PodFacts| !pod.deleting && is_there(pod);
    let waits = match verdict.verdict() {
        Verdict::Run if pods.iter().any(|pod| stays(&pod)) => of_pods(pods, snapshot, context),
        Verdict::Run => {
            let mut waits = of_pods(pods, snapshot, context);
            let requested = (WaitCode::Creation, &snapshot.creations);
            if let Some(cause) = cause("there is no pod", requested, !waits.is_empty(), snapshot, context) {
                waits.insert(0, cause);
            }
            waits
        }
        Verdict::Exclude if pods.iter().any(|pod| !pod.deleting) => {
            let requested = (WaitCode::Deletion, &snapshot.deletions);
            let mismatch = match pods {
                [_] => "the pod is still there",
                _ => "pods are still there",
            };
            cause(mismatch, requested, false, snapshot, context)
                .into_iter()
                .collect()
        }
        Verdict::Exclude => of_pods(pods, snapshot, context),
        // Any pod there may stay.
        Verdict::Keep | Verdict::Unspecified => Vec::new(),
    };
    Placement {
        verdict: Some(verdict),
        pods: pods.iter().map(|facts| pod(facts, snapshot)).collect(),
        waits,
    }
}

/// Explains why the node doesn't match the verdict yet. If waits of the node's pods already explain the mismatch
/// (`is_explained`), returns only a blocker of the `DaemonSet` or a refusal, if there is one.
fn cause(
    mismatch: &str,
    (code, actions): (WaitCode, &RequestedActions),
    is_explained: bool,
    snapshot: &Snapshot,
    context: &Context,
) -> Option<Wait> {
    if let Some(blocker) = blocker(snapshot, context) {
        let message = format!("{mismatch}: {}", blocker.message);
        return Some(wait(blocker.code(), message, 1));
    }
    if let Some(Refusal { message, retry_after }) = &actions.refusal {
        let message = format!(
            "{mismatch}, because {message}; {}",
            phrases::RetryIn(*retry_after)
        );
        return Some(wait(WaitCode::Refused, message, 1));
    }
    if is_explained {
        return None;
    }
    let leadership = &context.leadership;
    let message = if !leadership.is_us {
        format!(
            "{mismatch}; only the leader, {}, knows the actions in progress",
            leadership.leader
        )
    } else if actions.is_empty() {
        format!("{mismatch}, and the planner has not requested an action yet")
    } else {
        let doing = match code {
            WaitCode::Deletion => "deleted",
            _ => "created",
        };
        let pods = phrases::pods(actions.in_progress, "is", "are");
        format!(
            "{mismatch}; for this DaemonSet, {pods} being {doing}, {} queued",
            actions.queued
        )
    };
    Some(wait(code, message, 1))
}
