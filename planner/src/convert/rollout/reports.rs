//! Converts to the wire what holds for policies, the states of rollouts, and what to remember of them.

use everynode_proto::planner::v1 as wire;

use crate::{
    decide::rollout::{
        precedence::Acceptance,
        report::{Phase, Report, StageReport},
        warnings::{Warning, WarningKind},
    },
    fleet::{PolicyReport, PolicyTarget},
    model::{
        Millis,
        rollout::{Attempt, Memory, Outcome, StageMemory, StageSize, State},
    },
};

/// Converts what holds for a policy to the wire.
pub fn policy_status_to_wire(report: &PolicyReport) -> wire::RolloutPolicyStatus {
    const MAX_NAMED: usize = 50;
    let target = |target: &PolicyTarget| {
        let (reason, message) = target.acceptance.describe();
        wire::PolicyTarget {
            namespace: target.namespace.to_string(),
            name: target.name.to_string(),
            reason: reason.to_owned(),
            message,
        }
    };
    let accepted = report.targets.iter();
    let accepted = accepted
        .filter(|target| target.acceptance == Acceptance::Accepted)
        .count();
    let (reason, message) = match &report.error {
        Some(error) => ("Invalid", error.to_string()),
        None if report.targets.is_empty() => ("TargetNotFound", "the policy selects no DaemonSet".to_owned()),
        None => ("", String::new()),
    };
    wire::RolloutPolicyStatus {
        uid: report.uid.to_string(),
        generation: report.generation,
        targets: report.targets.iter().take(MAX_NAMED).map(target).collect(),
        accepted: count(accepted),
        reason: reason.to_owned(),
        message,
        warnings: report.warnings.iter().cloned().map(warning).collect(),
    }
}

/// Converts a warning about a policy to the wire.
pub fn warning(warning: Warning) -> wire::RolloutWarning {
    let code = match warning.kind {
        WarningKind::ShortSoak => wire::RolloutWarningCode::ShortSoak,
        WarningKind::SingleNodeDomain => wire::RolloutWarningCode::SingleNodeDomain,
        WarningKind::EmptyStage => wire::RolloutWarningCode::EmptyStage,
        WarningKind::StagesOverlap => wire::RolloutWarningCode::StagesOverlap,
        WarningKind::SurgeWithHostPort => wire::RolloutWarningCode::SurgeWithHostPort,
    };
    wire::RolloutWarning {
        code: code.into(),
        stage: warning.stage.to_string(),
        message: warning.message,
    }
}

/// Converts the state of a rollout to the wire.
pub fn report_to_wire(report: &Report, daemon_set_uid: &str) -> wire::RolloutReport {
    let stage = |stage: &StageReport| wire::StageReport {
        name: stage.name.to_string(),
        desired: count(stage.seen.desired),
        updated: count(stage.seen.updated),
        updated_available: count(stage.seen.updated_available),
        is_open: stage.is_open,
        is_done: stage.is_done,
        soaks_until: stage.soaks_until.map(timestamp),
        domain: stage
            .domain
            .as_ref()
            .map(|domain| domain.value().map(ToString::to_string).unwrap_or_default()),
    };
    wire::RolloutReport {
        memory: Some(memory_to_wire(&report.memory, daemon_set_uid)),
        policy_uid: report.policy.to_string(),
        phase: match report.phase {
            Phase::Completed => wire::RolloutPhase::Completed,
            Phase::Progressing => wire::RolloutPhase::Progressing,
            Phase::Soaking => wire::RolloutPhase::Soaking,
            Phase::Waiting => wire::RolloutPhase::Waiting,
            Phase::Paused => wire::RolloutPhase::Paused,
            Phase::Stalled => wire::RolloutPhase::Stalled,
            Phase::GoingBack => wire::RolloutPhase::GoingBack,
        }
        .into(),
        reason: report.reason.to_owned(),
        message: report.message.clone(),
        stages: report.stages.iter().map(stage).collect(),
        desired: count(report.desired),
        updated: count(report.updated),
        updated_available: count(report.updated_available),
        ignored: count(report.ignored),
        ignored_nodes: Vec::new(),
        held: count(report.held),
    }
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Converts what to remember to the wire.
fn memory_to_wire(memory: &Memory, daemon_set_uid: &str) -> wire::RolloutMemory {
    let stage = |stage: &StageMemory| wire::StageMemory {
        name: stage.name.to_string(),
        opened_at: Some(timestamp(stage.opened_at)),
        updated_at: stage.updated_at.map(timestamp),
        done_at: stage.done_at.map(timestamp),
        nodes: stage.nodes.iter().map(ToString::to_string).collect(),
        hash_limit: stage.hash_limit,
        size: stage.size.and_then(remembered_size_to_wire),
    };
    let attempt = |attempt: &Attempt| wire::RolloutAttempt {
        rollout: attempt.rollout,
        update_revision: attempt.update.to_string(),
        outcome: match attempt.outcome {
            Outcome::Completed => wire::RolloutOutcome::Completed,
            Outcome::Superseded => wire::RolloutOutcome::Superseded,
            Outcome::Aborted => wire::RolloutOutcome::Aborted,
            Outcome::Retried => wire::RolloutOutcome::Retried,
        }
        .into(),
        ended_at: Some(timestamp(attempt.ended_at)),
    };
    wire::RolloutMemory {
        rollout: memory.rollout,
        daemon_set_uid: daemon_set_uid.to_owned(),
        current_revision: memory.current.to_string(),
        is_current_observed: memory.is_current_observed,
        update_revision: memory.update.to_string(),
        started_at: Some(timestamp(memory.started_at)),
        state: match memory.state {
            State::Waiting => wire::RolloutState::Waiting,
            State::Progressing => wire::RolloutState::Progressing,
            State::GoingBack => wire::RolloutState::GoingBack,
            State::MemoryLost => wire::RolloutState::MemoryLost,
            State::Completed => wire::RolloutState::Completed,
        }
        .into(),
        stages: memory.stages.iter().map(stage).collect(),
        attempts: memory.attempts.iter().map(attempt).collect(),
    }
}

fn remembered_size_to_wire(size: StageSize) -> Option<wire::IntOrPercent> {
    use wire::int_or_percent::Value;
    let value = match size {
        StageSize::Count(count) => Value::Count(i32::try_from(count).ok()?),
        StageSize::Percent(percent) => Value::Percent(i32::try_from(percent).ok()?),
        StageSize::All | StageSize::AllBut(_) => return None,
    };
    Some(wire::IntOrPercent { value: Some(value) })
}

fn timestamp(time: Millis) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.0.div_euclid(1_000),
        nanos: i32::try_from(time.0.rem_euclid(1_000) * 1_000_000).unwrap_or_default(),
    }
}
