//! Pod templates.

use serde::Deserialize;

use super::{
    Affinity, StringMap,
    fields::{list, null_as_default, string_map},
};

/// A toleration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Toleration {
    /// The taint key to match. Empty with operator Exists matches every key.
    #[serde(deserialize_with = "null_as_default")]
    pub key: String,
    /// Equal (the default when empty) or Exists.
    #[serde(deserialize_with = "null_as_default")]
    pub operator: String,
    /// The taint value to match with Equal.
    #[serde(deserialize_with = "null_as_default")]
    pub value: String,
    /// The taint effect to match. Empty matches every effect.
    #[serde(deserialize_with = "null_as_default")]
    pub effect: String,
}

/// The parts of a pod template that placement reads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodTemplate {
    /// template.spec.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: PodTemplateSpec,
}

/// The parts of a pod template's spec that placement reads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplateSpec {
    /// spec.nodeName.
    #[serde(deserialize_with = "null_as_default")]
    pub node_name: String,
    /// spec.nodeSelector.
    #[serde(deserialize_with = "string_map")]
    pub node_selector: StringMap,
    /// spec.affinity.
    pub affinity: Option<Affinity>,
    /// spec.tolerations.
    #[serde(deserialize_with = "list")]
    pub tolerations: Vec<Toleration>,
    /// spec.hostNetwork.
    #[serde(deserialize_with = "null_as_default")]
    pub host_network: bool,
}
