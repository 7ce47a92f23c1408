//! Limits on what a plan may say about a rollout. It is written to the cluster, where later planners read it.

use everynode_proto::planner::v1::{RolloutPolicyStatus, RolloutReport, StageReport};

use super::{MAX_REASON_BYTES, MAX_TEXT_BYTES, cut};

/// Maximum length of a message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1_024;
/// Maximum number of stages that are remembered. A policy has 16, and edits of it may leave more.
const MAX_STAGES: usize = 64;
/// Maximum number of nodes in one list.
const MAX_NODES: usize = 50;
/// Maximum number of earlier rollouts.
const MAX_ATTEMPTS: usize = 10;
/// Maximum number of targets in the status of a policy.
const MAX_TARGETS: usize = 50;
/// Maximum number of warnings about a policy.
const MAX_WARNINGS: usize = 50;

/// Whether a report is about this `DaemonSet`, and no larger than that of a correct planner. Cuts its messages.
pub(crate) fn is_sane_report(uid: &str, report: &mut RolloutReport) -> bool {
    cut(&mut report.message, MAX_MESSAGE_BYTES);
    let is_short = |text: &String| text.len() <= MAX_TEXT_BYTES;
    let are_nodes = |nodes: &[String]| nodes.len() <= MAX_NODES && nodes.iter().all(is_short);
    let is_short_stage =
        |stage: &StageReport| is_short(&stage.name) && stage.domain.as_ref().is_none_or(is_short);
    let has_stages = report.stages.len() <= MAX_STAGES && report.stages.iter().all(is_short_stage);
    let texts = [&report.policy_uid, &report.reason];
    if !has_stages || !texts.into_iter().all(is_short) || !are_nodes(&report.ignored_nodes) {
        return false;
    }
    let Some(memory) = &report.memory else {
        return true;
    };
    let revisions = [&memory.current_revision, &memory.update_revision];
    let attempts = &memory.attempts;
    memory.daemon_set_uid == uid
        && revisions.into_iter().all(is_short)
        && memory.stages.len() <= MAX_STAGES
        && memory
            .stages
            .iter()
            .all(|stage| is_short(&stage.name) && are_nodes(&stage.nodes))
        && attempts.len() <= MAX_ATTEMPTS
        && attempts.iter().all(|attempt| is_short(&attempt.update_revision))
}

/// Cuts what a planner says of a policy to what the policy's status can hold.
pub(crate) fn truncate_policy_status(status: &mut RolloutPolicyStatus) {
    status.targets.truncate(MAX_TARGETS);
    cut(&mut status.reason, MAX_REASON_BYTES);
    cut(&mut status.message, MAX_MESSAGE_BYTES);
    for target in &mut status.targets {
        cut(&mut target.namespace, MAX_TEXT_BYTES);
        cut(&mut target.name, MAX_TEXT_BYTES);
        cut(&mut target.reason, MAX_REASON_BYTES);
        cut(&mut target.message, MAX_MESSAGE_BYTES);
    }
    status.warnings.truncate(MAX_WARNINGS);
    for warning in &mut status.warnings {
        cut(&mut warning.stage, MAX_TEXT_BYTES);
        cut(&mut warning.message, MAX_MESSAGE_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::{RolloutMemory, StageMemory};

    use super::*;

    fn report(memory: RolloutMemory) -> RolloutReport {
        RolloutReport {
            memory: Some(memory),
            message: "é".repeat(MAX_MESSAGE_BYTES),
            ..RolloutReport::default()
        }
    }

    #[test]
    fn report_of_another_daemon_set_or_beyond_the_limits_is_refused() {
        let memory = RolloutMemory {
            daemon_set_uid: "ds-1".to_owned(),
            ..RolloutMemory::default()
        };
        let mut sane = report(memory.clone());
        assert!(is_sane_report("ds-1", &mut sane));
        assert!(sane.message.len() <= MAX_MESSAGE_BYTES);
        assert!(!is_sane_report("ds-2", &mut sane));
        let stage = StageMemory {
            nodes: vec![String::new(); MAX_NODES + 1],
            ..StageMemory::default()
        };
        let many = RolloutMemory {
            stages: vec![stage],
            ..memory
        };
        assert!(!is_sane_report("ds-1", &mut report(many)));
    }
}
