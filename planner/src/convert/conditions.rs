//! Builds the conditions of a `DaemonSet`'s status, with their messages.

use everynode_proto::planner::v1::DaemonSetCondition;

use crate::model::{Progress, RolloutStatus, Status};

/// The message when no node should run a pod.
const NOWHERE: &str = "no node should run a pod";

/// The conditions of a `DaemonSet` with this rollout status.
pub(super) fn conditions(rollout: &RolloutStatus) -> Vec<DaemonSetCondition> {
    vec![available(rollout), progressing(rollout)]
}

fn available(rollout: &RolloutStatus) -> DaemonSetCondition {
    let (desired, available) = (
        rollout.status.desired_number_scheduled,
        rollout.status.number_available,
    );
    let fewest = rollout.min_available;
    let holds = available >= fewest;
    let reason = if holds {
        "MinimumReplicasAvailable"
    } else {
        "MinimumReplicasUnavailable"
    };
    let message = match desired {
        0 => NOWHERE.to_owned(),
        1 => format!("{available} of 1 node has an available pod"),
        _ => format!("{available} of {desired} nodes have an available pod, and at least {fewest} must"),
    };
    condition("Available", holds, reason, message)
}

fn progressing(rollout: &RolloutStatus) -> DaemonSetCondition {
    let counted = progress_message(&rollout.status);
    match rollout.progress {
        Progress::Complete => condition("Progressing", true, "NewRevisionAvailable", counted),
        Progress::InProgress => condition("Progressing", true, "RolloutInProgress", counted),
        Progress::WaitsForDeletion => {
            let message =
                format!("{counted}; the others stay until somebody deletes them (strategy OnDelete)");
            condition("Progressing", false, "WaitingForDeletion", message)
        }
    }
}

/// Describes the rollout progress of the current template, from the counters.
pub(super) fn progress_message(status: &Status) -> String {
    let Status {
        desired_number_scheduled: desired,
        updated_number_scheduled: updated,
        number_available: available,
        ..
    } = *status;
    match (desired, updated == desired && available == desired) {
        (0, _) => NOWHERE.to_owned(),
        (1, true) => "the pod is of the current template and available".to_owned(),
        (_, true) => format!("all {desired} pods are of the current template and available"),
        (1, false) => format!("{updated} of 1 pod is of the current template, {available} available"),
        (_, false) => {
            format!("{updated} of {desired} pods are of the current template, {available} available")
        }
    }
}

fn condition(kind: &str, status: bool, reason: &str, message: String) -> DaemonSetCondition {
    DaemonSetCondition {
        r#type: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Status;

    fn texts(desired: i32, available: i32, min_available: i32, progress: Progress) -> [String; 2] {
        let rollout = RolloutStatus {
            status: Status {
                desired_number_scheduled: desired,
                updated_number_scheduled: available,
                number_available: available,
                ..Status::default()
            },
            min_available,
            progress,
        };
        let texts = conditions(&rollout).into_iter().map(|condition| {
            let DaemonSetCondition {
                r#type,
                status,
                reason,
                message,
            } = condition;
            format!("{type} {status} {reason}: {message}", r#type = r#type)
        });
        texts.collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn daemon_set_is_available_when_enough_nodes_have_an_available_pod() {
        let available = |desired, available, fewest| {
            let [texts, _] = texts(desired, available, fewest, Progress::InProgress);
            texts
        };
        assert_eq!(
            available(8, 7, 7),
            "Available true MinimumReplicasAvailable: 7 of 8 nodes have an available pod, and at least 7 must"
        );
        assert_eq!(
            available(1, 0, 1),
            "Available false MinimumReplicasUnavailable: 0 of 1 node has an available pod"
        );
        assert_eq!(
            available(0, 0, 0),
            "Available true MinimumReplicasAvailable: no node should run a pod"
        );
    }

    #[test]
    fn rollout_progresses_unless_it_waits_for_deletions() {
        let progressing = |desired, updated, progress| {
            let [_, texts] = texts(desired, updated, 0, progress);
            texts
        };
        assert_eq!(
            progressing(3, 3, Progress::Complete),
            "Progressing true NewRevisionAvailable: all 3 pods are of the current template and available"
        );
        assert_eq!(
            progressing(3, 2, Progress::InProgress),
            "Progressing true RolloutInProgress: 2 of 3 pods are of the current template, 2 available"
        );
        assert_eq!(
            progressing(3, 2, Progress::WaitsForDeletion),
            "Progressing false WaitingForDeletion: 2 of 3 pods are of the current template, 2 available; the others stay \
             until somebody deletes them (strategy OnDelete)"
        );
    }
}
