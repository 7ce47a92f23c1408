//! `DaemonSet`s.

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    IntOrString, LabelSelector, Meta, PodTemplate, StringMap,
    fields::{list, null_as_default},
};

/// A `DaemonSet`. `T` is the form of the pod template: parsed as [`PodTemplate`], or raw JSON for code that creates
/// pods from it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, bound(deserialize = "T: DeserializeOwned + Default"))]
pub struct DaemonSet<T = PodTemplate> {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta<StringMap>,
    /// spec.
    #[serde(deserialize_with = "null_as_default")]
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
    #[serde(deserialize_with = "null_as_default")]
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

/// A `DaemonSet`'s status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are those of the apps/v1 status, by their names there"
)]
pub struct DaemonSetStatus {
    #[serde(deserialize_with = "null_as_default")]
    pub observed_generation: i64,
    #[serde(deserialize_with = "null_as_default")]
    pub desired_number_scheduled: i32,
    #[serde(deserialize_with = "null_as_default")]
    pub current_number_scheduled: i32,
    #[serde(deserialize_with = "null_as_default")]
    pub number_misscheduled: i32,
    #[serde(deserialize_with = "null_as_default")]
    pub number_ready: i32,
    #[serde(deserialize_with = "null_as_default")]
    pub updated_number_scheduled: i32,
    #[serde(deserialize_with = "null_as_default")]
    pub number_available: i32,
    #[serde(deserialize_with = "null_as_default")]
    pub number_unavailable: i32,
    pub collision_count: Option<i32>,
    #[serde(deserialize_with = "list")]
    pub conditions: Vec<DaemonSetCondition>,
}

/// One of a `DaemonSet`'s status.conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DaemonSetCondition {
    /// The condition's type, such as Available.
    #[serde(deserialize_with = "null_as_default")]
    pub r#type: String,
    /// True, False or Unknown.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// The reason in one word.
    #[serde(deserialize_with = "null_as_default")]
    pub reason: String,
    /// The reason as a sentence.
    #[serde(deserialize_with = "null_as_default")]
    pub message: String,
}
