//! What the planner may want to remember, given what is remembered.

use super::{View, ensure};
use crate::{
    fleet::tests::random_rollouts::world::admits,
    model::{
        Budget, Node,
        rollout::{Memory, PolicySpec, Stage, StageMemory, StageSize, State},
    },
};

/// Checks what the plan proposes to remember.
pub(super) fn check(view: &View<'_>) -> Result<(), String> {
    let Some(report) = &view.plan.report.rollout else {
        return Ok(());
    };
    let next = &report.memory;
    let (Some(memory), Some(spec)) = (view.memory(), view.spec()) else {
        return check_without(view, next);
    };
    if *next == *memory {
        return Ok(());
    }
    check_current(view, memory, next)?;
    if view.rollout().is_none() {
        return check_new_rollout(memory, next);
    }
    let verbs = &view.set.verbs;
    let (rollout, is_counted) = (memory.rollout, memory.rollout > 0);
    if next.rollout != rollout {
        ensure(
            next.rollout == rollout + 1 && verbs.retry == rollout && is_counted,
            || format!("rollout {rollout} becomes {} unasked", next.rollout),
        )?;
        return ensure(next.stages.is_empty(), || {
            "a rollout that starts again has stages".to_owned()
        });
    }
    if matches!(memory.state, State::Waiting | State::Progressing) && verbs.abort == rollout && is_counted {
        return ensure(next.state == State::GoingBack, || {
            "an aborted rollout doesn't go back".to_owned()
        });
    }
    ensure(!view.is_paused(), || "a paused rollout goes on".to_owned())?;
    if memory.state == State::Waiting {
        return ensure(is_promoted(view, memory, ""), || {
            "old pods that were there before the policy aren't promoted".to_owned()
        });
    }
    check_times(spec, memory, next)?;
    check_stages(view, spec, memory, next)?;
    if memory.state == State::Progressing && next.state == State::Completed {
        check_completion(view)?;
    }
    Ok(())
}

/// Without a policy or a memory, the planner begins with what it sees, or leaves everything as it is.
fn check_without(view: &View<'_>, next: &Memory) -> Result<(), String> {
    match view.memory() {
        Some(memory) if view.is_let_go(memory) && next != memory => ensure(
            next.state == State::Completed && next.stages == memory.stages,
            || "a rollout without a policy goes on by itself".to_owned(),
        ),
        Some(memory) => ensure(next == memory, || {
            "a rollout without a valid policy goes on".to_owned()
        }),
        None => ensure(
            matches!(next.state, State::Waiting | State::Completed) && next.stages.is_empty(),
            || "a rollout begins as soon as a policy is attached".to_owned(),
        ),
    }
}

/// The current revision changes only when every node has the new one.
fn check_current(view: &View<'_>, memory: &Memory, next: &Memory) -> Result<(), String> {
    if next.current == memory.current {
        return Ok(());
    }
    if view.rollout().is_some() {
        return ensure(
            next.state == State::Completed && next.current == memory.update,
            || format!("{} becomes current before the end", next.current),
        );
    }
    let is_everywhere = view
        .set
        .pods
        .values()
        .filter(|pod| view.world.nodes.contains_key(&pod.node))
        .all(|pod| pod.revision == memory.update);
    ensure(is_everywhere && next.current == memory.update, || {
        format!("{} becomes current, but not every node has it", next.current)
    })
}

fn check_new_rollout(memory: &Memory, next: &Memory) -> Result<(), String> {
    let goes_back = next.current == next.update;
    ensure(
        next.rollout == memory.rollout + 1
            && next.stages.is_empty()
            && next.state
                == if goes_back {
                    State::GoingBack
                } else {
                    State::Progressing
                },
        || "a new template doesn't begin with the first stage".to_owned(),
    )
}

fn is_promoted(view: &View<'_>, memory: &Memory, stage: &str) -> bool {
    let verbs = &view.set.verbs;
    let by_name = verbs
        .promote
        .as_ref()
        .is_some_and(|(number, name)| *number == memory.rollout && **name == *stage);
    memory.rollout > 0 && (by_name || verbs.promote_full == memory.rollout)
}

/// Whether a stage that isn't done gets another size by an edit of the policy.
fn is_resized(spec: &PolicySpec, before: &StageMemory) -> bool {
    let stage = spec.stages.iter().find(|stage| stage.name == before.name);
    let size = stage.map(|stage| match stage.size {
        size @ (StageSize::Count(_) | StageSize::Percent(_)) => Some(size),
        StageSize::All | StageSize::AllBut(_) => None,
    });
    before.done_at.is_none() && size.is_some_and(|size| size != before.size)
}

/// What has happened to a stage never changes, except that an edit of the policy may give it other nodes, which are updated
/// before it soaks.
fn check_times(spec: &PolicySpec, memory: &Memory, next: &Memory) -> Result<(), String> {
    ensure(next.started_at == memory.started_at, || {
        "the start of the rollout moves".to_owned()
    })?;
    for before in &memory.stages {
        let after = next.stages.iter().find(|stage| stage.name == before.name);
        let keeps = |after: &StageMemory| {
            after.opened_at == before.opened_at
                && (after.nodes == before.nodes || is_resized(spec, before))
                && (before.updated_at.is_none()
                    || after.updated_at == before.updated_at
                    || is_resized(spec, before))
                && (before.done_at.is_none() || after.done_at == before.done_at)
        };
        // The last stage has no soak, so the time at which it was updated is the time of its end.
        let is_last = before.name.is_empty() && before.done_at.is_none();
        ensure(after.is_some_and(keeps) || is_last, || {
            format!("what was remembered of stage {:?} changes", before.name)
        })?;
    }
    Ok(())
}

/// A stage opens when all before it are done. It is done when it has soaked, and is promoted if it has to be.
fn check_stages(view: &View<'_>, spec: &PolicySpec, memory: &Memory, next: &Memory) -> Result<(), String> {
    let find = |memory: &Memory, name: &str| {
        let mut stages = memory.stages.iter();
        stages.find(|stage| *stage.name == *name).cloned()
    };
    let mut are_all_done = true;
    let stages = spec.stages.iter().map(Some).chain([None]);
    for (position, stage) in stages.enumerate() {
        let name = stage.map_or("", |stage| stage.name.as_ref());
        let (before, after) = (find(memory, name), find(next, name));
        let before_is_done = before.as_ref().is_some_and(|before| before.done_at.is_some());
        if let Some(after) = &after
            && before.as_ref() != Some(after)
        {
            ensure(are_all_done, || {
                format!("stage {name:?} goes on before an earlier one is done")
            })?;
            let before = before.unwrap_or_default();
            if let Some(stage) = stage {
                if before.updated_at.is_none() && after.updated_at.is_some() {
                    check_updated(view, position, &before)?;
                }
                if !before_is_done && after.done_at.is_some() {
                    check_end(view, memory, stage, after)?;
                }
            }
        }
        are_all_done &= after.is_some_and(|after| after.done_at.is_some());
    }
    Ok(())
}

/// A stage ends after its soak, unless somebody ends it.
fn check_end(view: &View<'_>, memory: &Memory, stage: &Stage, after: &StageMemory) -> Result<(), String> {
    let is_manual = match stage.size {
        StageSize::AllBut(Budget::Count(kept) | Budget::Percent(kept)) => kept > 0,
        StageSize::All | StageSize::Count(_) | StageSize::Percent(_) => stage.is_manual,
    };
    let has_soaked = after
        .updated_at
        .is_some_and(|at| view.now().since(at) >= stage.soak_millis);
    ensure(
        is_promoted(view, memory, &stage.name) || (has_soaked && !is_manual),
        || format!("stage {} ends too early", stage.name),
    )
}

/// Whether a stage has to wait for a node: it was there when the stage opened, and the update is to reach it.
fn is_waited_for(view: &View<'_>, node: &Node, stage: &StageMemory) -> bool {
    node.created <= stage.opened_at
        && admits(view.update(), node)
        && !view.is_held(node)
        && !view.is_ignored(&node.name)
}

/// Every node of a stage that has just been updated has the update revision, and there is one.
fn check_updated(view: &View<'_>, position: usize, stage: &StageMemory) -> Result<(), String> {
    let nodes = view.world.nodes.values();
    let in_stage: Vec<_> = nodes
        .filter(|node| view.stage_of(node) == Some(position) && admits(view.update(), node))
        .collect();
    let is_updated = |node: &Node| {
        let mut pods = view.set.pods.values();
        pods.any(|pod| {
            pod.node == node.name
                && pod.revision == *view.update()
                && pod.ready_since.is_some()
                && !pod.deleting
        })
    };
    let mut waiting = in_stage.iter().filter(|node| is_waited_for(view, node, stage));
    ensure(waiting.all(|node| is_updated(node)), || {
        format!("stage {position} counts as updated too early")
    })?;
    ensure(in_stage.iter().any(|node| is_updated(node)), || {
        format!("stage {position} counts as updated although it has no node")
    })
}

/// At the end, every node that was there when its stage opened has the update revision.
fn check_completion(view: &View<'_>) -> Result<(), String> {
    for node in view.world.nodes.values() {
        let Some(stage) = view
            .stage_of(node)
            .and_then(|position| view.remembered_at(position))
        else {
            continue;
        };
        let is_updated = view.has_available(&node.name, view.update());
        ensure(is_updated || !is_waited_for(view, node, stage), || {
            format!("the rollout is complete, but {} isn't updated", node.name)
        })?;
    }
    Ok(())
}
