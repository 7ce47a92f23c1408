//! Pods.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Affinity, Meta, conditions,
    fields::{null_as_default, time},
};

/// A pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
    /// spec.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: PodSpec,
    /// status.
    #[serde(deserialize_with = "null_as_default")]
    pub status: PodStatus,
}

/// The fields of a pod's spec that are read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// spec.nodeName; empty while the pod isn't bound.
    #[serde(deserialize_with = "null_as_default")]
    pub node_name: String,
    /// spec.affinity.
    pub affinity: Option<Affinity>,
}

/// A pod's status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    /// status.phase.
    #[serde(deserialize_with = "null_as_default")]
    pub phase: String,
    /// Only the Ready condition of status.conditions, if present; no decision reads the others.
    #[serde(deserialize_with = "conditions::ready_only")]
    pub conditions: Vec<Condition>,
}

/// One of a pod's status.conditions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// The condition's type, such as Ready.
    #[serde(deserialize_with = "null_as_default")]
    pub r#type: String,
    /// True, False or Unknown.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// When the status last changed.
    #[serde(deserialize_with = "time")]
    pub last_transition_time: Option<Timestamp>,
}
