//! Proposes what to remember next of a rollout: when it begins, opens a stage, ends one, and ends itself (T4, T5, T8, T9,
//! T11, T13).
//!
//! Whatever starts or continues a rollout has to be remembered first. What stops a rollout needs no memory: it applies
//! as soon as the planner sees it.

mod size;

use self::size::{apply_size, open};
use super::{rules::Rule, staging::StageIndex};
use crate::model::{
    Budget, Millis, Strategy, Text,
    rollout::{
        Attempt, MAX_ATTEMPTS, MAX_REMEMBERED_STAGES, Memory, Outcome, PolicySpec, Stage, StageSize, State,
        Verbs,
    },
};

/// What the cells show of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Nodes that should run a pod.
    pub(crate) desired: usize,
    /// Nodes with a pod of another revision than the update revision.
    pub(crate) old: usize,
    /// Nodes that the end of the rollout waits for: those that existed when their stage opened, aren't ignored, and lack an
    /// available pod of their target revision; and at least those whose pod waits to be replaced.
    pub(crate) pending: usize,
    /// Whether so many nodes had no available pod when the rollout began that nothing would show that the update works (T16).
    pub(crate) is_stalled: bool,
    /// What the cells of each stage show. The last stage has all nodes that are in no other.
    pub(crate) stages: Vec<StageSeen>,
}

/// What the cells of a stage show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageSeen {
    /// Nodes that should run a pod.
    pub(crate) desired: usize,
    /// Those that have a pod of the update revision.
    pub(crate) updated: usize,
    /// Those whose pod of the update revision is available.
    pub(crate) updated_available: usize,
    /// Nodes that existed when the stage opened, aren't ignored, and lack an available pod of the update revision.
    pub(crate) pending: usize,
}

/// Answers questions about single cells, which are asked only when a rollout begins or a stage opens.
pub(crate) trait Survey {
    /// The revision that most available pods carry, other than the update revision, or that most pods carry if none is
    /// available. Of several, the first one in the order of their names.
    fn most_available(&self) -> Option<Text>;

    /// Whether every node that has or should have a pod has an available one of this revision, and no other.
    fn is_everywhere(&self, revision: &Text) -> bool;

    /// Chooses nodes for a stage of this size, the best first: spread over the values of the stage's topology key, none that
    /// is ignored or in an earlier stage, and those on which Everynode itself runs only after all others.
    fn pick(&self, stage: &Stage, position: StageIndex, count: usize) -> Vec<Text>;

    /// Returns the limit of hashes with which so many of the desired nodes are in this stage or an earlier one.
    fn hash_limit(&self, stage: &Stage, position: StageIndex, released: usize) -> u32;
}

/// What a rollout depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course<'r> {
    /// The policy.
    pub(crate) policy: &'r PolicySpec,
    /// What people ask.
    pub(crate) verbs: &'r Verbs,
    /// The update revision of the `DaemonSet`.
    pub(crate) update: &'r Text,
    /// Whether the `DaemonSet` says that a rollout is held.
    pub(crate) is_marked_held: bool,
    /// The time of the decision.
    pub(crate) now: Millis,
}

impl Course<'_> {
    /// Whether the policy or the `DaemonSetRollout` pauses the rollout.
    pub(crate) fn is_paused(&self) -> bool {
        (self.policy.paused || self.verbs.paused) && Rule::Pause.counts()
    }

    /// Whether somebody has promoted this stage of the rollout.
    fn is_promoted(&self, rollout: i64, stage: &Text) -> bool {
        let is_for = |number: i64| number > 0 && (number == rollout || !Rule::VerbNumber.counts());
        is_for(self.verbs.promote_full)
            || matches!(&self.verbs.promote, Some((number, name)) if is_for(*number) && name == stage)
    }
}

/// Returns what to remember next. It is what is remembered already if nothing has to be written.
pub(crate) fn advance(
    course: &Course<'_>,
    memory: Option<&Memory>,
    seen: &Seen,
    survey: &impl Survey,
) -> Memory {
    let Some(memory) = memory else {
        return first_memory(course, seen, survey);
    };
    if memory.update != *course.update {
        return new_rollout(course, memory, survey);
    }
    let mut next = memory.clone();
    let rollout = memory.rollout;
    if rollout > 0 && course.verbs.retry == rollout && memory.state != State::Completed {
        end(&mut next, Outcome::Retried, course.now);
        begin(&mut next, course);
        return next;
    }
    let may_abort = Rule::Abort.counts()
        && matches!(
            memory.state,
            State::Waiting | State::Progressing | State::MemoryLost
        );
    if rollout > 0 && course.verbs.abort == rollout && may_abort {
        end(&mut next, Outcome::Aborted, course.now);
        next.state = State::GoingBack;
        return next;
    }
    if course.is_paused() {
        return next;
    }
    match memory.state {
        State::Waiting if course.is_promoted(rollout, &Text::from("")) || !Rule::Attached.counts() => {
            next.state = direction(&next);
            next.started_at = course.now;
        }
        State::Progressing => go_through_stages(course, &mut next, seen, survey),
        State::GoingBack if next.current == next.update && seen.pending == 0 => {
            end(&mut next, Outcome::Completed, course.now);
            next.state = State::Completed;
        }
        State::Waiting | State::GoingBack | State::Completed | State::MemoryLost => {}
    }
    next
}

/// Returns what to remember next of a rollout to which no policy applies any more. It stays as it is, unless somebody has
/// promoted all its stages: then it is over, and the `DaemonSet`'s own strategy replaces the old pods, or leaves them.
pub(crate) fn without_policy(course: &Course<'_>, memory: &Memory, strategy: Strategy) -> Memory {
    let mut next = memory.clone();
    let is_promoted = memory.rollout > 0 && course.verbs.promote_full == memory.rollout;
    let can_end =
        matches!(memory.state, State::Waiting | State::Progressing) && memory.update == *course.update;
    if is_promoted && can_end && !course.verbs.paused {
        end(&mut next, Outcome::Completed, course.now);
        next.state = State::Completed;
        if strategy != Strategy::OnDelete {
            next.current = next.update.clone();
            next.is_current_observed = false;
        }
    }
    next
}

/// When the stages can next change without an event: the end of a soak.
pub(crate) fn next_change_at(course: &Course<'_>, memory: &Memory) -> Option<Millis> {
    if memory.state != State::Progressing || course.is_paused() {
        return None;
    }
    let ends = memory.stages.iter().filter(|stage| stage.done_at.is_none());
    let ends = ends.filter_map(|remembered| {
        let stage = course
            .policy
            .stages
            .iter()
            .find(|stage| stage.name == remembered.name)?;
        Some(remembered.updated_at?.plus(stage.soak_millis))
    });
    ends.filter(|at| *at > course.now).min()
}

/// What to remember when a policy begins to apply (T4). Old pods wait for a promotion, so that a policy starts nothing. If a
/// rollout had begun already, how far it had come is lost, so they wait for a retry (T14).
fn first_memory(course: &Course<'_>, seen: &Seen, survey: &impl Survey) -> Memory {
    let update = course.update.clone();
    if seen.old == 0 {
        return Memory {
            current: update.clone(),
            update,
            ..Memory::default()
        };
    }
    Memory {
        rollout: 1,
        current: survey.most_available().unwrap_or_else(|| update.clone()),
        is_current_observed: true,
        update,
        started_at: course.now,
        state: if course.is_marked_held {
            State::MemoryLost
        } else {
            State::Waiting
        },
        ..Memory::default()
    }
}

/// A new template begins a rollout. If it is the current one, every node goes back to it without stages (T8). If every
/// node runs what the last rollout brought, though that rollout waited for a soak or a promotion, that revision becomes
/// current (T11).
fn new_rollout(course: &Course<'_>, memory: &Memory, survey: &impl Survey) -> Memory {
    let mut next = memory.clone();
    let was_going = matches!(
        memory.state,
        State::Waiting | State::Progressing | State::MemoryLost
    );
    if was_going && survey.is_everywhere(&memory.update) {
        next.current = memory.update.clone();
        next.is_current_observed = false;
    }
    if memory.state != State::Completed && memory.rollout > 0 {
        end(&mut next, Outcome::Superseded, course.now);
    }
    next.update = course.update.clone();
    begin(&mut next, course);
    next
}

fn begin(memory: &mut Memory, course: &Course<'_>) {
    memory.rollout = memory.rollout.saturating_add(1);
    memory.started_at = course.now;
    memory.stages.clear();
    memory.state = direction(memory);
}

/// What a rollout does when it begins: it goes through the stages, unless the nodes go to the current revision.
fn direction(memory: &Memory) -> State {
    if memory.current == memory.update {
        State::GoingBack
    } else {
        State::Progressing
    }
}

/// Remembers how the rollout has ended. An aborted rollout keeps that outcome.
fn end(memory: &mut Memory, outcome: Outcome, now: Millis) {
    let has_ended = memory
        .attempts
        .last()
        .is_some_and(|attempt| attempt.rollout == memory.rollout);
    if has_ended {
        return;
    }
    memory.attempts.push(Attempt {
        rollout: memory.rollout,
        update: memory.update.clone(),
        outcome,
        ended_at: now,
    });
    let excess = memory.attempts.len().saturating_sub(MAX_ATTEMPTS);
    memory.attempts.drain(..excess);
}

/// Ends the active stage if it is done, and opens the next one (T5). At the end, the update revision becomes current (T11).
fn go_through_stages(course: &Course<'_>, memory: &mut Memory, seen: &Seen, survey: &impl Survey) {
    let stages = &course.policy.stages;
    // While a stage isn't done, the stages after it are closed, and what their cells show means nothing. So a later stage
    // that is open already, because the policy has changed, is evaluated only when the end of this one is reported
    // back.
    let mut has_ended_one = false;
    for position in 0..=stages.len() {
        let stage = stages.get(position);
        let name = stage.map_or_else(|| Text::from(""), |stage| stage.name.clone());
        let index = StageIndex::try_from(position).unwrap_or(StageIndex::MAX);
        let seen_stage = seen.stages.get(position).copied().unwrap_or_default();
        let Some(remembered) = memory.stages.iter_mut().find(|stage| stage.name == name) else {
            let opened = open(course, name, stage, index, seen, survey);
            memory.stages.push(opened);
            order(memory, course.policy);
            return;
        };
        if remembered.done_at.is_some() {
            continue;
        }
        if has_ended_one {
            return;
        }
        if let Some(stage) = stage {
            let size = remembered.size;
            apply_size(remembered, stage, index, seen, survey);
            if remembered.size != size {
                // What the stage shows now is about the nodes that it had.
                return;
            }
            let is_updated = (seen_stage.pending == 0 || !Rule::StageIsUpdated.counts())
                && (seen_stage.updated_available > 0 || !Rule::StageIsNotEmpty.counts());
            if remembered.updated_at.is_none() && is_updated {
                remembered.updated_at = Some(course.now);
            }
            let soak_millis = if Rule::Soak.counts() { stage.soak_millis } else { 0 };
            let soaks_until = remembered.updated_at.map(|at| at.plus(soak_millis));
            let is_over = soaks_until.is_some_and(|until| until <= course.now) && !is_manual(stage);
            if !is_over && !course.is_promoted(memory.rollout, &stage.name) {
                return;
            }
            has_ended_one = true;
        } else if seen_stage.pending > 0 && Rule::Completion.counts() {
            return;
        } else {
            remembered.updated_at = Some(course.now);
        }
        remembered.done_at = Some(course.now);
    }
    // The stages before may have lost nodes since they were done, so all nodes are looked at once more.
    let is_over = seen.pending == 0 && !seen.is_stalled;
    if !has_ended_one && (is_over || !Rule::Completion.counts()) {
        end(memory, Outcome::Completed, course.now);
        memory.state = State::Completed;
        memory.current = memory.update.clone();
        memory.is_current_observed = false;
    }
}

/// Whether a stage ends only when somebody promotes it. A partition ends when it is 0.
fn is_manual(stage: &Stage) -> bool {
    match stage.size {
        StageSize::AllBut(Budget::Count(kept) | Budget::Percent(kept)) => kept > 0,
        StageSize::All | StageSize::Count(_) | StageSize::Percent(_) => {
            stage.is_manual && Rule::ManualPromotion.counts()
        }
    }
}

/// Puts the remembered stages in the order of the policy. Stages that the policy no longer has come first. The oldest of them
/// are forgotten if there are too many.
fn order(memory: &mut Memory, policy: &PolicySpec) {
    memory.stages.sort_by_key(|remembered| {
        if remembered.name.is_empty() {
            return policy.stages.len() + 1;
        }
        let position = policy
            .stages
            .iter()
            .position(|stage| stage.name == remembered.name);
        position.map_or(0, |position| position + 1)
    });
    let excess = memory.stages.len().saturating_sub(MAX_REMEMBERED_STAGES);
    memory.stages.drain(..excess);
}
