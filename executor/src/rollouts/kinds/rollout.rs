//! The kind `DaemonSetRollout`: the verbs of people, and what is remembered of a rollout.

use k8s_openapi::apimachinery::pkg::{
    apis::meta::v1::{Condition, Time},
    util::intstr::IntOrString,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What people ask of a DaemonSet's rollouts.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "everynode.io",
    version = "v1alpha1",
    kind = "DaemonSetRollout",
    namespaced,
    status = "DaemonSetRolloutStatus",
    shortname = "dsr",
    category = "everynode",
    derive = "Default",
    derive = "PartialEq",
    doc = "The rollouts of the DaemonSet of the same name. Everynode creates it for each DaemonSet that a policy applies to.",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Stage","type":"string","jsonPath":".status.stage"}"#,
    printcolumn = r#"{"name":"Progress","type":"string","jsonPath":".status.progress"}"#,
    printcolumn = r#"{"name":"Available","type":"integer","jsonPath":".status.updatedAvailable"}"#,
    printcolumn = r#"{"name":"Ignored","type":"integer","jsonPath":".status.ignored"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSetRolloutSpec {
    /// Whether rollouts are paused. Everynode then replaces no pod, but still creates missing ones.
    #[serde(default)]
    pub paused: bool,
    /// Ends a stage of a rollout at once, even if its soak isn't over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<Promote>,
    /// The number of the rollout whose stages are all skipped.
    #[serde(default)]
    pub promote_full: i64,
    /// The number of the rollout that goes back to the current revision.
    #[serde(default)]
    pub abort: i64,
    /// The number of the rollout that starts again with its first stage.
    #[serde(default)]
    pub retry: i64,
    /// Nodes that get the update revision before their turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}

/// The promotion of a stage.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Promote {
    /// The number of the rollout, as in status.rollout.
    pub rollout: i64,
    /// The name of the stage. Empty: the wait before the first stage.
    #[serde(default)]
    pub stage: String,
}

/// The release of single nodes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Release {
    /// The number of the rollout, as in status.rollout.
    pub rollout: i64,
    /// The names of the nodes.
    #[schemars(length(max = 50))]
    pub nodes: Vec<String>,
}

/// The state of a rollout, and what Everynode remembers of it. Only Everynode writes it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSetRolloutStatus {
    /// The number of the rollout. It rises with each new template and each retry.
    #[serde(default)]
    pub rollout: i64,
    /// metadata.uid of the DaemonSet.
    #[serde(default)]
    pub daemon_set_uid: String,
    /// metadata.generation of the DaemonSet that this status is about.
    #[serde(default)]
    pub daemon_set_generation: i64,
    /// metadata.generation of this object that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// The policy that applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<PolicyRef>,
    /// The label controller-revision-hash of the revision that nodes have before the rollout releases them.
    #[serde(default)]
    pub current_revision: String,
    /// Whether currentRevision is what most pods had, because no rollout had completed yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub current_revision_observed: bool,
    /// The label controller-revision-hash of the revision that nodes get from the rollout.
    #[serde(default)]
    pub update_revision: String,
    /// When the rollout began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// The state that Everynode remembers: Waiting, Progressing, GoingBack, Completed or MemoryLost.
    #[serde(default)]
    pub state: String,
    /// What the rollout is doing.
    #[serde(default)]
    pub phase: String,
    /// The stage that is open.
    #[serde(default)]
    pub stage: String,
    /// Why the rollout is in this phase, in one word.
    #[serde(default)]
    pub reason: String,
    /// The reason as a sentence.
    #[serde(default)]
    pub message: String,
    /// The stages that have opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageStatus>,
    /// Earlier rollouts, the latest last, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Updated and desired nodes, such as 120/5000.
    #[serde(default)]
    pub progress: String,
    /// Nodes that should run a pod.
    #[serde(default)]
    pub desired: i32,
    /// Nodes with a pod of the update revision.
    #[serde(default)]
    pub updated: i32,
    /// Nodes with an available pod of the update revision.
    #[serde(default)]
    pub updated_available: i32,
    /// Nodes whose pod wasn't available when the rollout began. They don't hold it up.
    #[serde(default)]
    pub ignored: i32,
    /// The names of these nodes, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_nodes: Vec<String>,
    /// Ready, Reconciling, Stalled, Progressing, Paused and Waiting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The policy that applies.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct PolicyRef {
    /// DaemonSetRolloutPolicy or ClusterDaemonSetRolloutPolicy.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// The state of a stage.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StageStatus {
    /// Its name. Empty for the last stage, which has all other nodes.
    #[serde(default)]
    pub name: String,
    /// When it opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Time>,
    /// When all its nodes had an available pod of the update revision. The soak begins then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// When the next stage could open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
    /// The nodes that were picked, if the stage has a number of nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// If the stage has a percentage: nodes whose hash is below this number are in this stage or an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_limit: Option<i64>,
    /// The stage's number or percentage of nodes for which the nodes or the limit were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<IntOrString>,
    /// Nodes of the stage that should run a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,
    /// Those with an available pod of the update revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_available: Option<i32>,
}

/// A rollout that has ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number.
    pub rollout: i64,
    /// Its update revision.
    #[serde(default)]
    pub update_revision: String,
    /// Completed, Superseded, Aborted or Retried.
    #[serde(default)]
    pub outcome: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}
