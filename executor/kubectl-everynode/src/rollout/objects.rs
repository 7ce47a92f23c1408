//! The objects of the cluster that rollout commands read, as far as they use them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) generation: i64,
    pub(crate) creation_timestamp: Option<Timestamp>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OwnerReference {
    pub(crate) uid: String,
    pub(crate) controller: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct DaemonSet {
    pub(crate) metadata: Metadata,
    pub(crate) status: DaemonSetStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DaemonSetStatus {
    pub(crate) observed_generation: i64,
}

/// A `DaemonSetRollout`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Rollout {
    pub(crate) metadata: Metadata,
    pub(crate) spec: RolloutSpec,
    pub(crate) status: RolloutStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RolloutSpec {
    pub(crate) paused: bool,
    pub(crate) release: Option<Release>,
}

/// Nodes that get the update revision before their turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Release {
    pub(crate) rollout: i64,
    pub(crate) nodes: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RolloutStatus {
    pub(crate) rollout: i64,
    pub(crate) daemon_set_uid: String,
    pub(crate) daemon_set_generation: i64,
    pub(crate) observed_generation: i64,
    pub(crate) policy_ref: Option<PolicyRef>,
    pub(crate) current_revision: String,
    pub(crate) update_revision: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) state: State,
    pub(crate) phase: Phase,
    pub(crate) stage: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) stages: Vec<StageStatus>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) desired: u64,
    pub(crate) updated: u64,
    pub(crate) updated_available: u64,
    pub(crate) ignored: u64,
    pub(crate) ignored_nodes: Vec<String>,
}

/// The policy that applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PolicyRef {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// What a rollout has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum State {
    Waiting,
    Progressing,
    GoingBack,
    Completed,
    /// A rollout had begun, and how far it had come isn't known any more.
    MemoryLost,
    /// Nothing is recorded yet, or a later version of Everynode has written the status.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What a rollout is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Phase {
    Completed,
    Progressing,
    Soaking,
    Waiting,
    Paused,
    Stalled,
    GoingBack,
    /// Nothing is recorded yet, or a later version of Everynode has written the status.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A stage that has opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StageStatus {
    /// Empty for the last stage, which has all other nodes.
    pub(crate) name: String,
    pub(crate) opened_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) done_at: Option<Timestamp>,
    pub(crate) nodes: Vec<String>,
    /// Nodes of the stage that should run a pod. Earlier versions of Everynode don't write the counts.
    pub(crate) desired: Option<u64>,
    /// Those with an available pod of the update revision.
    pub(crate) updated_available: Option<u64>,
}

/// A rollout that has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Attempt {
    pub(crate) rollout: i64,
    pub(crate) update_revision: String,
    pub(crate) outcome: String,
    pub(crate) ended_at: Option<Timestamp>,
}

/// A `DaemonSetRolloutPolicy` or a `ClusterDaemonSetRolloutPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Policy {
    pub(crate) metadata: Metadata,
    pub(crate) spec: PolicySpec,
    pub(crate) status: PolicyStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct PolicySpec {
    pub(crate) paused: bool,
    pub(crate) stages: Vec<PolicyStage>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct PolicyStage {
    pub(crate) name: String,
    pub(crate) soak: Option<String>,
}

impl PolicyStage {
    /// The soak. `None` if it can't be read.
    pub(crate) fn soak(&self) -> Option<SignedDuration> {
        let Some(soak) = &self.soak else {
            return Some(SignedDuration::ZERO);
        };
        soak.parse().ok()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PolicyStatus {
    pub(crate) observed_generation: i64,
}

/// A `ControllerRevision`, without its data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Revision {
    pub(crate) metadata: Metadata,
    pub(crate) revision: i64,
}

impl Revision {
    /// The label controller-revision-hash, which the pods of the revision carry too.
    pub(crate) fn hash(&self) -> &str {
        let hash = self.metadata.labels.get("controller-revision-hash");
        hash.map_or("", String::as_str)
    }

    /// Whether the object with this uid controls the revision.
    pub(crate) fn is_controlled_by(&self, uid: &str) -> bool {
        let mut owners = self.metadata.owner_references.iter();
        owners.any(|owner| owner.controller && owner.uid == uid)
    }
}

#[cfg(test)]
mod tests;
