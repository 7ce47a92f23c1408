//! Describes a `DaemonSet` on one node: the planner's verdict, the pods there, and why they don't match the verdict
//! yet.

use everynode_proto::{
    executor::v1::{Placement, Wait, WaitCode},
    planner::v1::{NodeVerdict, PodFacts, PodPhase, Verdict},
};

use super::{
    Circumstances, Lane, Refusal, Sketch, pod,
    waits::{of_pods, standstill, wait},
    words,
};

/// Combines a verdict with the pods that run on the node or are assigned to it.
pub fn of(
    verdict: NodeVerdict,
    pods: &[&PodFacts],
    sketch: &Sketch,
    circumstances: &Circumstances,
) -> Placement {
    let is_there = |pod: &PodFacts| !matches!(pod.phase(), PodPhase::Failed | PodPhase::Succeeded);
    let stays = |pod: &&&PodFacts| !pod.deleting && is_there(pod);
    let waits = match verdict.verdict() {
        Verdict::Run if pods.iter().any(|pod| stays(&pod)) => of_pods(pods, sketch, circumstances),
        Verdict::Run => {
            let mut waits = of_pods(pods, sketch, circumstances);
            let lane = (WaitCode::Creation, &sketch.creations);
            if let Some(cause) = cause("there is no pod", lane, !waits.is_empty(), sketch, circumstances) {
                waits.insert(0, cause);
            }
            waits
        }
        Verdict::Exclude if pods.iter().any(|pod| !pod.deleting) => {
            let lane = (WaitCode::Deletion, &sketch.deletions);
            let what = match pods {
                [_] => "the pod is still there",
                _ => "pods are still there",
            };
            cause(what, lane, false, sketch, circumstances)
                .into_iter()
                .collect()
        }
        Verdict::Exclude => of_pods(pods, sketch, circumstances),
        // Any pod there may stay.
        Verdict::Keep | Verdict::Unspecified => Vec::new(),
    };
    Placement {
        verdict: Some(verdict),
        pods: pods.iter().map(|facts| pod(facts)).collect(),
        waits,
    }
}

/// Explains why the verdict hasn't been carried out yet. When the pods already explain it (`is_explained`), this adds
/// only a standstill or a refusal.
fn cause(
    what: &str,
    (code, lane): (WaitCode, &Lane),
    is_explained: bool,
    sketch: &Sketch,
    circumstances: &Circumstances,
) -> Option<Wait> {
    if let Some(standstill) = standstill(sketch, circumstances) {
        let message = format!("{what}: {}", standstill.message);
        return Some(wait(standstill.code(), message, 1));
    }
    if let Some(Refusal { words, again }) = &lane.refusal {
        let message = format!("{what}, because {words}; {}", words::Again(*again));
        return Some(wait(WaitCode::Refused, message, 1));
    }
    if is_explained {
        return None;
    }
    let leadership = &circumstances.leadership;
    let message = if !leadership.is_us {
        format!(
            "{what}; what is being done about it, {} knows, which leads",
            leadership.leader
        )
    } else if lane.is_empty() {
        format!("{what}, and nothing has been asked for yet")
    } else {
        let doing = match code {
            WaitCode::Deletion => "deleted",
            _ => "created",
        };
        let pods = words::pods(lane.in_progress, "is", "are");
        format!(
            "{what}; of this DaemonSet {pods} being {doing}, and {} wait for their turn",
            lane.queued
        )
    };
    Some(wait(code, message, 1))
}
