//! Rollout policies, rollouts and namespaces, as the watches read them.
//!
//! Specs and statuses stay JSON here. So a policy with a field that this program can't read is still seen, and holds the
//! rollouts of its `DaemonSet`s.

use everynode_proto::facts::{Meta, object::fields::null_as_default};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Watched;

/// A `DaemonSetRolloutPolicy` or a `ClusterDaemonSetRolloutPolicy`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PolicyObject {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
    /// spec, as stored.
    pub spec: Option<Box<RawValue>>,
    /// status, as stored.
    pub status: Option<Box<RawValue>>,
}

/// A `DaemonSetRolloutPolicy`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct NamespacedPolicy(pub PolicyObject);

/// A `ClusterDaemonSetRolloutPolicy`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ClusterPolicy(pub PolicyObject);

impl Watched for NamespacedPolicy {
    const KIND: &'static str = "DaemonSetRolloutPolicy";
    const PATH: &'static str = "/apis/everynode.io/v1alpha1/daemonsetrolloutpolicies";

    fn version(&self) -> &str {
        &self.0.metadata.resource_version
    }
}

impl Watched for ClusterPolicy {
    const KIND: &'static str = "ClusterDaemonSetRolloutPolicy";
    const PATH: &'static str = "/apis/everynode.io/v1alpha1/clusterdaemonsetrolloutpolicies";

    fn version(&self) -> &str {
        &self.0.metadata.resource_version
    }
}

/// A `DaemonSetRollout`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "RolloutObject")]
pub struct Rollout {
    /// `namespace/name`, which is also the key of the `DaemonSet`.
    pub key: String,
    /// metadata.
    pub metadata: Meta,
    /// spec, as stored.
    pub spec: Option<Box<RawValue>>,
    /// status, as stored.
    pub status: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RolloutObject {
    #[serde(deserialize_with = "null_as_default")]
    metadata: Meta,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

impl From<RolloutObject> for Rollout {
    fn from(object: RolloutObject) -> Self {
        let RolloutObject {
            metadata,
            spec,
            status,
        } = object;
        Self {
            key: format!("{}/{}", metadata.namespace, metadata.name),
            metadata,
            spec,
            status,
        }
    }
}

impl Watched for Rollout {
    const KIND: &'static str = "DaemonSetRollout";
    const PATH: &'static str = "/apis/everynode.io/v1alpha1/daemonsetrollouts";

    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

/// A namespace, of which only the labels matter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
}

impl Watched for Namespace {
    const KIND: &'static str = "Namespace";
    const PATH: &'static str = "/api/v1/namespaces";

    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}
