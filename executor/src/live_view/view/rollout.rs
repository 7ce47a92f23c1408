//! Describes the progress of the current template, as the planner judges it.

use everynode_proto::{
    executor::v1::{Rollout, RolloutState, Wait, WaitCode},
    planner::v1::{DaemonSetStatus, Progress},
};

use super::{Sketch, Upkeep};

/// Returns the rollout of a `DaemonSet` with these counters and waits.
pub fn of(sketch: &Sketch, status: &DaemonSetStatus, waits: &[Wait]) -> Rollout {
    Rollout {
        state: state(sketch, status, waits).into(),
        update_revision: sketch.revision.clone().unwrap_or_default(),
        message: message(sketch, status),
    }
}

fn is_counted(sketch: &Sketch, status: &DaemonSetStatus) -> bool {
    status.observed_generation >= sketch.object.metadata.generation
}

fn state(sketch: &Sketch, status: &DaemonSetStatus, waits: &[Wait]) -> RolloutState {
    let waits_for = |code| waits.iter().any(|wait| wait.code() == code);
    let is_blocked = waits_for(WaitCode::Planner)
        || waits_for(WaitCode::Refused)
        || (sketch.revision.is_none() && matches!(sketch.upkeep, Upkeep::Failing(_)));
    let progress = if is_counted(sketch, status) {
        sketch.progress.progress
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

fn message(sketch: &Sketch, status: &DaemonSetStatus) -> String {
    if is_counted(sketch, status) {
        sketch.progress.message.clone()
    } else {
        "the current spec has not been planned for yet".to_owned()
    }
}
