//! Nodes.

use serde::Deserialize;

use super::{
    Meta,
    fields::{list, null_as_default},
};

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
