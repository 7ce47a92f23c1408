//! Says where one node is in a rollout, and why it isn't its turn. It decides nothing: the rules are those of the plan.

mod reason;

use super::{
    super::{
        Rules,
        cell::{Cell, RolloutCell, Target},
    },
    groups::Domain,
    policy::RolloutRules,
    report::Hold,
    staging::Staging,
};
use crate::model::{
    DaemonSet, Text,
    rollout::{Memory, StageSize},
};

/// Where a node is in a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The number of the rollout. 0 if none is remembered yet.
    pub rollout: i64,
    /// The name of the node's stage. Empty for the last one, and if the stages don't count.
    pub stage: Text,
    /// The position of the stage, from 1. 0 if the stages don't count.
    pub stage_number: usize,
    /// The number of stages, with the last one for all other nodes. 0 if the stages don't count.
    pub stages: usize,
    /// The revision that the node's pod should have now.
    pub target: Text,
    /// Why the node has its revision, or not the update revision yet.
    pub reason: PositionReason,
    /// The reason as a sentence, with the stage.
    pub message: String,
}

/// Why a node has its revision, or not the update revision yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionReason {
    /// No rollout is under way.
    Completed,
    /// The node has an available pod of its target revision.
    Updated,
    /// The old pod is gone or has a successor, which isn't available yet.
    InReplacement,
    /// The pod is replaced next.
    Next,
    /// The node waits for a slot of a budget.
    Budget,
    /// Another domain of the stage comes first.
    Order,
    /// The node's stage hasn't opened yet.
    EarlierStage,
    /// The policy's partition keeps the node on the current revision.
    Partition,
    /// A label of the node holds its pod.
    Held,
    /// Somebody has paused the rollout.
    Paused,
    /// Old pods wait for a promotion.
    NotPromoted,
    /// The next step is being recorded.
    NotRecorded,
    /// No policy applies any more.
    PolicyGone,
    /// The policy is invalid.
    PolicyInvalid,
    /// The policies can't be read.
    PoliciesUnknown,
    /// Too many nodes had no available pod when the rollout began.
    TooManyIgnored,
    /// Which stages were done isn't known any more.
    MemoryLost,
    /// The `ControllerRevision` of the current revision is gone, so no node can go back to it.
    CurrentRevisionLost,
}

/// The counts of all nodes of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Nodes that should run a pod.
    pub(crate) desired: usize,
    /// Nodes without an available pod, except ignored ones.
    pub(crate) unavailable: usize,
    /// Nodes whose pod is being replaced. `None` if that isn't known.
    pub(crate) in_replacement: Option<usize>,
    /// Nodes whose pod wasn't available when the rollout began.
    pub(crate) ignored: usize,
    /// Each stage, with the last one for all other nodes.
    pub(crate) stages: Vec<StageTotals>,
}

/// The counts of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StageTotals {
    /// Nodes that should run a pod.
    pub(crate) desired: usize,
    /// Those whose pod of the update revision is available.
    pub(crate) updated_available: usize,
    /// The domain whose pods are replaced now. `None` if no domain is left.
    pub(crate) domain: Option<Domain>,
}

/// What a position follows from, apart from the node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing<'r> {
    /// The policy that applies, for people. Empty if none does.
    pub(crate) policy: &'r str,
    pub(crate) memory: Option<&'r Memory>,
    /// `None` while the rollout holds nothing back.
    pub(crate) staging: Option<&'r Staging>,
    /// Why nothing is replaced.
    pub(crate) hold: Option<&'r Hold>,
    pub(crate) totals: &'r Totals,
}

/// Returns where a node is in the rollout. `None` if neither revision has a pod there.
pub(crate) fn position(standing: &Standing<'_>, rules: &Rules<'_>, cell: &Cell<'_, '_>) -> Option<Position> {
    let update_verdict = cell.rollout.and_then(|seen| seen.update_verdict);
    let runs = |verdict| verdict == Some(crate::model::Verdict::Run);
    if !runs(cell.verdict) && !runs(update_verdict) && cell.pods.is_empty() {
        return None;
    }
    let (Some(seen), Some(rollout), Some(staging)) = (&cell.rollout, &rules.rollout, standing.staging) else {
        return Some(standing.completed(rules.daemon_set));
    };
    let place = Place::new(standing, rollout, staging, seen);
    let (reason, message) = standing.reason(rules, rollout, cell, seen, &place);
    Some(Position {
        rollout: standing.number(),
        stage: place.name.clone(),
        stage_number: place.number,
        stages: place.stages,
        target: match seen.target {
            Target::Update => rules.daemon_set.update_revision.clone(),
            Target::Current => rollout.current.clone(),
        },
        reason,
        message,
    })
}

/// The stage of a node, for people.
struct Place {
    name: Text,
    number: usize,
    stages: usize,
    text: String,
}

impl Place {
    fn new(
        standing: &Standing<'_>,
        rollout: &RolloutRules<'_>,
        staging: &Staging,
        seen: &RolloutCell,
    ) -> Self {
        let of_rollout = match standing.number() {
            0 => "the rollout".to_owned(),
            number => format!("rollout {number}"),
        };
        let stages = &rollout.spec.stages;
        let is_partition = stages
            .iter()
            .any(|stage| matches!(stage.size, StageSize::AllBut(_)));
        if !rollout.has_stages || stages.is_empty() || is_partition {
            return Self {
                name: Text::default(),
                number: 0,
                stages: 0,
                text: of_rollout,
            };
        }
        let index = usize::from(seen.group.stage);
        let (number, count) = (index.saturating_add(1), staging.len());
        let name = stages.get(index).map(|stage| stage.name.clone());
        let text = match &name {
            Some(name) => format!("stage {name} ({number} of {count}) of {of_rollout}"),
            None => format!("the last stage ({number} of {count}) of {of_rollout}"),
        };
        Self {
            name: name.unwrap_or_default(),
            number,
            stages: count,
            text,
        }
    }
}

impl Standing<'_> {
    fn number(&self) -> i64 {
        self.memory.map_or(0, |memory| memory.rollout)
    }

    fn completed(&self, daemon_set: &DaemonSet) -> Position {
        let message = match self.number() {
            0 => "no rollout is under way".to_owned(),
            number => format!("no rollout is under way: rollout {number} is complete"),
        };
        Position {
            rollout: self.number(),
            stage: Text::default(),
            stage_number: 0,
            stages: 0,
            target: daemon_set.update_revision.clone(),
            reason: PositionReason::Completed,
            message,
        }
    }
}
