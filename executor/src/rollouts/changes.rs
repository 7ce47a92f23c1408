//! The events that follow from changes of a rollout's report.

use everynode_proto::planner::v1::{RolloutPhase, RolloutReport, RolloutState, StageReport};

use super::report::open_stage;
use crate::apiserver::events::EventType;

/// An event about a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Whether the event is a warning.
    pub(crate) kind: EventType,
    /// The reason, in one word.
    pub(crate) reason: &'static str,
    /// The event's note.
    pub(crate) note: String,
}

/// Returns the events that follow from a new report. `before` is the report before it, if this executor has had one.
pub(crate) fn changes(before: &RolloutReport, after: &RolloutReport) -> Vec<Change> {
    let rollout = number(after);
    let is_new = rollout != number(before);
    let mut changes = Vec::new();
    changes.extend(start(before, after));
    changes.extend(completed_stages(before, after));
    changes.extend(return_of_all(before, after));
    if after.phase() == before.phase() && !is_new {
        return changes;
    }
    let message = format!("Rollout {rollout}: {}", after.message);
    match after.phase() {
        RolloutPhase::Waiting => {
            let stage = open_stage(after);
            let stage = if stage.is_empty() {
                String::new()
            } else {
                format!(" (stage {stage})")
            };
            changes.push(normal("WaitingForPromotion", format!("{message}{stage}")));
        }
        // A rollout that has gone back is completed too, but another event says so.
        RolloutPhase::Completed if before.phase() == RolloutPhase::GoingBack && !is_new => {}
        // A pause or a hold after the end of the rollout is over.
        RolloutPhase::Completed if !is_new && was_held_after_its_end(before) => {}
        RolloutPhase::Completed => {
            changes.push(normal("RolloutCompleted", format!("Rollout {rollout} completed")));
        }
        RolloutPhase::Stalled => changes.push(warning("RolloutHeld", message)),
        RolloutPhase::Paused => changes.push(normal("RolloutPaused", message)),
        RolloutPhase::GoingBack if !has_gone_back(after) => {
            let revision = current_revision(after);
            changes.push(warning(
                "RolloutGoingBack",
                format!("Rollout {rollout}: every node goes back to the current revision {revision}"),
            ));
        }
        RolloutPhase::Unspecified
        | RolloutPhase::Progressing
        | RolloutPhase::Soaking
        | RolloutPhase::GoingBack => {}
    }
    changes
}

fn normal(reason: &'static str, note: String) -> Change {
    Change {
        kind: EventType::Normal,
        reason,
        note,
    }
}

fn warning(reason: &'static str, note: String) -> Change {
    Change {
        kind: EventType::Warning,
        reason,
        note,
    }
}

/// Whether a rollout that had ended already was paused or held, for example because the policies couldn't be read.
fn was_held_after_its_end(before: &RolloutReport) -> bool {
    let is_held = matches!(before.phase(), RolloutPhase::Paused | RolloutPhase::Stalled);
    let memory = before.memory.as_ref();
    is_held && memory.is_some_and(|memory| memory.state() == RolloutState::Completed)
}

fn number(report: &RolloutReport) -> i64 {
    report.memory.as_ref().map_or(0, |memory| memory.rollout)
}

fn current_revision(report: &RolloutReport) -> &str {
    report
        .memory
        .as_ref()
        .map_or("", |memory| &memory.current_revision)
}

/// The start of a rollout: at once, or when somebody promotes the old pods that were there before the policy.
fn start(before: &RolloutReport, after: &RolloutReport) -> Option<Change> {
    let memory = after.memory.as_ref().filter(|memory| memory.rollout > 0)?;
    let is_new = memory.rollout != number(before);
    let has_waited = before
        .memory
        .as_ref()
        .is_some_and(|before| before.state() == RolloutState::Waiting);
    let has_begun = match memory.state() {
        RolloutState::Waiting | RolloutState::MemoryLost => false,
        RolloutState::Progressing => is_new || has_waited,
        RolloutState::Unspecified | RolloutState::GoingBack | RolloutState::Completed => is_new,
    };
    let (rollout, revision) = (memory.rollout, &memory.update_revision);
    has_begun.then(|| {
        normal(
            "RolloutStarted",
            format!("Rollout {rollout} of revision {revision} started"),
        )
    })
}

fn completed_stages(before: &RolloutReport, after: &RolloutReport) -> Vec<Change> {
    let rollout = number(after);
    let is_new = rollout != number(before);
    let was_done = |name: &str| {
        let mut stages = before.stages.iter();
        !is_new && stages.any(|stage| stage.name == name && stage.is_done)
    };
    let is_completed = |stage: &&StageReport| stage.is_done && !stage.name.is_empty();
    let stages = after.stages.iter().filter(is_completed);
    let completed = stages.filter(|stage| !was_done(&stage.name));
    completed
        .map(|stage| {
            normal(
                "StageCompleted",
                format!("Rollout {rollout}: stage {} completed", stage.name),
            )
        })
        .collect()
}

/// The end of the way back to the current revision.
fn return_of_all(before: &RolloutReport, after: &RolloutReport) -> Option<Change> {
    let rollout = number(after);
    let is_completed = before.phase() == RolloutPhase::GoingBack && after.phase() == RolloutPhase::Completed;
    let is_back = has_gone_back(after) || is_completed;
    let is_news = rollout == number(before) && !has_gone_back(before);
    let revision = current_revision(after);
    (is_back && is_news).then(|| {
        normal(
            "RolledBack",
            format!("Rollout {rollout} went back to the current revision {revision}"),
        )
    })
}

/// Whether an aborted rollout has left no pod of its update revision. After an undo, the update revision is the current one,
/// and the phase shows when every node has it.
fn has_gone_back(report: &RolloutReport) -> bool {
    let is_aborted = report.memory.as_ref().is_some_and(|memory| {
        memory.state() == RolloutState::GoingBack && memory.update_revision != memory.current_revision
    });
    is_aborted && report.updated == 0
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::RolloutMemory;

    use super::*;

    fn report(rollout: i64, phase: RolloutPhase, is_done: bool) -> RolloutReport {
        RolloutReport {
            memory: Some(RolloutMemory {
                rollout,
                ..RolloutMemory::default()
            }),
            phase: phase.into(),
            stages: vec![StageReport {
                name: "canary".to_owned(),
                is_open: true,
                is_done,
                ..StageReport::default()
            }],
            ..RolloutReport::default()
        }
    }

    #[test]
    fn each_step_of_a_rollout_is_one_event() {
        use RolloutPhase::{Completed, Paused, Progressing, Soaking, Stalled, Waiting};
        let steps = [
            (report(1, Completed, true), vec![]),
            (report(2, Progressing, false), vec!["RolloutStarted"]),
            (report(2, Soaking, false), vec![]),
            (report(2, Waiting, false), vec!["WaitingForPromotion"]),
            (report(2, Waiting, false), vec![]),
            (report(2, Progressing, true), vec!["StageCompleted"]),
            (report(2, Paused, true), vec!["RolloutPaused"]),
            (report(2, Stalled, true), vec!["RolloutHeld"]),
            (report(2, Completed, true), vec!["RolloutCompleted"]),
        ];
        let mut before = steps[0].0.clone();
        for (after, wanted) in steps {
            let reasons: Vec<_> = changes(&before, &after)
                .iter()
                .map(|change| change.reason)
                .collect();
            assert_eq!(reasons, wanted);
            before = after;
        }
    }

    fn reasons(steps: &[RolloutReport]) -> Vec<&'static str> {
        steps
            .windows(2)
            .flat_map(|pair| changes(&pair[0], &pair[1]))
            .map(|change| change.reason)
            .collect()
    }

    fn in_state(rollout: i64, phase: RolloutPhase, state: RolloutState, updated: i32) -> RolloutReport {
        let mut report = RolloutReport {
            updated,
            stages: Vec::new(),
            ..report(rollout, phase, false)
        };
        if let Some(memory) = &mut report.memory {
            memory.set_state(state);
            memory.update_revision = "new".to_owned();
            memory.current_revision = "old".to_owned();
        }
        report
    }

    #[test]
    fn completion_is_one_event_although_the_rollout_is_held_afterwards() {
        use RolloutPhase::{Completed, Progressing, Stalled};
        let steps = [
            in_state(1, Progressing, RolloutState::Progressing, 5),
            in_state(1, Stalled, RolloutState::Progressing, 5),
            in_state(1, Completed, RolloutState::Completed, 5),
            in_state(1, Stalled, RolloutState::Completed, 5),
            in_state(1, Completed, RolloutState::Completed, 5),
        ];
        assert_eq!(
            reasons(&steps),
            ["RolloutHeld", "RolloutCompleted", "RolloutHeld"]
        );
    }

    #[test]
    fn old_pods_that_a_policy_finds_start_a_rollout_when_they_are_promoted() {
        use RolloutPhase::{Completed, Progressing, Waiting};
        let steps = [
            in_state(0, Completed, RolloutState::Completed, 0),
            in_state(1, Waiting, RolloutState::Waiting, 0),
            in_state(1, Progressing, RolloutState::Progressing, 0),
        ];
        assert_eq!(reasons(&steps), ["WaitingForPromotion", "RolloutStarted"]);
    }

    #[test]
    fn abort_and_undo_are_rolled_back_when_every_node_is_back() {
        use RolloutPhase::{Completed, GoingBack, Progressing};
        let aborted = [
            in_state(1, Progressing, RolloutState::Progressing, 5),
            in_state(1, GoingBack, RolloutState::GoingBack, 5),
            in_state(1, GoingBack, RolloutState::GoingBack, 2),
            in_state(1, GoingBack, RolloutState::GoingBack, 0),
            in_state(1, GoingBack, RolloutState::GoingBack, 0),
        ];
        assert_eq!(reasons(&aborted), ["RolloutGoingBack", "RolledBack"]);
        let undone = [
            in_state(1, Progressing, RolloutState::Progressing, 5),
            in_state(2, GoingBack, RolloutState::GoingBack, 45),
            in_state(2, Completed, RolloutState::Completed, 50),
        ];
        let mut undone = undone.to_vec();
        for report in &mut undone[1..] {
            report.memory.as_mut().unwrap().update_revision = "old".to_owned();
        }
        assert_eq!(
            reasons(&undone),
            ["RolloutStarted", "RolloutGoingBack", "RolledBack"]
        );
    }
}
