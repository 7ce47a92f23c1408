//! Plans, verdicts and problems as the wire has them.

use everynode_proto::planner::v1 as wire;

use crate::{
    fleet::RowPlan,
    model::{
        Action, DeleteReason, Millis, Problem, ProblemCode, Reason, ReasonCode, Status, Text, Toleration,
        Verdict,
    },
};

/// A plan of a session.
pub fn plan(plan: RowPlan, id: u64, based_on: u64, now: Millis) -> wire::Plan {
    let RowPlan {
        daemon_set,
        uid,
        actions,
        said,
        added_tolerations,
    } = plan;
    let creates = actions
        .iter()
        .any(|(_, action)| matches!(action, Action::Create { .. }));
    let object = format!("daemonset {daemon_set}");
    wire::Plan {
        id,
        daemon_set_uid: uid.to_string(),
        based_on,
        actions: actions.iter().map(|(id, kind)| action(*id, kind)).collect(),
        status: said.status.map(status),
        problems: said.problems.iter().map(|item| problem(item, &object)).collect(),
        reconsider_after: reconsider_after(said.reconsider_at, now),
        added_tolerations: added_tolerations
            .iter()
            .filter(|_| creates)
            .map(toleration)
            .collect(),
        daemon_set,
    }
}

/// How long until a time; at least a millisecond, so that a plan can't ask for another one at once.
pub fn reconsider_after(at: Option<Millis>, now: Millis) -> Option<prost_types::Duration> {
    let millis = at?.since(now).max(1);
    let nanos = i32::try_from(millis % 1_000 * 1_000_000).unwrap_or_default();
    Some(prost_types::Duration {
        seconds: millis / 1_000,
        nanos,
    })
}

fn text(text: &Text) -> String {
    text.as_ref().to_owned()
}

/// An action.
pub fn action(id: u64, action: &Action) -> wire::Action {
    let action = match action {
        Action::Create {
            node,
            revision,
            succeeds,
        } => wire::action::Action::Create(wire::CreatePod {
            node: text(node),
            revision: text(revision),
            succeeds_uid: succeeds.as_ref().map(text).unwrap_or_default(),
        }),
        Action::Delete {
            pod,
            uid,
            node,
            reason,
        } => wire::action::Action::Delete(wire::DeletePod {
            pod: text(pod),
            uid: text(uid),
            reason: delete_reason(*reason).into(),
            node: text(node),
        }),
    };
    wire::Action {
        id,
        action: Some(action),
    }
}

fn delete_reason(reason: DeleteReason) -> wire::DeleteReason {
    match reason {
        DeleteReason::Excluded => wire::DeleteReason::Excluded,
        DeleteReason::Failed => wire::DeleteReason::Failed,
        DeleteReason::Succeeded => wire::DeleteReason::Succeeded,
        DeleteReason::Excess => wire::DeleteReason::Excess,
        DeleteReason::Update => wire::DeleteReason::Update,
        DeleteReason::NodeGone => wire::DeleteReason::NodeGone,
    }
}

fn toleration(toleration: &Toleration) -> wire::Toleration {
    wire::Toleration {
        key: text(&toleration.key),
        operator: text(&toleration.operator),
        value: text(&toleration.value),
        effect: text(&toleration.effect),
    }
}

/// A status.
pub fn status(status: Status) -> wire::DaemonSetStatus {
    wire::DaemonSetStatus {
        observed_generation: status.observed_generation,
        desired_number_scheduled: status.desired_number_scheduled,
        current_number_scheduled: status.current_number_scheduled,
        number_misscheduled: status.number_misscheduled,
        number_ready: status.number_ready,
        updated_number_scheduled: status.updated_number_scheduled,
        number_available: status.number_available,
        number_unavailable: status.number_unavailable,
    }
}

/// A problem of an object.
pub fn problem(problem: &Problem, object: &str) -> wire::Problem {
    let code = match problem.code {
        ProblemCode::MalformedTerm => wire::ProblemCode::MalformedTerm,
        ProblemCode::SelectsEverything => wire::ProblemCode::SelectsEverything,
        ProblemCode::UnknownRevision => wire::ProblemCode::UnknownRevision,
    };
    wire::Problem {
        code: code.into(),
        object: object.to_owned(),
        field: problem.field.clone(),
        message: problem.message.clone(),
    }
}

/// The verdict on a pair.
pub fn verdict(daemon_set: &str, node: &Text, verdict: Verdict, reasons: Vec<Reason>) -> wire::NodeVerdict {
    let verdict = match verdict {
        Verdict::Run => wire::Verdict::Run,
        Verdict::Keep => wire::Verdict::Keep,
        Verdict::Exclude => wire::Verdict::Exclude,
    };
    wire::NodeVerdict {
        daemon_set: daemon_set.to_owned(),
        node: text(node),
        verdict: verdict.into(),
        reasons: reasons.into_iter().map(reason).collect(),
    }
}

fn reason(reason: Reason) -> wire::Reason {
    let code = match reason.code {
        ReasonCode::Fits => wire::ReasonCode::Fits,
        ReasonCode::NodeName => wire::ReasonCode::NodeName,
        ReasonCode::NodeSelector => wire::ReasonCode::NodeSelector,
        ReasonCode::NodeAffinity => wire::ReasonCode::NodeAffinity,
        ReasonCode::UntoleratedTaint => wire::ReasonCode::UntoleratedTaint,
        ReasonCode::SelectsEverything => wire::ReasonCode::SelectsEverything,
    };
    wire::Reason {
        code: code.into(),
        message: reason.message,
        ..wire::Reason::default()
    }
}
