//! Converts what people ask of rollouts, and what is remembered of them, from the wire.

use everynode_proto::planner::v1 as wire;

use super::{
    super::from_wire::{FieldError, check_length, millis, required},
    at_most,
};
use crate::{
    intern::Interner,
    model::{
        Text,
        rollout::{
            Attempt, MAX_ATTEMPTS, MAX_PICKED, MAX_REMEMBERED_STAGES, Memory, Outcome, StageMemory,
            StageSize, State, Verbs,
        },
    },
};

/// Converts what people ask of a rollout and what is remembered of it. Returns it with the `DaemonSet`'s uid. Memory of
/// another `DaemonSet` counts as absent (T14).
///
/// # Errors
/// The `DaemonSet`'s uid is empty or too long, or a list is too long.
pub fn rollout(
    facts: &wire::RolloutFacts,
    strings: &mut Interner,
) -> Result<(Text, Verbs, Option<Memory>), FieldError> {
    let daemon_set = strings.text(required("daemon_set_uid", &facts.daemon_set_uid)?);
    let verbs = match &facts.verbs {
        Some(verbs) => self::verbs(verbs, strings)?,
        None => Verbs::default(),
    };
    let memory = facts
        .memory
        .as_ref()
        .filter(|memory| memory.daemon_set_uid == facts.daemon_set_uid);
    let memory = match memory {
        Some(memory) => Some(self::memory(memory, strings).map_err(|error| error.within("memory"))?),
        None => None,
    };
    Ok((daemon_set, verbs, memory))
}

fn verbs(verbs: &wire::RolloutVerbs, strings: &mut Interner) -> Result<Verbs, FieldError> {
    let promote = verbs.promote.as_ref();
    let release = match &verbs.release {
        Some(release) => {
            at_most("verbs.release.nodes", release.nodes.len(), MAX_PICKED)?;
            let nodes = release.nodes.iter().map(|node| strings.text(node)).collect();
            (release.rollout, nodes)
        }
        None => (0, Vec::new()),
    };
    Ok(Verbs {
        paused: verbs.paused,
        promote: promote.map(|promote| (promote.rollout, strings.text(&promote.stage))),
        promote_full: verbs.promote_full,
        abort: verbs.abort,
        retry: verbs.retry,
        release,
    })
}

fn memory(memory: &wire::RolloutMemory, strings: &mut Interner) -> Result<Memory, FieldError> {
    // A policy that was edited may have left more stages than one policy has.
    at_most("stages", memory.stages.len(), MAX_REMEMBERED_STAGES)?;
    at_most("attempts", memory.attempts.len(), MAX_ATTEMPTS)?;
    let state = match memory.state() {
        wire::RolloutState::Waiting => State::Waiting,
        wire::RolloutState::Progressing => State::Progressing,
        wire::RolloutState::GoingBack => State::GoingBack,
        wire::RolloutState::Completed => State::Completed,
        wire::RolloutState::MemoryLost => State::MemoryLost,
        wire::RolloutState::Unspecified => return Err(FieldError::new("state", "must be set")),
    };
    let stages = memory.stages.iter().map(|stage| {
        at_most("stages.nodes", stage.nodes.len(), MAX_PICKED)?;
        Ok(StageMemory {
            name: strings.text(check_length("stages.name", &stage.name)?),
            opened_at: stage.opened_at.map(millis).unwrap_or_default(),
            updated_at: stage.updated_at.map(millis),
            done_at: stage.done_at.map(millis),
            nodes: stage.nodes.iter().map(|node| strings.text(node)).collect(),
            hash_limit: stage.hash_limit,
            size: stage.size.and_then(remembered_size),
        })
    });
    let stages = stages.collect::<Result<_, FieldError>>()?;
    let attempts = memory.attempts.iter().filter_map(|attempt| {
        Some(Attempt {
            rollout: attempt.rollout,
            update: strings.text(&attempt.update_revision),
            outcome: match attempt.outcome() {
                wire::RolloutOutcome::Completed => Outcome::Completed,
                wire::RolloutOutcome::Superseded => Outcome::Superseded,
                wire::RolloutOutcome::Aborted => Outcome::Aborted,
                wire::RolloutOutcome::Retried => Outcome::Retried,
                wire::RolloutOutcome::Unspecified => return None,
            },
            ended_at: attempt.ended_at.map(millis).unwrap_or_default(),
        })
    });
    let attempts = attempts.collect();
    Ok(Memory {
        rollout: memory.rollout,
        current: strings.text(check_length("current_revision", &memory.current_revision)?),
        is_current_observed: memory.is_current_observed,
        update: strings.text(check_length("update_revision", &memory.update_revision)?),
        started_at: memory.started_at.map(millis).unwrap_or_default(),
        state,
        stages,
        attempts,
    })
}

/// The size of a stage for which its nodes were chosen. Only numbers and percentages are remembered.
fn remembered_size(size: wire::IntOrPercent) -> Option<StageSize> {
    use wire::int_or_percent::Value;
    match size.value? {
        Value::Count(count) => Some(StageSize::Count(usize::try_from(count).ok()?)),
        Value::Percent(percent) => Some(StageSize::Percent(u32::try_from(percent).ok()?)),
    }
}
