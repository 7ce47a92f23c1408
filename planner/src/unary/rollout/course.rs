//! The result of a simulation.

use std::sync::Arc;

use hashbrown::HashMap;

use super::observer::Observer;
use crate::model::{Text, rollout::PolicySpec};

/// What happens in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKind {
    Opened,
    Updated,
    PromotionNeeded,
    Done,
    Completed,
}

/// A step of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Milliseconds since the template changed.
    pub(super) at: i64,
    /// The stage. Empty for the last one.
    pub(super) stage: Text,
    pub(super) kind: StepKind,
    /// Nodes of the stage that should run a pod.
    pub(super) nodes: usize,
    /// Nodes with an available pod of the update revision.
    pub(super) updated: usize,
    /// Nodes without an available pod.
    pub(super) unavailable: usize,
    /// The most of them since the step before.
    pub(super) most_unavailable: usize,
}

/// How the rollout ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every node has the update revision.
    Completed,
    /// The nodes of the partition keep the current revision.
    Partition,
    /// Nothing more happens. The reason is a sentence.
    Stuck(String),
}

/// The result of a simulation.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) outcome: Outcome,
    /// Milliseconds until the rollout ends.
    pub(super) duration: i64,
    pub(super) steps: Vec<Step>,
    pub(super) updated: usize,
    /// The policy that applies.
    pub(super) policy: Text,
    pub(super) spec: Arc<PolicySpec>,
    /// The number of nodes that should run a pod and that the stage selects, for each stage.
    pub(super) selected: HashMap<Text, usize>,
    /// The number of nodes of each stage that has opened.
    pub(super) stage_nodes: HashMap<Text, usize>,
    pub(super) topology_key: Text,
    pub(super) observer: Observer,
}
