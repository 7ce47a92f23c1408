//! Explains why a `DaemonSet` isn't in its desired state yet.
//!
//! The most important waits come first: what blocks all progress (no planner, upkeep, refusals by the API server), then
//! stuck pods, then work in progress.

use everynode_proto::{
    executor::v1::{Wait, WaitCode},
    planner::v1::{PodFacts, PodPhase},
};

use super::{Context, Refusal, RequestedActions, Snapshot, Upkeep, is_on_delete, phase, phrases, status};

/// Creates a wait.
pub(super) fn wait(code: WaitCode, message: String, nodes: u32) -> Wait {
    Wait {
        code: code.into(),
        message,
        nodes,
    }
}

/// Returns the waits of a `DaemonSet`, most important first.
pub(crate) fn of_daemon_set(snapshot: &Snapshot, context: &Context) -> Vec<Wait> {
    let pods: Vec<_> = snapshot.pods.iter().collect();
    let mut waits: Vec<_> = blocker(snapshot, context).into_iter().collect();
    for (actions, what) in [(&snapshot.creations, "created"), (&snapshot.deletions, "deleted")] {
        waits.extend(
            actions
                .refusal
                .as_ref()
                .map(|refusal| refused(actions, refusal, what)),
        );
    }
    waits.extend(stuck(&pods, snapshot));
    // The template has a revision, so failing upkeep blocks nothing else. An example is an adoption that the API server
    // refuses.
    waits.extend(upkeep(snapshot).filter(|_| snapshot.revision.is_some()));
    waits.extend(creation(&snapshot.creations));
    waits.extend(deletion(&snapshot.deletions, &pods));
    waits.extend(availability(&pods, snapshot, context).or_else(|| counted_availability(snapshot)));
    waits.extend(user_deletion(&pods, snapshot));
    waits
}

/// Returns the waits of some of the `DaemonSet`'s pods.
pub(super) fn of_pods(pods: &[&PodFacts], snapshot: &Snapshot, context: &Context) -> Vec<Wait> {
    let mut waits = stuck(pods, snapshot);
    waits.extend(terminating(pods));
    waits.extend(availability(pods, snapshot, context));
    waits
}

/// Returns what blocks every action for the `DaemonSet`, if anything does.
pub(super) fn blocker(snapshot: &Snapshot, context: &Context) -> Option<Wait> {
    let planner = |message: &str| Some(wait(WaitCode::Planner, message.to_owned(), 0));
    if !context.leadership.is_us {
        // Only the leader knows the actions in progress.
        return match context.leadership.leader.as_str() {
            "" => planner("no executor leads, so nothing is created or deleted"),
            _ => None,
        };
    }
    match &context.planner {
        None => planner("there is no planner, so nothing is created or deleted"),
        Some(info) if !info.is_synced => {
            planner("the planner is not synced yet, so nothing is created or deleted")
        }
        // A template is sent to the planner only once it has a revision.
        Some(_) => upkeep(snapshot).filter(|_| snapshot.revision.is_none()),
    }
}

fn upkeep(snapshot: &Snapshot) -> Option<Wait> {
    let message = match &snapshot.upkeep {
        Upkeep::Done => return None,
        Upkeep::InProgress => {
            "the revision history and the ownership of pods are being reconciled".to_owned()
        }
        Upkeep::Failing(error) => phrases::upkeep_fails(error),
    };
    Some(wait(WaitCode::Upkeep, message, 0))
}

fn refused(actions: &RequestedActions, refusal: &Refusal, what: &str) -> Wait {
    let Refusal { message, retry_after } = refusal;
    let message = format!(
        "{}; {}",
        phrases::refused(what, message),
        phrases::RetryIn(*retry_after)
    );
    wait(WaitCode::Refused, message, phrases::count(actions.len()))
}

fn creation(actions: &RequestedActions) -> Option<Wait> {
    if actions.refusal.is_some() || actions.is_empty() {
        return None;
    }
    let mut message = phrases::pods(actions.in_progress, "is being created", "are being created");
    if actions.queued > 0 {
        message = format!("{message}, {} queued", actions.queued);
    }
    Some(wait(WaitCode::Creation, message, phrases::count(actions.len())))
}

/// Combines terminating pods and requested deletions into one wait.
fn deletion(actions: &RequestedActions, pods: &[&PodFacts]) -> Option<Wait> {
    let terminating = terminating(pods);
    if actions.refusal.is_some() || actions.is_empty() {
        return terminating;
    }
    let mut message = phrases::pods(actions.len(), "is to be deleted", "are to be deleted");
    let mut nodes = phrases::count(actions.len());
    if let Some(terminating) = terminating {
        message = format!("{message}, {}", terminating.message);
        nodes = nodes.saturating_add(terminating.nodes);
    }
    Some(wait(WaitCode::Deletion, message, nodes))
}

fn terminating(pods: &[&PodFacts]) -> Option<Wait> {
    let terminating = filtered(pods, |pod| pod.deleting);
    pods_wait(
        WaitCode::Deletion,
        &terminating,
        ("is terminating", "are terminating"),
        phrases::on_node,
    )
}

/// Pods that aren't ready, for any reason.
fn stuck(pods: &[&PodFacts], snapshot: &Snapshot) -> Vec<Wait> {
    let remaining = filtered(pods, |pod| !pod.deleting);
    let has_failed = |pod: &PodFacts| pod.phase() == PodPhase::Failed;
    let failed = filtered(&remaining, has_failed);
    let unbound = filtered(&remaining, |pod| !has_failed(pod) && !pod.bound);
    let unready = filtered(&remaining, |pod| {
        !has_failed(pod) && pod.bound && pod.ready_since.is_none()
    });
    let reason = |pod: &PodFacts| snapshot.pod_reasons.get(&pod.uid);
    let with_reason = |shown: String, pod: &PodFacts| match reason(pod) {
        Some(reason) => format!("{shown} ({reason})"),
        None => shown,
    };
    let describe_unbound = |pod: &PodFacts| {
        let shown = match pod.node.as_str() {
            "" => pod.name.clone(),
            node => format!("{} for {node}", pod.name),
        };
        with_reason(shown, pod)
    };
    let describe_unready = |pod: &PodFacts| {
        let (shown, phase) = (phrases::on_node(pod), phase(pod));
        match reason(pod) {
            Some(reason) => format!("{shown} ({phase}, {reason})"),
            None => format!("{shown} ({phase})"),
        }
    };
    let describe_failed = |pod: &PodFacts| with_reason(phrases::on_node(pod), pod);
    let failed_text = (
        "has failed and is replaced after its back-off",
        "have failed and are replaced after their back-off",
    );
    let unbound_text = ("isn't bound to its node yet", "aren't bound to their nodes yet");
    [
        pods_wait(WaitCode::Scheduling, &unbound, unbound_text, describe_unbound),
        pods_wait(
            WaitCode::Readiness,
            &unready,
            ("isn't ready", "aren't ready"),
            describe_unready,
        ),
        pods_wait(WaitCode::FailedPods, &failed, failed_text, describe_failed),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Pods that wait for minReadySeconds, according to the planner.
fn availability(pods: &[&PodFacts], snapshot: &Snapshot, context: &Context) -> Option<Wait> {
    let available_at = snapshot.available_at.as_ref()?;
    let is_waiting = |pod: &PodFacts| {
        let at = available_at.get(pod.uid.as_str());
        !pod.deleting && at.is_some_and(|at| at.seconds > context.now)
    };
    let waiting = filtered(pods, is_waiting);
    let seconds = snapshot.object.spec.min_ready_seconds;
    let one = format!("has been ready for less than {seconds} s");
    let many = format!("have been ready for less than {seconds} s");
    pods_wait(WaitCode::Availability, &waiting, (&one, &many), phrases::on_node)
}

/// Pods that are ready but not available, according to the counters. Planners of earlier releases don't report which
/// pods these are.
fn counted_availability(snapshot: &Snapshot) -> Option<Wait> {
    if snapshot.available_at.is_some() {
        return None;
    }
    let status = status(snapshot);
    let count = status.number_ready.saturating_sub(status.number_available);
    let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
    let message = phrases::pods(
        count,
        "is ready, but not available yet",
        "are ready, but not available yet",
    );
    Some(wait(WaitCode::Availability, message, phrases::count(count)))
}

/// Pods of an old template that a user has to delete. The counters determine whether there are any, and the labels
/// determine which.
fn user_deletion(pods: &[&PodFacts], snapshot: &Snapshot) -> Option<Wait> {
    let status = status(snapshot);
    let revision = snapshot
        .revision
        .as_deref()
        .filter(|revision| !revision.is_empty())?;
    if !is_on_delete(&snapshot.object) || status.updated_number_scheduled >= status.current_number_scheduled {
        return None;
    }
    let old = filtered(pods, |pod| !pod.deleting && pod.revision != revision);
    let text = (
        "of an old template stays until somebody deletes it (strategy OnDelete)",
        "of an old template stay until somebody deletes them (strategy OnDelete)",
    );
    pods_wait(WaitCode::UserDeletion, &old, text, phrases::on_node)
}

fn filtered<'p>(pods: &[&'p PodFacts], matches: impl Fn(&PodFacts) -> bool) -> Vec<&'p PodFacts> {
    pods.iter().copied().filter(|pod| matches(pod)).collect()
}

/// Creates a wait for these pods, if there are any.
fn pods_wait(
    code: WaitCode,
    pods: &[&PodFacts],
    (one, many): (&str, &str),
    describe: impl Fn(&PodFacts) -> String,
) -> Option<Wait> {
    if pods.is_empty() {
        return None;
    }
    let message = format!(
        "{}: {}",
        phrases::pods(pods.len(), one, many),
        phrases::list(pods, describe)
    );
    Some(wait(code, message, phrases::node_count(pods)))
}
