//! Rollout policies, and what is remembered of rollouts.

use std::sync::Arc;

use super::{Budget, LabelKey, Labels, Millis, Text};

/// The maximum number of stages of a policy.
pub const MAX_STAGES: usize = 16;
/// The maximum number of stages that are remembered. A policy that is edited may leave more than one policy has.
pub const MAX_REMEMBERED_STAGES: usize = 4 * MAX_STAGES;
/// The maximum number of nodes that a stage picks by name.
pub const MAX_PICKED: usize = 50;
/// The maximum number of earlier rollouts that are remembered.
pub const MAX_ATTEMPTS: usize = 10;

/// A selector of labels. Without requirements, it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// All of these must be met.
    pub requirements: Vec<LabelRequirement>,
}

/// A requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRequirement {
    /// The label's key.
    pub key: LabelKey,
    /// What its value must be.
    pub condition: LabelCondition,
}

/// What the value of a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelCondition {
    /// One of these values.
    In(Vec<Text>),
    /// None of these values. A missing label meets this.
    NotIn(Vec<Text>),
    /// Any value.
    Exists,
    /// No value: the label is missing.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether the selector selects an object with these labels.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.condition {
                LabelCondition::In(values) => value.is_some_and(|value| values.contains(value)),
                LabelCondition::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                LabelCondition::Exists => value.is_some(),
                LabelCondition::DoesNotExist => value.is_none(),
            }
        })
    }
}

/// A `DaemonSetRolloutPolicy` or a `ClusterDaemonSetRolloutPolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// metadata.uid.
    pub uid: Text,
    /// metadata.namespace. `None` for a policy of the cluster.
    pub namespace: Option<Text>,
    /// metadata.name.
    pub name: Text,
    /// metadata.creationTimestamp.
    pub created: Millis,
    /// metadata.generation.
    pub generation: i64,
    /// The `DaemonSet`s that it targets.
    pub targets: Targets,
    /// How they are rolled out, or what is wrong with the policy.
    pub spec: Result<Arc<PolicySpec>, Text>,
}

/// The `DaemonSet`s that a policy targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Those with these names in the policy's namespace.
    Names(Vec<Text>),
    /// Those with these labels, in the policy's namespace or in the selected namespaces.
    Labels {
        /// Selects namespaces. Always selects the namespace of a namespaced policy.
        namespaces: LabelSelector,
        /// Selects `DaemonSet`s.
        daemon_sets: LabelSelector,
    },
}

/// How Everynode rolls out the `DaemonSet`s of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySpec {
    /// Whether nothing is replaced.
    pub paused: bool,
    /// How many nodes may be without an available pod. `None`: as the `DaemonSet` says.
    pub max_unavailable: Option<Budget>,
    /// Whether unavailable pods are replaced without a slot of the budget.
    pub allows_unhealthy: bool,
    /// Whether pods that are created on nodes that haven't been released get the update revision.
    pub unreleased_get_update: bool,
    /// The stages. All other nodes form a last stage.
    pub stages: Vec<Stage>,
    /// The order of the nodes within a stage.
    pub order: Option<Order>,
}

/// A step of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub name: Text,
    /// The nodes that can be in the stage.
    pub node_selector: LabelSelector,
    /// How many of them are.
    pub size: StageSize,
    /// The label over whose values picked nodes are spread.
    pub topology_key: Option<LabelKey>,
    /// How long the stage waits when all its nodes are updated, in milliseconds.
    pub soak_millis: i64,
    /// Whether somebody has to promote the stage.
    pub is_manual: bool,
    /// How many nodes of the stage may be without an available pod.
    pub max_unavailable: Option<Budget>,
}

/// How many of the nodes that a stage selects are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageSize {
    /// All of them.
    All,
    /// So many, which are picked when the stage opens.
    Count(usize),
    /// As many as are needed for this percentage of the desired nodes to be released.
    Percent(u32),
    /// All but so many of the desired nodes, which keep the current revision: the partition of a policy.
    AllBut(Budget),
}

/// The order of the nodes within a stage: one domain after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The label whose value is a node's domain.
    pub topology_key: LabelKey,
    /// How many nodes of a domain may be without an available pod.
    pub max_unavailable: Option<Budget>,
}

/// Whether the cluster's policies are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Knowledge {
    /// The cluster has no such kinds, or the executor doesn't know them.
    #[default]
    Absent,
    /// Every policy has been reported.
    Known,
    /// They can't be read at the moment.
    Unknown,
}

/// What people ask of a rollout. A verb counts for the rollout with its number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verbs {
    /// Whether nothing is replaced.
    pub paused: bool,
    /// Ends the stage of this name. An empty name means the wait before the first stage.
    pub promote: Option<(i64, Text)>,
    /// The rollout whose stages are all skipped.
    pub promote_full: i64,
    /// The rollout that goes back to the current revision.
    pub abort: i64,
    /// The rollout that starts again.
    pub retry: i64,
    /// Nodes that are released before their turn.
    pub release: (i64, Vec<Text>),
}

/// What is remembered of a `DaemonSet`'s rollouts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// The number of the rollout.
    pub rollout: i64,
    /// The revision that nodes have before the rollout releases them, and go back to.
    pub current: Text,
    /// Whether most pods carried that revision when no rollout had completed yet.
    pub is_current_observed: bool,
    /// The revision that nodes get from the rollout.
    pub update: Text,
    /// When the rollout began.
    pub started_at: Millis,
    /// What it is doing.
    pub state: State,
    /// The stages that have opened, in order.
    pub stages: Vec<StageMemory>,
    /// Earlier rollouts, the latest last.
    pub attempts: Vec<Attempt>,
}

/// What a rollout is doing, as far as it has to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Old pods wait for a promotion, because they were there when a policy began to apply.
    Waiting,
    /// The update revision goes through the stages.
    Progressing,
    /// Every node goes to the current revision.
    GoingBack,
    /// Every node has the update revision.
    #[default]
    Completed,
    /// A rollout had begun, and nothing is remembered of it.
    MemoryLost,
}

/// What is remembered of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageMemory {
    /// Its name. Empty for the last stage, which has all other nodes.
    pub name: Text,
    /// When it opened.
    pub opened_at: Millis,
    /// When all its nodes that existed when it opened had an available pod of the update revision.
    pub updated_at: Option<Millis>,
    /// When the next stage could open.
    pub done_at: Option<Millis>,
    /// The nodes that were picked.
    pub nodes: Vec<Text>,
    /// Nodes whose hash is below this limit are in this stage or an earlier one.
    pub hash_limit: Option<u32>,
    /// The size of the stage for which the nodes or the limit were chosen: a number or a percentage.
    pub size: Option<StageSize>,
}

/// A rollout that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number.
    pub rollout: i64,
    /// Its update revision.
    pub update: Text,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended.
    pub ended_at: Millis,
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every node got the update revision.
    Completed,
    /// Another template replaced it.
    Superseded,
    /// Somebody aborted it.
    Aborted,
    /// Somebody started it again.
    Retried,
}
