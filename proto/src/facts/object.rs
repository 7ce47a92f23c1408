//! Slim Kubernetes types with only the fields that decisions and actions read, under their Kubernetes names.
//!
//! Every field is optional, and unknown operators and phases are kept as text, so that one unusual object doesn't keep
//! the others from being read.

mod conditions;
pub mod demand;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

/// Reads an explicit `null` as the default, as Go's decoder does.
fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Labels, annotations or a node selector.
pub type StringMap = BTreeMap<String, String>;

/// An object's metadata. Annotations are skipped unless `A` holds them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(
    rename_all = "camelCase",
    default,
    bound(deserialize = "A: DeserializeOwned + Default")
)]
pub struct Meta<A = IgnoredAny> {
    /// metadata.name.
    pub name: String,
    /// metadata.namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// metadata.uid.
    pub uid: String,
    /// metadata.resourceVersion.
    pub resource_version: String,
    /// metadata.generation.
    pub generation: i64,
    /// metadata.labels.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: StringMap,
    /// metadata.annotations.
    #[serde(deserialize_with = "null_as_default")]
    pub annotations: A,
    /// metadata.ownerReferences.
    #[serde(deserialize_with = "null_as_default")]
    pub owner_references: Vec<OwnerReference>,
    /// metadata.creationTimestamp.
    pub creation_timestamp: Option<Timestamp>,
    /// metadata.deletionTimestamp: set once the object is being deleted.
    pub deletion_timestamp: Option<Timestamp>,
}

impl<A> Meta<A> {
    /// The reference to the object's controller, if it has one.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// One of an object's metadata.ownerReferences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// The owner's apiVersion, such as apps/v1.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Whether the owner manages the object.
    #[serde(deserialize_with = "null_as_default")]
    pub controller: bool,
}

impl OwnerReference {
    /// Whether the owner is an apps `DaemonSet`.
    pub fn is_daemon_set(&self) -> bool {
        self.kind == "DaemonSet" && self.api_version.starts_with("apps/")
    }
}

/// A node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// metadata.
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
    #[serde(deserialize_with = "null_as_default")]
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

/// A pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// metadata.
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
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
    /// When the status last changed.
    pub last_transition_time: Option<Timestamp>,
}

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

/// A node selector. A node matches when at least one term matches.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    /// nodeSelectorTerms.
    #[serde(deserialize_with = "null_as_default")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A node selector term. All of its requirements must be met.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelectorTerm {
    /// Requirements on labels.
    #[serde(deserialize_with = "null_as_default")]
    pub match_expressions: Vec<Requirement>,
    /// Requirements on fields.
    #[serde(deserialize_with = "null_as_default")]
    pub match_fields: Vec<Requirement>,
}

/// A requirement of a node selector term or of a label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// The label's or field's key.
    #[serde(deserialize_with = "null_as_default")]
    pub key: String,
    /// In, `NotIn`, Exists, `DoesNotExist`, Gt or Lt.
    #[serde(deserialize_with = "null_as_default")]
    pub operator: String,
    /// The operator's values.
    #[serde(deserialize_with = "null_as_default")]
    pub values: Vec<String>,
}

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
    #[serde(deserialize_with = "null_as_default")]
    pub node_selector: StringMap,
    /// spec.affinity.
    pub affinity: Option<Affinity>,
    /// spec.tolerations.
    #[serde(deserialize_with = "null_as_default")]
    pub tolerations: Vec<Toleration>,
    /// spec.hostNetwork.
    #[serde(deserialize_with = "null_as_default")]
    pub host_network: bool,
}

/// A `DaemonSet`. `T` is the form of the pod template: parsed as [`PodTemplate`], or raw JSON for code that creates
/// pods from it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, bound(deserialize = "T: DeserializeOwned + Default"))]
pub struct DaemonSet<T = PodTemplate> {
    /// metadata.
    pub metadata: Meta<StringMap>,
    /// spec.
    pub spec: DaemonSetSpec<T>,
    /// status.
    #[serde(deserialize_with = "null_as_default")]
    pub status: DaemonSetStatus,
}

impl<T> DaemonSet<T> {
    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }
}

/// A `DaemonSet`'s spec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(
    rename_all = "camelCase",
    default,
    bound(deserialize = "T: DeserializeOwned + Default")
)]
pub struct DaemonSetSpec<T> {
    /// spec.selector.
    #[serde(deserialize_with = "null_as_default")]
    pub selector: LabelSelector,
    /// spec.template.
    pub template: T,
    /// spec.updateStrategy.
    #[serde(deserialize_with = "null_as_default")]
    pub update_strategy: UpdateStrategy,
    /// spec.minReadySeconds.
    #[serde(deserialize_with = "null_as_default")]
    pub min_ready_seconds: i32,
    /// spec.revisionHistoryLimit.
    pub revision_history_limit: Option<i32>,
}

/// A label selector. All labels and all expressions must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// matchLabels.
    #[serde(deserialize_with = "null_as_default")]
    pub match_labels: StringMap,
    /// matchExpressions.
    #[serde(deserialize_with = "null_as_default")]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// Whether the selector is `{}`.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

/// A `DaemonSet`'s spec.updateStrategy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy {
    /// `RollingUpdate` (the default when empty) or `OnDelete`.
    #[serde(deserialize_with = "null_as_default")]
    pub r#type: String,
    /// updateStrategy.rollingUpdate.
    pub rolling_update: Option<RollingUpdate>,
}

/// A `DaemonSet`'s spec.updateStrategy.rollingUpdate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    /// maxUnavailable.
    pub max_unavailable: Option<IntOrString>,
    /// maxSurge.
    pub max_surge: Option<IntOrString>,
}

/// A number or a percentage, as in Kubernetes.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A percentage, such as `10%`.
    String(String),
}

/// A `DaemonSet`'s status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are those of the apps/v1 status, by their names there"
)]
pub struct DaemonSetStatus {
    pub observed_generation: i64,
    pub desired_number_scheduled: i32,
    pub current_number_scheduled: i32,
    pub number_misscheduled: i32,
    pub number_ready: i32,
    pub updated_number_scheduled: i32,
    pub number_available: i32,
    pub number_unavailable: i32,
    pub collision_count: Option<i32>,
    #[serde(deserialize_with = "null_as_default")]
    pub conditions: Vec<DaemonSetCondition>,
}

/// One of a `DaemonSet`'s status.conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DaemonSetCondition {
    /// The condition's type, such as Available.
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
    /// The reason in one word.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}
