//! Affinities.

use serde::Deserialize;

use super::NodeSelector;

/// A pod's affinity, reduced to its node affinity.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    /// affinity.nodeAffinity.
    pub node_affinity: Option<NodeAffinity>,
}

impl Affinity {
    /// The required node affinity, if there is one.
    pub fn required(&self) -> Option<&NodeSelector> {
        self.node_affinity
            .as_ref()?
            .required_during_scheduling_ignored_during_execution
            .as_ref()
    }
}

/// A pod's node affinity, reduced to its required part.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAffinity {
    /// requiredDuringSchedulingIgnoredDuringExecution.
    pub required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}
