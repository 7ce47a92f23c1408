//! Derives availability and progress from a `DaemonSet`'s counters, for the conditions of its status.
//! kube-controller-manager sets no such conditions. The rules are those of a
//! [Deployment's conditions](https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status),
//! as far as they fit.

use super::rollout;
use crate::model::{DaemonSet, Progress, RolloutStatus, Status, Strategy};

/// The rollout status of a `DaemonSet` with these counters.
pub(crate) fn rollout_status(daemon_set: &DaemonSet, status: Status) -> RolloutStatus {
    RolloutStatus {
        status,
        min_available: min_available(daemon_set, status.desired_number_scheduled),
        progress: progress(daemon_set, &status),
    }
}

/// The number of pods that a rolling update leaves available, and at least one if any is desired. `maxUnavailable`
/// defaults to 1, so a `DaemonSet` on a single node would otherwise be available without any pod.
fn min_available(daemon_set: &DaemonSet, desired: i32) -> i32 {
    let count = usize::try_from(desired).unwrap_or(0);
    let may_be_unavailable = match daemon_set.strategy {
        Strategy::OnDelete => 0,
        Strategy::RollingUpdate {
            max_unavailable,
            max_surge,
        } => rollout::unavailable_budget(max_unavailable, max_surge, count),
    };
    let min_available = count
        .saturating_sub(may_be_unavailable)
        .max(usize::from(count > 0));
    i32::try_from(min_available).unwrap_or(desired)
}

fn progress(daemon_set: &DaemonSet, status: &Status) -> Progress {
    let Status {
        desired_number_scheduled: desired,
        current_number_scheduled: current,
        updated_number_scheduled: updated,
        number_available: available,
        ..
    } = *status;
    let has_all = current == desired && available == desired;
    match (has_all, updated == desired, daemon_set.strategy) {
        (true, true, _) => Progress::Complete,
        (true, false, Strategy::OnDelete) => Progress::WaitsForDeletion,
        _ => Progress::InProgress,
    }
}

#[cfg(test)]
mod tests;
