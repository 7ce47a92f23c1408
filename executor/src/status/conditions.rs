//! The conditions of a `DaemonSet`'s status. `Available` and `Progressing` come from the planner, which derives them
//! from the counters. `Degraded` says whether a problem keeps the `DaemonSet` from its desired state.
//!
//! A changed status or reason causes a write. A changed message alone waits for the next write: the server's message
//! may name a different pod at each attempt, which must not cause a write each time.

use everynode_proto::{
    facts::object,
    planner::v1::{DaemonSetCondition, Problem, ProblemCode},
};
use serde_json::{Value, json};

/// The condition types that this program writes and removes.
const OURS: [&str; 4] = ["Available", "Progressing", "Degraded", ROLLOUT_HELD];

/// The condition that a rollout which hasn't been completed leaves on its `DaemonSet`. It outlives the kinds of rollout
/// policies (T14).
pub(crate) const ROLLOUT_HELD: &str = "RolloutHeld";

/// A problem that keeps a `DaemonSet` from its desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// The condition's reason: one word in CamelCase.
    pub(crate) reason: &'static str,
    /// The condition's message.
    pub(crate) message: String,
}

/// Returns the `Degraded` condition, which is true if there is an obstacle.
pub(crate) fn degraded(obstacle: Option<Obstacle>) -> DaemonSetCondition {
    let status = obstacle.is_some();
    let obstacle = obstacle.unwrap_or_else(|| Obstacle {
        reason: "AsExpected",
        message: "no problem found".to_owned(),
    });
    DaemonSetCondition {
        r#type: "Degraded".to_owned(),
        status,
        reason: obstacle.reason.to_owned(),
        message: obstacle.message,
    }
}

/// Returns the condition `RolloutHeld`, or `None` if no rollout is under way. While that isn't known, the written condition
/// stays.
pub(crate) fn rollout_held(
    is_held: Option<bool>,
    written: &object::DaemonSetStatus,
) -> Option<DaemonSetCondition> {
    let is_held = is_held.unwrap_or_else(|| is_rollout_held(written));
    is_held.then(|| DaemonSetCondition {
        r#type: ROLLOUT_HELD.to_owned(),
        status: true,
        reason: "RolloutUnderWay".to_owned(),
        message: "a rollout under a policy has begun and isn't completed".to_owned(),
    })
}

/// Whether the written status says that a rollout is under way.
pub(crate) fn is_rollout_held(written: &object::DaemonSetStatus) -> bool {
    find(written, ROLLOUT_HELD).is_some_and(|condition| condition.status == status_text(true))
}

/// Returns the written conditions that follow from the counters: `Available` and `Progressing`.
pub(crate) fn from_counters(written: &object::DaemonSetStatus) -> Vec<DaemonSetCondition> {
    let ours = ["Available", "Progressing"].into_iter();
    let kept = ours.filter_map(|kind| find(written, kind));
    kept.map(|condition| DaemonSetCondition {
        r#type: condition.r#type.clone(),
        status: condition.status == status_text(true),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    })
    .collect()
}

/// Whether the written status reports an obstacle.
pub(crate) fn is_degraded(written: &object::DaemonSetStatus) -> bool {
    find(written, "Degraded").is_some_and(|condition| condition.status == status_text(true))
}

/// Whether the written conditions differ from the wanted ones by more than a message.
pub(crate) fn differ(wanted: &[DaemonSetCondition], written: &object::DaemonSetStatus) -> bool {
    OURS.iter().any(|kind| {
        let wanted = wanted.iter().find(|condition| condition.r#type == *kind);
        let wanted = wanted.map(|condition| (status_text(condition.status), condition.reason.as_str()));
        let written = find(written, kind);
        wanted != written.map(|condition| (condition.status.as_str(), condition.reason.as_str()))
    })
}

/// Returns the conditions as a strategic merge patch, which keeps conditions of other types. A condition whose status
/// changes gets the transition time `now`, in RFC 3339.
pub(crate) fn patch(
    wanted: &[DaemonSetCondition],
    written: &object::DaemonSetStatus,
    now: &str,
) -> Vec<Value> {
    let set = wanted.iter().map(|condition| {
        let status = status_text(condition.status);
        let mut set = json!({
            "type": condition.r#type,
            "status": status,
            "reason": condition.reason,
            "message": condition.message,
        });
        let turns = find(written, &condition.r#type).is_none_or(|before| before.status != status);
        if let Some(fields) = set.as_object_mut().filter(|_| turns) {
            fields.insert("lastTransitionTime".to_owned(), now.into());
        }
        set
    });
    let is_wanted = |kind: &str| wanted.iter().any(|condition| condition.r#type == kind);
    let removed = OURS
        .iter()
        .filter(|kind| !is_wanted(kind) && find(written, kind).is_some())
        .map(|kind| json!({"$patch": "delete", "type": kind}));
    set.chain(removed).collect()
}

fn find<'s>(written: &'s object::DaemonSetStatus, kind: &str) -> Option<&'s object::DaemonSetCondition> {
    written
        .conditions
        .iter()
        .find(|condition| condition.r#type == kind)
}

/// The reason with which events and conditions report a problem.
pub(crate) fn problem_reason(problem: &Problem) -> &'static str {
    match problem.code() {
        ProblemCode::SelectsEverything => "SelectingAll",
        ProblemCode::MalformedTerm => "MalformedNodeAffinity",
        ProblemCode::Malformed => "MalformedField",
        ProblemCode::Invalid => "InvalidField",
        ProblemCode::UnknownRevision | ProblemCode::UnknownOverhead | ProblemCode::Unspecified => {
            "PlannerProblem"
        }
    }
}

/// A condition's status, as Kubernetes spells it.
fn status_text(status: bool) -> &'static str {
    if status { "True" } else { "False" }
}

#[cfg(test)]
mod tests;
