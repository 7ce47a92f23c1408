//! Describes the rollout of the current template, with the progress that the planner reports.

use everynode_proto::{
    executor::v1::{Rollout, RolloutState, Wait, WaitCode},
    planner::v1::{DaemonSetStatus, Progress},
};

use super::{Snapshot, Upkeep};

/// Returns the rollout of a `DaemonSet` with these counters and waits.
pub(crate) fn of(snapshot: &Snapshot, status: &DaemonSetStatus, waits: &[Wait]) -> Rollout {
    Rollout {
        state: state(snapshot, status, waits).into(),
        update_revision: snapshot.revision.clone().unwrap_or_default(),
        message: message(snapshot, status),
    }
}

/// Whether the counters are for the current spec.
fn has_current_counters(snapshot: &Snapshot, status: &DaemonSetStatus) -> bool {
    status.observed_generation >= snapshot.object.metadata.generation
}

fn state(snapshot: &Snapshot, status: &DaemonSetStatus, waits: &[Wait]) -> RolloutState {
    let waits_for = |code| waits.iter().any(|wait| wait.code() == code);
    let is_blocked = waits_for(WaitCode::Planner)
        || waits_for(WaitCode::Refused)
        || (snapshot.revision.is_none() && matches!(snapshot.upkeep, Upkeep::Failing(_)));
    let progress = if has_current_counters(snapshot, status) {
        snapshot.progress.progress
    } else {
        Progress::Unspecified
    };
    match progress {
        Progress::Complete => RolloutState::Complete,
        _ if is_blocked => RolloutState::Blocked,
        Progress::WaitingForDeletion => RolloutState::WaitingForDeletion,
        Progress::InProgress | Progress::Unspecified => RolloutState::Progressing,
    }
}

fn message(snapshot: &Snapshot, status: &DaemonSetStatus) -> String {
    if has_current_counters(snapshot, status) {
        snapshot.progress.message.clone()
    } else {
        "the current spec has not been planned yet".to_owned()
    }
}
