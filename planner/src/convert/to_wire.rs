//! Converts plans, verdicts and problems to the wire.

use std::collections::BTreeMap;

use everynode_proto::planner::v1 as wire;

use super::{
    conditions::{conditions, progress_message},
    rollout::report_to_wire,
};
use crate::{
    decide::{
        availability::Change,
        simulate::{Conflict, Simulation, Unbound, Undecided},
        summary::{ConditionCount, Summary},
    },
    fleet::RowPlan,
    model::{
        Action, DeleteReason, Demand, HostPort, Millis, Problem, ProblemCode, Progress, Reason, ReasonCode,
        ReasonDetail, Resources, Status, Text, Toleration, Verdict,
    },
};

/// Converts a plan of a session.
pub fn plan(plan: RowPlan, id: u64, based_on: u64, now: Millis) -> wire::Plan {
    let RowPlan {
        daemon_set,
        uid,
        actions,
        report,
        rollout_status,
        added_tolerations,
        current_added_tolerations,
        availability,
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
        status: report.status.map(status),
        problems: report
            .problems
            .iter()
            .map(|item| problem(item, &object))
            .collect(),
        reconsider_after: reconsider_after(report.reconsider_at, now),
        added_tolerations: added_tolerations
            .iter()
            .filter(|_| creates)
            .map(toleration)
            .collect(),
        conditions: rollout_status.as_ref().map(conditions).unwrap_or_default(),
        progress: rollout_status
            .as_ref()
            .map_or(wire::Progress::Unspecified, |rollout| progress(rollout.progress))
            .into(),
        progress_message: rollout_status
            .as_ref()
            .map(|rollout| progress_message(&rollout.status))
            .unwrap_or_default(),
        pod_availability: availability.iter().map(pod_availability).collect(),
        rollout: report
            .rollout
            .as_ref()
            .map(|rollout| report_to_wire(rollout, &uid)),
        current_added_tolerations: current_added_tolerations
            .iter()
            .filter(|_| creates)
            .map(toleration)
            .collect(),
        daemon_set,
    }
}

/// The time left until `at`. It is at least a millisecond, so that a plan never requests another plan at once.
pub fn reconsider_after(at: Option<Millis>, now: Millis) -> Option<prost_types::Duration> {
    let millis = at?.since(now).max(1);
    let nanos = i32::try_from(millis % 1_000 * 1_000_000).unwrap_or_default();
    Some(prost_types::Duration {
        seconds: millis / 1_000,
        nanos,
    })
}

fn progress(progress: Progress) -> wire::Progress {
    match progress {
        Progress::Complete => wire::Progress::Complete,
        Progress::InProgress => wire::Progress::InProgress,
        Progress::WaitsForDeletion => wire::Progress::WaitingForDeletion,
    }
}

fn pod_availability(change: &Change) -> wire::PodAvailability {
    wire::PodAvailability {
        uid: text(&change.pod.text()),
        available_at: change.available_at.map(timestamp),
    }
}

fn timestamp(Millis(millis): Millis) -> prost_types::Timestamp {
    let nanos = i32::try_from(millis.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    prost_types::Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos,
    }
}

fn text(text: &Text) -> String {
    text.as_ref().to_owned()
}

/// Converts an action.
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

/// Converts a status.
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

/// Converts a problem of an object.
pub fn problem(problem: &Problem, object: &str) -> wire::Problem {
    let code = match problem.code {
        ProblemCode::MalformedTerm => wire::ProblemCode::MalformedTerm,
        ProblemCode::SelectsEverything => wire::ProblemCode::SelectsEverything,
        ProblemCode::UnknownRevision => wire::ProblemCode::UnknownRevision,
        ProblemCode::Invalid => wire::ProblemCode::Invalid,
    };
    wire::Problem {
        code: code.into(),
        object: object.to_owned(),
        field: problem.field.clone(),
        message: problem.message.clone(),
    }
}

/// Converts the verdict on a `DaemonSet` and a node.
pub fn verdict(daemon_set: &str, node: &Text, of_pair: Verdict, reasons: Vec<Reason>) -> wire::NodeVerdict {
    wire::NodeVerdict {
        daemon_set: daemon_set.to_owned(),
        node: text(node),
        verdict: verdict_of(of_pair).into(),
        reasons: reasons.into_iter().map(reason).collect(),
        rollout: None,
    }
}

fn verdict_of(verdict: Verdict) -> wire::Verdict {
    match verdict {
        Verdict::Run => wire::Verdict::Run,
        Verdict::Keep => wire::Verdict::Keep,
        Verdict::Exclude => wire::Verdict::Exclude,
    }
}

fn reason_code(code: ReasonCode) -> wire::ReasonCode {
    match code {
        ReasonCode::Fits => wire::ReasonCode::Fits,
        ReasonCode::NodeName => wire::ReasonCode::NodeName,
        ReasonCode::NodeSelector => wire::ReasonCode::NodeSelector,
        ReasonCode::NodeAffinity => wire::ReasonCode::NodeAffinity,
        ReasonCode::UntoleratedTaint => wire::ReasonCode::UntoleratedTaint,
        ReasonCode::SelectsEverything => wire::ReasonCode::SelectsEverything,
        ReasonCode::BeingDeleted => wire::ReasonCode::BeingDeleted,
        ReasonCode::RuntimeClass => wire::ReasonCode::RuntimeClass,
    }
}

fn reason(reason: Reason) -> wire::Reason {
    wire::Reason {
        code: reason_code(reason.code).into(),
        message: reason.message,
        condition: reason.condition,
        detail: reason.detail.map(detail),
    }
}

fn detail(detail: ReasonDetail) -> wire::reason::Detail {
    match detail {
        ReasonDetail::Requirement {
            term,
            requirement,
            actual,
        } => wire::reason::Detail::Requirement(wire::FailedRequirement {
            term: u32::try_from(term).unwrap_or(u32::MAX),
            key: text(&requirement.key),
            operator: text(&requirement.operator),
            values: requirement.values.iter().map(text).collect(),
            actual: actual.as_ref().map(text),
        }),
        ReasonDetail::Taint { taint, admitted_by } => wire::reason::Detail::Taint(wire::UntoleratedTaint {
            taint: Some(wire::Taint {
                key: text(&taint.key),
                value: text(&taint.value),
                effect: text(&taint.effect),
            }),
            admitted_by: Some(toleration(&admitted_by)),
        }),
    }
}

/// Converts counted verdicts.
pub fn summary(daemon_set: &str, summary: Summary) -> wire::VerdictSummary {
    let count = |count: ConditionCount| wire::ReasonCount {
        code: reason_code(count.code).into(),
        condition: count.condition,
        verdict: verdict_of(count.verdict).into(),
        nodes: count.nodes,
    };
    wire::VerdictSummary {
        daemon_set: daemon_set.to_owned(),
        run_nodes: summary.run,
        keep_nodes: summary.keep,
        exclude_nodes: summary.exclude,
        reasons: summary.into_counts().into_iter().map(count).collect(),
    }
}

fn quantities(resources: &Resources) -> BTreeMap<String, String> {
    let written = resources.iter();
    written
        .map(|(name, amount)| (text(name), amount.to_string()))
        .collect()
}

fn host_port(port: &HostPort) -> wire::HostPort {
    wire::HostPort {
        ip: text(&port.ip),
        protocol: text(&port.protocol),
        port: port.port.into(),
    }
}

/// Converts what one pod requests.
pub fn demand(daemon_set: &str, demand: &Demand) -> wire::DaemonSetDemand {
    wire::DaemonSetDemand {
        daemon_set: daemon_set.to_owned(),
        requests: quantities(&demand.requests),
        host_ports: demand.host_ports.iter().map(host_port).collect(),
    }
}

/// Converts the result for a node template. `keys` are the `DaemonSet`s' names.
pub fn simulation(simulation: &Simulation, template: &Text, keys: &[String]) -> wire::NodeSimulation {
    let key = |index: &usize| keys.get(*index).cloned().unwrap_or_default();
    let undecided = |undecided: &Undecided| wire::Undecided {
        daemon_set: key(&undecided.daemon_set),
        unknown_labels: undecided.labels.iter().map(text).collect(),
        message: format!("runs if and only if the node has {}", undecided.condition),
    };
    let unbound = |unbound: &Unbound| wire::Unbound {
        daemon_set: key(&unbound.daemon_set),
        runtime_class: text(&unbound.class),
        message: unbound.message.clone(),
    };
    let conflict = |conflict: &Conflict| wire::HostPortConflict {
        host_port: Some(host_port(&conflict.host_port)),
        daemon_sets: conflict.daemon_sets.iter().map(key).collect(),
    };
    wire::NodeSimulation {
        node_template: text(template),
        daemon_sets: simulation.runs.iter().map(key).collect(),
        requests: quantities(&simulation.requests),
        host_ports: simulation.host_ports.iter().map(host_port).collect(),
        conflicts: simulation.conflicts.iter().map(conflict).collect(),
        left: quantities(&simulation.left),
        exceeded: simulation.exceeded.iter().map(text).collect(),
        undecided: simulation.undecided.iter().map(undecided).collect(),
        unbound: simulation.unbound.iter().map(unbound).collect(),
    }
}
