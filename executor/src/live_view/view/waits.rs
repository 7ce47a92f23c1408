//! Explains why a `DaemonSet` isn't in its desired state yet.
//!
//! The order is: first anything that blocks all progress (no planner, upkeep, refusals by the API server), then pods
//! that are stuck, then work that only takes its time.

use everynode_proto::{
    executor::v1::{Wait, WaitCode},
    planner::v1::{PodFacts, PodPhase},
};

use super::{Circumstances, Lane, Refusal, Sketch, Upkeep, is_on_delete, phase, status, words};

/// Creates a wait.
pub(super) fn wait(code: WaitCode, message: String, nodes: u32) -> Wait {
    Wait {
        code: code.into(),
        message,
        nodes,
    }
}

/// Returns the waits of a `DaemonSet`, most important first.
pub fn of_daemon_set(sketch: &Sketch, circumstances: &Circumstances) -> Vec<Wait> {
    let pods: Vec<_> = sketch.pods.iter().collect();
    let mut waits: Vec<_> = standstill(sketch, circumstances).into_iter().collect();
    for (lane, what) in [(&sketch.creations, "created"), (&sketch.deletions, "deleted")] {
        waits.extend(lane.refusal.as_ref().map(|refusal| refused(lane, refusal, what)));
    }
    waits.extend(stuck(&pods));
    // The server refuses to let it adopt or release something. Everything else continues.
    waits.extend(upkeep(sketch).filter(|_| sketch.revision.is_some()));
    waits.extend(creation(&sketch.creations));
    waits.extend(deletion(&sketch.deletions, &pods));
    waits.extend(availability(&pods, sketch, circumstances).or_else(|| unnamed_availability(sketch)));
    waits.extend(user_deletion(&pods, sketch));
    waits
}

/// Returns the waits of some of the `DaemonSet`'s pods.
pub(super) fn of_pods(pods: &[&PodFacts], sketch: &Sketch, circumstances: &Circumstances) -> Vec<Wait> {
    let mut waits = stuck(pods);
    waits.extend(terminating(pods));
    waits.extend(availability(pods, sketch, circumstances));
    waits
}

/// Returns the reason if nothing at all is done for the `DaemonSet`.
pub(super) fn standstill(sketch: &Sketch, circumstances: &Circumstances) -> Option<Wait> {
    let planner = |message: &str| Some(wait(WaitCode::Planner, message.to_owned(), 0));
    if !circumstances.leadership.is_us {
        // Only the leader knows the actions in progress.
        return match circumstances.leadership.leader.as_str() {
            "" => planner("no executor leads, so nothing is created or deleted"),
            _ => None,
        };
    }
    match &circumstances.planner {
        None => planner("there is no planner, so nothing is created or deleted"),
        Some(info) if !info.is_synced => {
            planner("the planner has not been told everything yet, so nothing is created or deleted")
        }
        // The planner hears of a template only once it has a revision.
        Some(_) => upkeep(sketch).filter(|_| sketch.revision.is_none()),
    }
}

fn upkeep(sketch: &Sketch) -> Option<Wait> {
    let message = match &sketch.upkeep {
        Upkeep::Done => return None,
        Upkeep::InProgress => "its history and the ownership of its pods are being put in order".to_owned(),
        Upkeep::Failing(words) => words::upkeep_fails(words),
    };
    Some(wait(WaitCode::Upkeep, message, 0))
}

fn refused(lane: &Lane, refusal: &Refusal, what: &str) -> Wait {
    let Refusal { words, again } = refusal;
    let message = format!("{}; {}", words::refused(what, words), words::Again(*again));
    wait(WaitCode::Refused, message, words::number(lane.len()))
}

fn creation(lane: &Lane) -> Option<Wait> {
    if lane.refusal.is_some() || lane.is_empty() {
        return None;
    }
    let mut message = words::pods(lane.in_progress, "is being created", "are being created");
    if lane.queued > 0 {
        message = format!("{message}, {} wait for their turn", lane.queued);
    }
    Some(wait(WaitCode::Creation, message, words::number(lane.len())))
}

/// Combines terminating pods and requested deletions into one wait.
fn deletion(lane: &Lane, pods: &[&PodFacts]) -> Option<Wait> {
    let terminating = terminating(pods);
    if lane.refusal.is_some() || lane.is_empty() {
        return terminating;
    }
    let mut message = words::pods(lane.len(), "is to be deleted", "are to be deleted");
    let mut nodes = words::number(lane.len());
    if let Some(terminating) = terminating {
        message = format!("{message}, {}", terminating.message);
        nodes = nodes.saturating_add(terminating.nodes);
    }
    Some(wait(WaitCode::Deletion, message, nodes))
}

fn terminating(pods: &[&PodFacts]) -> Option<Wait> {
    let terminating = filtered(pods, |pod| pod.deleting);
    about(
        WaitCode::Deletion,
        &terminating,
        ("is terminating", "are terminating"),
        words::on_node,
    )
}

/// Pods that aren't ready, for any reason.
fn stuck(pods: &[&PodFacts]) -> Vec<Wait> {
    let there = filtered(pods, |pod| !pod.deleting);
    let has_failed = |pod: &PodFacts| pod.phase() == PodPhase::Failed;
    let failed = filtered(&there, has_failed);
    let unbound = filtered(&there, |pod| !has_failed(pod) && !pod.bound);
    let unready = filtered(&there, |pod| {
        !has_failed(pod) && pod.bound && pod.ready_since.is_none()
    });
    let for_node = |pod: &PodFacts| match pod.node.as_str() {
        "" => pod.name.clone(),
        node => format!("{} for {node}", pod.name),
    };
    let with_phase = |pod: &PodFacts| format!("{} ({})", words::on_node(pod), phase(pod));
    let failed_words = (
        "has failed, and is left alone for a while before it is replaced",
        "have failed, and are left alone for a while before they are replaced",
    );
    let unbound_words = ("isn't bound to its node yet", "aren't bound to their nodes yet");
    [
        about(WaitCode::Scheduling, &unbound, unbound_words, for_node),
        about(
            WaitCode::Readiness,
            &unready,
            ("isn't ready", "aren't ready"),
            with_phase,
        ),
        about(WaitCode::FailedPods, &failed, failed_words, words::on_node),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Pods that wait for minReadySeconds, according to the planner.
fn availability(pods: &[&PodFacts], sketch: &Sketch, circumstances: &Circumstances) -> Option<Wait> {
    let available_at = sketch.available_at.as_ref()?;
    let waits = |pod: &PodFacts| {
        let at = available_at.get(pod.uid.as_str());
        !pod.deleting && at.is_some_and(|at| at.seconds > circumstances.now)
    };
    let young = filtered(pods, waits);
    let seconds = sketch.object.spec.min_ready_seconds;
    let one = format!("is ready, and not yet for {seconds} s");
    let many = format!("are ready, and not yet for {seconds} s");
    about(WaitCode::Availability, &young, (&one, &many), words::on_node)
}

/// Pods that are ready but not available, when nobody has told which ones: planners of earlier releases report only how
/// many there are.
fn unnamed_availability(sketch: &Sketch) -> Option<Wait> {
    if sketch.available_at.is_some() {
        return None;
    }
    let status = status(sketch);
    let count = status.number_ready.saturating_sub(status.number_available);
    let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
    let message = words::pods(
        count,
        "is ready, but not available yet",
        "are ready, but not available yet",
    );
    Some(wait(WaitCode::Availability, message, words::number(count)))
}

/// Pods of an old template that somebody has to delete. The counters tell whether there are any; the labels tell which.
fn user_deletion(pods: &[&PodFacts], sketch: &Sketch) -> Option<Wait> {
    let status = status(sketch);
    let revision = sketch
        .revision
        .as_deref()
        .filter(|revision| !revision.is_empty())?;
    if !is_on_delete(&sketch.object) || status.updated_number_scheduled >= status.current_number_scheduled {
        return None;
    }
    let old = filtered(pods, |pod| !pod.deleting && pod.revision != revision);
    let words = (
        "of an old template stays until somebody deletes it (strategy OnDelete)",
        "of an old template stay until somebody deletes them (strategy OnDelete)",
    );
    about(WaitCode::UserDeletion, &old, words, words::on_node)
}

fn filtered<'p>(pods: &[&'p PodFacts], is_meant: impl Fn(&PodFacts) -> bool) -> Vec<&'p PodFacts> {
    pods.iter().copied().filter(|pod| is_meant(pod)).collect()
}

/// Describes these pods, if there are any.
fn about(
    code: WaitCode,
    pods: &[&PodFacts],
    (one, many): (&str, &str),
    name: impl Fn(&PodFacts) -> String,
) -> Option<Wait> {
    if pods.is_empty() {
        return None;
    }
    let message = format!(
        "{}: {}",
        words::pods(pods.len(), one, many),
        words::named(pods, name)
    );
    Some(wait(code, message, words::nodes(pods)))
}
