//! Nodes.

use serde::Deserialize;

use super::{
    Meta, conditions,
    fields::{list, null_as_default},
};

/// The condition that says whether a node is ready.
pub const READY: &str = "Ready";

/// The conditions that say that a node shuts down, is drained or is under maintenance.
pub const LIFECYCLE_CONDITIONS: [&str; 5] = [
    "DrainInProgress",
    "Drained",
    "GracefulNodeShutdownInProgress",
    "MaintenanceInProgress",
    "MaintenancePlanned",
];

/// A node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
    /// spec.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: NodeSpec,
    /// The parts of status that are read.
    #[serde(deserialize_with = "null_as_default")]
    pub status: NodeHealth,
}

/// A node's spec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// spec.taints.
    #[serde(deserialize_with = "list")]
    pub taints: Vec<Taint>,
}

/// One of a node's spec.taints.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// The taint's key.
    #[serde(deserialize_with = "null_as_default")]
    pub key: String,
    /// The taint's value.
    #[serde(deserialize_with = "null_as_default")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[serde(deserialize_with = "null_as_default")]
    pub effect: String,
}

/// The conditions of a node's status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeHealth {
    /// Those of status.conditions that facts read. The times of the heartbeats in the others don't matter.
    #[serde(deserialize_with = "conditions::of_node")]
    pub conditions: Vec<NodeCondition>,
}

/// One of a node's status.conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeCondition {
    /// The condition's type, such as Ready.
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
}

impl NodeCondition {
    /// Whether facts read the condition of this type.
    pub fn is_read(kind: &str) -> bool {
        kind == READY || LIFECYCLE_CONDITIONS.contains(&kind)
    }
}
