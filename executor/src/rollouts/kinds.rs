//! The kinds of the API group everynode.io. `kubectl explain` shows the comments on their fields.
//!
//! `deploy/base/crds` holds the CustomResourceDefinitions that are generated from these types. A test compares them.

#![allow(
    clippy::doc_markdown,
    reason = "kubectl explain shows the comments as they are"
)]
#![allow(unreachable_pub, reason = "the derive macros generate such items")]

mod rollout;

use k8s_openapi::apimachinery::pkg::{
    apis::meta::v1::{Condition, LabelSelector},
    util::intstr::IntOrString,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::rollout::{
    Attempt, DaemonSetRollout, DaemonSetRolloutSpec, DaemonSetRolloutStatus, PolicyRef, Promote, Release,
    StageStatus,
};

/// The API group of all kinds of Everynode.
pub(crate) const GROUP: &str = "everynode.io";

/// How Everynode rolls out DaemonSets.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "everynode.io",
    version = "v1alpha1",
    kind = "DaemonSetRolloutPolicy",
    namespaced,
    status = "PolicyStatus",
    shortname = "dsrp",
    category = "everynode",
    derive = "Default",
    derive = "PartialEq",
    doc = "Defines how Everynode rolls out DaemonSets in the namespace: in stages, in an order, within budgets.",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"DaemonSets","type":"integer","jsonPath":".status.accepted"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.targetRefs) != has(self.selector)").message("exactly one of targetRefs and selector must be set"),
    validation = Rule::new("!has(self.stages) || !has(self.partition)").message("stages and partition must not be set together")
)]
pub struct DaemonSetRolloutPolicySpec {
    /// The DaemonSets that the policy targets, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Option<Vec<TargetRef>>,
    /// The DaemonSets that the policy targets, by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// How Everynode rolls them out.
    #[serde(flatten)]
    pub rollout: RolloutSpec,
}

/// How Everynode rolls out DaemonSets by default.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "everynode.io",
    version = "v1alpha1",
    kind = "ClusterDaemonSetRolloutPolicy",
    status = "PolicyStatus",
    shortname = "cdsrp",
    category = "everynode",
    derive = "Default",
    derive = "PartialEq",
    doc = "Defines how Everynode rolls out DaemonSets to which no DaemonSetRolloutPolicy applies.",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"DaemonSets","type":"integer","jsonPath":".status.accepted"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.stages) || !has(self.partition)").message("stages and partition must not be set together")
)]
pub struct ClusterDaemonSetRolloutPolicySpec {
    /// The namespaces whose DaemonSets the policy targets, by their labels. By default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The DaemonSets that the policy targets, by their labels. By default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// How Everynode rolls them out.
    #[serde(flatten)]
    pub rollout: RolloutSpec,
}

/// A DaemonSet in the namespace of the policy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct TargetRef {
    /// The name of the DaemonSet.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How Everynode rolls out a DaemonSet.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// Whether rollouts are paused. Everynode then replaces no pod, but still creates missing ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// How many nodes may be without an available pod, as a number or a percentage of the desired nodes. The default is
    /// the limit in the DaemonSet's updateStrategy, or else 1. If the DaemonSet has a maxSurge: how many nodes may have
    /// a new pod beside the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// Whether the replacement of an unavailable pod takes a slot of the budget (IfHealthyBudget) or not (AlwaysAllow).
    #[serde(default)]
    pub unhealthy_pod_policy: UnhealthyPodPolicy,
    /// The revision of pods that are created on nodes that the rollout hasn't released: Current or Update.
    #[serde(default)]
    pub unreleased_nodes: UnreleasedNodes,
    /// The steps of a rollout, in order. All other nodes follow at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, a.name == b.name))").message("the names of stages must be unique"))]
    pub stages: Option<Vec<Stage>>,
    /// How many nodes keep the current revision, as a number or a percentage of the desired nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<IntOrString>,
    /// The order of the nodes within a stage: one topology domain after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// Whether the replacement of an unavailable pod takes a slot of the budget.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnhealthyPodPolicy {
    /// Every replacement takes a slot. Unavailable pods are replaced first.
    #[default]
    IfHealthyBudget,
    /// Unavailable pods are replaced at once, as kube-controller-manager does.
    AlwaysAllow,
}

/// The revision of pods that are created on nodes that the rollout hasn't released.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnreleasedNodes {
    /// The current revision.
    #[default]
    Current,
    /// The update revision.
    Update,
}

/// A step of a rollout.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// The name of the stage. `promote` refers to it.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The nodes that can be in the stage, by their labels. By default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// How many nodes the stage has. A number from 1 to 50 is picked when the stage opens. A percentage is cumulative:
    /// after the stage, that share of all desired nodes has the update revision. By default all selected nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<IntOrString>,
    /// The node label over whose values the picked nodes are spread, such as topology.kubernetes.io/zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub topology_key: Option<String>,
    /// How long the stage waits once all its nodes have an available pod of the update revision, such as 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s')").message("must be a duration such as 10m or 1h30m"))]
    pub soak: Option<String>,
    /// Whether the next stage opens by itself (Automatic), or when somebody promotes this one (Manual).
    #[serde(default)]
    pub promotion: Promotion,
    /// How many nodes of the stage may be without an available pod, as a number or a percentage of its nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
}

/// What ends a stage after its soak.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Promotion {
    /// Nothing else.
    #[default]
    Automatic,
    /// Somebody promotes it.
    Manual,
}

/// The order of the nodes within a stage: one topology domain after the other.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The node label whose value is the domain of a node, such as topology.kubernetes.io/zone. Nodes without it are one
    /// domain, which comes last.
    #[schemars(length(min = 1, max = 316))]
    pub topology_key: String,
    /// How many nodes of a domain may be without an available pod, as a number or a percentage of its nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable_per_domain: Option<IntOrString>,
}

/// The DaemonSets to which a policy applies.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// The generation of the policy that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The number of DaemonSets that the policy applies to.
    #[serde(default)]
    pub accepted: i32,
    /// The DaemonSets that the policy names or selects, at most 50. Those that it doesn't apply to come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<PolicyTarget>,
    /// Accepted says whether the policy applies to any DaemonSet. Effective is False if the policy has a stage that is
    /// probably a mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A DaemonSet that a policy names or selects.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct PolicyTarget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Accepted, Conflicted, TargetNotFound, OnDelete or ManagedByOther.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

#[cfg(test)]
mod tests;
