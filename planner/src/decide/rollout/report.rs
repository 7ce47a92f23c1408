//! Describes the state of a rollout, for people and for tools that wait for it.

use super::{
    advance::{Course, Seen, StageSeen},
    groups::Domain,
    staging::{StageIndex, Staging},
};
use crate::model::{
    Millis, Text,
    rollout::{Memory, StageMemory, StageSize, State},
};

/// The state of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What to remember.
    pub memory: Memory,
    /// The uid of the policy that applies. Empty if none does any more.
    pub policy: Text,
    /// What the rollout is doing.
    pub phase: Phase,
    /// The reason for the phase, in one word.
    pub reason: &'static str,
    /// The reason as a sentence.
    pub message: String,
    /// All stages, with the last one for all other nodes.
    pub stages: Vec<StageReport>,
    /// Nodes that should run a pod.
    pub desired: usize,
    /// Those with a pod of the update revision.
    pub updated: usize,
    /// Those whose pod of the update revision is available.
    pub updated_available: usize,
    /// Nodes whose pod wasn't available when the rollout began.
    pub ignored: usize,
    /// Nodes that a label holds at their revision.
    pub held: usize,
}

/// What a rollout is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Every node has the update revision.
    Completed,
    /// Pods are being replaced.
    Progressing,
    /// A stage is soaking.
    Soaking,
    /// The rollout waits for a promotion, or the policy's partition holds it.
    Waiting,
    /// Somebody has paused it.
    Paused,
    /// Something is missing or wrong.
    Stalled,
    /// Nodes go to the current revision.
    GoingBack,
}

/// The state of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageReport {
    /// Its name. Empty for the last stage.
    pub name: Text,
    /// What its cells show.
    pub seen: StageSeen,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether the next stage could open.
    pub is_done: bool,
    /// The end of its soak, while it lasts.
    pub soaks_until: Option<Millis>,
    /// The domain whose pods are replaced now, if the policy has an order.
    pub(crate) domain: Option<Domain>,
}

/// Why a rollout replaces nothing, although it isn't complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The policies can't be read.
    PoliciesUnknown,
    /// No policy applies any more.
    PolicyGone,
    /// The policy is invalid.
    PolicyInvalid(Text),
    /// Somebody has paused it.
    Paused,
    /// What the rollout is about to do hasn't been written yet.
    NotWritten,
    /// Old pods wait for a promotion, because they were there when the policy began to apply.
    Waiting,
    /// Nothing is remembered of a rollout that had begun.
    MemoryLost,
    /// The `ControllerRevision` of the current revision is gone, so no node can go back to it.
    CurrentRevisionLost,
    /// Too many nodes had no available pod when the rollout began.
    TooManyIgnored(usize),
}

impl Hold {
    /// The phase, the reason in one word, and the reason as a sentence.
    pub(crate) fn describe(&self) -> (Phase, &'static str, String) {
        match self {
            Self::PoliciesUnknown => (
                Phase::Stalled,
                "PoliciesUnknown",
                "the rollout policies can't be read at the moment, so nothing is replaced".to_owned(),
            ),
            Self::PolicyGone => (
                Phase::Stalled,
                "PolicyGone",
                "no rollout policy applies any more, so the rollout is held; apply one, or skip all stages (promote \
                 --full)"
                    .to_owned(),
            ),
            Self::PolicyInvalid(error) => (
                Phase::Stalled,
                "PolicyInvalid",
                format!("the rollout policy is invalid, so the rollout is held: {error}"),
            ),
            Self::Paused => (
                Phase::Paused,
                "Paused",
                "the rollout is paused; missing pods are still created".to_owned(),
            ),
            Self::NotWritten => (
                Phase::Progressing,
                "NotRecorded",
                "the next step is being recorded".to_owned(),
            ),
            Self::Waiting => (
                Phase::Waiting,
                "PolicyAttached",
                "old pods were there when the policy began to apply; promote the rollout to replace them".to_owned(),
            ),
            Self::MemoryLost => (
                Phase::Stalled,
                "MemoryLost",
                "which stages were done isn't known any more, so the rollout is held; retry it to start again with the \
                 first stage"
                    .to_owned(),
            ),
            Self::CurrentRevisionLost => (
                Phase::Stalled,
                "CurrentRevisionLost",
                "the ControllerRevision of the current revision is gone, so no node can go back to it; change the template, \
                 or retry the rollout"
                    .to_owned(),
            ),
            Self::TooManyIgnored(nodes) => (
                Phase::Stalled,
                "TooManyIgnored",
                format!(
                    "{nodes} nodes had no available pod when the rollout began, more than 30 %, so nothing would show \
                     that the update works; repair them"
                ),
            ),
        }
    }
}

/// The phase of a rollout that isn't held, with its reason in one word and as a sentence.
pub(crate) fn describe(
    course: &Course<'_>,
    memory: &Memory,
    staging: &Staging,
    seen: &Seen,
) -> (Phase, &'static str, String) {
    match memory.state {
        State::Completed => (
            Phase::Completed,
            "Completed",
            "every node has the update revision".to_owned(),
        ),
        State::GoingBack if seen.pending == 0 => (
            Phase::GoingBack,
            "Aborted",
            "the rollout was aborted, and every node has the current revision; change the template, or retry the \
             rollout"
                .to_owned(),
        ),
        State::GoingBack => (
            Phase::GoingBack,
            "GoingBack",
            format!("{} nodes don't have the current revision yet", seen.pending),
        ),
        State::Waiting => Hold::Waiting.describe(),
        State::MemoryLost => Hold::MemoryLost.describe(),
        State::Progressing => describe_stage(course, staging, seen),
    }
}

fn describe_stage(course: &Course<'_>, staging: &Staging, seen: &Seen) -> (Phase, &'static str, String) {
    let active = staging.active().unwrap_or_default();
    let seen = seen.stages.get(usize::from(active)).copied().unwrap_or_default();
    let stage = course.policy.stages.get(usize::from(active));
    let Some((stage, remembered)) = stage.zip(staging.remembered(active)) else {
        let message = format!(
            "{} of {} remaining nodes are updated",
            seen.updated_available, seen.desired
        );
        return (Phase::Progressing, "Progressing", message);
    };
    let name = &stage.name;
    if let Some(updated_at) = remembered.updated_at {
        let until = updated_at.plus(stage.soak_millis);
        if until > course.now {
            return (
                Phase::Soaking,
                "Soaking",
                format!(
                    "stage {name} is updated and soaks for {} s in all",
                    stage.soak_millis / 1_000
                ),
            );
        }
        return match stage.size {
            StageSize::AllBut(_) => partition(),
            _ => (
                Phase::Waiting,
                "WaitingForPromotion",
                format!("stage {name} is updated and waits for its promotion"),
            ),
        };
    }
    if seen.pending == 0 && seen.updated_available == 0 {
        if matches!(stage.size, StageSize::AllBut(_)) {
            return partition();
        }
        return (
            Phase::Waiting,
            "StageEmpty",
            format!(
                "no node of stage {name} can be updated, so nothing shows that the update works; promote the stage"
            ),
        );
    }
    (
        Phase::Progressing,
        "Progressing",
        format!(
            "stage {name}: {} of {} nodes are updated and available",
            seen.updated_available, seen.desired
        ),
    )
}

fn partition() -> (Phase, &'static str, String) {
    (
        Phase::Waiting,
        "Partition",
        "the policy's partition keeps the other nodes on the current revision".to_owned(),
    )
}

/// The state of each stage. `domains` are those whose pods are replaced now, for each stage.
pub(crate) fn stages(
    course: &Course<'_>,
    staging: &Staging,
    seen: &Seen,
    domains: &[Option<Domain>],
) -> Vec<StageReport> {
    let last = std::iter::once(None);
    let all = course.policy.stages.iter().map(Some).chain(last);
    let report = |(position, stage): (StageIndex, Option<&crate::model::rollout::Stage>)| {
        let remembered = staging.remembered(position);
        let soaks_until = remembered.and_then(|remembered: &StageMemory| {
            let until = remembered.updated_at?.plus(stage?.soak_millis);
            (remembered.done_at.is_none() && until > course.now).then_some(until)
        });
        StageReport {
            name: stage.map_or_else(Text::default, |stage| stage.name.clone()),
            seen: seen
                .stages
                .get(usize::from(position))
                .copied()
                .unwrap_or_default(),
            is_open: staging.is_open(position),
            is_done: remembered.is_some_and(|remembered| remembered.done_at.is_some()),
            soaks_until,
            domain: course
                .policy
                .order
                .as_ref()
                .and_then(|_| domains.get(usize::from(position))?.clone()),
        }
    };
    (0..).zip(all).map(report).collect()
}
