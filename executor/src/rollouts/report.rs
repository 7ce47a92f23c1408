//! Converts the planner's report of a rollout to the status of a `DaemonSetRollout`.

use everynode_proto::planner::v1::{RolloutPhase, RolloutReport};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    kinds::{DaemonSetRolloutStatus, PolicyRef},
    memory::{RolloutObject, remember},
};

/// What a status says besides the report.
#[derive(Debug)]
pub(crate) struct Circumstances {
    /// metadata.generation of the `DaemonSet`.
    pub(crate) daemon_set_generation: i64,
    /// The policy that applies, if one does.
    pub(crate) policy: Option<PolicyRef>,
    /// The time of the write.
    pub(crate) now: Time,
}

/// Returns the status that a report asks for. `None` if the report has no memory that this executor knows.
pub(crate) fn status(
    report: &RolloutReport,
    before: Option<&RolloutObject>,
    circumstances: Circumstances,
) -> Option<DaemonSetRolloutStatus> {
    let written = before.map(|before| &before.status);
    let mut status = DaemonSetRolloutStatus {
        daemon_set_generation: circumstances.daemon_set_generation,
        observed_generation: before.map_or(1, |before| before.generation),
        policy_ref: circumstances.policy,
        phase: phase_name(report.phase()).to_owned(),
        stage: open_stage(report).to_owned(),
        reason: report.reason.clone(),
        message: report.message.clone(),
        progress: format!("{}/{}", report.updated, report.desired),
        desired: report.desired,
        updated: report.updated,
        updated_available: report.updated_available,
        ignored: report.ignored,
        ignored_nodes: report.ignored_nodes.clone(),
        ..DaemonSetRolloutStatus::default()
    };
    let memory = report.memory.as_ref()?;
    if !memory.update_revision.is_empty() {
        remember(memory, &mut status)?;
    } else if before.is_none() {
        // Nothing is remembered, as with every DaemonSet while the policies are unknown. An object that says so would
        // count as a completed rollout (T14).
        return None;
    }
    for stage in &mut status.stages {
        let counts = report.stages.iter().find(|counts| counts.name == stage.name);
        stage.desired = counts.map(|counts| counts.desired);
        stage.updated_available = counts.map(|counts| counts.updated_available);
    }
    let conditions = written.map_or(&[][..], |written| &written.conditions);
    status.conditions = self::conditions(report, conditions, &circumstances.now);
    Some(status)
}

/// The name of a phase, as a status has it.
pub(crate) fn phase_name(phase: RolloutPhase) -> &'static str {
    match phase {
        RolloutPhase::Unspecified => "Unknown",
        RolloutPhase::Completed => "Completed",
        RolloutPhase::Progressing => "Progressing",
        RolloutPhase::Soaking => "Soaking",
        RolloutPhase::Waiting => "Waiting",
        RolloutPhase::Paused => "Paused",
        RolloutPhase::Stalled => "Stalled",
        RolloutPhase::GoingBack => "GoingBack",
    }
}

/// The name of the open stage. Empty if no stage with a name is open.
pub(crate) fn open_stage(report: &RolloutReport) -> &str {
    let open = report
        .stages
        .iter()
        .rfind(|stage| stage.is_open && !stage.is_done);
    open.map_or("", |stage| &stage.name)
}

/// The conditions, of which kstatus reads Reconciling and Stalled.
fn conditions(report: &RolloutReport, before: &[Condition], now: &Time) -> Vec<Condition> {
    let phase = report.phase();
    let is_under_way = matches!(
        phase,
        RolloutPhase::Progressing | RolloutPhase::Soaking | RolloutPhase::Waiting | RolloutPhase::GoingBack
    );
    [
        ("Ready", phase == RolloutPhase::Completed),
        ("Reconciling", is_under_way),
        ("Stalled", phase == RolloutPhase::Stalled),
        (
            "Progressing",
            matches!(phase, RolloutPhase::Progressing | RolloutPhase::GoingBack),
        ),
        ("Paused", phase == RolloutPhase::Paused),
        ("Waiting", phase == RolloutPhase::Waiting),
    ]
    .map(|(kind, holds)| condition(kind, holds, &report.reason, &report.message, before, now))
    .to_vec()
}

/// A condition, with the time since which it has had this status.
pub(super) fn condition(
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    before: &[Condition],
    now: &Time,
) -> Condition {
    let status = if holds { "True" } else { "False" };
    let before = before.iter().find(|before| before.type_ == kind);
    let since = before.filter(|before| before.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        // The API requires a reason.
        reason: if reason.is_empty() { "Unknown" } else { reason }.to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: since.map_or_else(|| now.clone(), |since| since.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::{RolloutMemory, RolloutState, StageReport};
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn circumstances(seconds: i64) -> Circumstances {
        Circumstances {
            daemon_set_generation: 4,
            policy: None,
            now: Time(Timestamp::from_second(seconds).unwrap()),
        }
    }

    fn report(phase: RolloutPhase) -> RolloutReport {
        RolloutReport {
            memory: Some(RolloutMemory {
                rollout: 2,
                update_revision: "r2".to_owned(),
                state: RolloutState::Progressing.into(),
                ..RolloutMemory::default()
            }),
            phase: phase.into(),
            reason: "Soaking".to_owned(),
            desired: 50,
            updated: 12,
            stages: vec![
                StageReport {
                    name: "canary".to_owned(),
                    is_open: true,
                    is_done: true,
                    ..StageReport::default()
                },
                StageReport {
                    name: "half".to_owned(),
                    is_open: true,
                    ..StageReport::default()
                },
            ],
            ..RolloutReport::default()
        }
    }

    #[test]
    fn status_shows_progress_and_the_open_stage() {
        let status = status(&report(RolloutPhase::Soaking), None, circumstances(1)).unwrap();
        assert_eq!(
            (status.progress.as_str(), status.stage.as_str()),
            ("12/50", "half")
        );
        assert_eq!((status.rollout, status.daemon_set_generation), (2, 4));
        let of = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
        assert_eq!(of("Reconciling").unwrap().status, "True");
        assert_eq!(of("Ready").unwrap().status, "False");
    }

    #[test]
    fn condition_keeps_its_time_until_its_status_changes() {
        let first = status(&report(RolloutPhase::Soaking), None, circumstances(1)).unwrap();
        let before = RolloutObject {
            status: first.clone(),
            ..RolloutObject::default()
        };
        let same = status(&report(RolloutPhase::Waiting), Some(&before), circumstances(9)).unwrap();
        assert_eq!(
            same.conditions[1].last_transition_time,
            first.conditions[1].last_transition_time
        );
        let done = status(&report(RolloutPhase::Completed), Some(&before), circumstances(9)).unwrap();
        assert_ne!(
            done.conditions[1].last_transition_time,
            first.conditions[1].last_transition_time
        );
    }

    #[test]
    fn report_without_known_memory_writes_nothing() {
        let report = RolloutReport {
            memory: Some(RolloutMemory {
                update_revision: "r2".to_owned(),
                ..RolloutMemory::default()
            }),
            ..report(RolloutPhase::Soaking)
        };
        assert!(status(&report, None, circumstances(1)).is_none());
    }

    #[test]
    fn t14_empty_memory_creates_no_rollout_and_is_never_a_completed_one() {
        let empty = RolloutMemory {
            state: RolloutState::Completed.into(),
            ..RolloutMemory::default()
        };
        let report = RolloutReport {
            memory: Some(empty),
            ..report(RolloutPhase::Stalled)
        };
        assert!(status(&report, None, circumstances(1)).is_none());
        let before = RolloutObject::default();
        let status = status(&report, Some(&before), circumstances(1)).unwrap();
        assert_eq!((status.state.as_str(), status.phase.as_str()), ("", "Stalled"));
    }
}
