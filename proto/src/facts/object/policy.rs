//! Rollout policies, the namespaces that they select, and the rollouts of `DaemonSet`s.
//!
//! Only unary calls read these types. The executor defines the kinds, with their schemas, and reads them with its own
//! types.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    IntOrString, LabelSelector, Meta,
    fields::{list, null_as_default, time},
};

/// A `DaemonSetRolloutPolicy` or a `ClusterDaemonSetRolloutPolicy`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RolloutPolicy {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
    /// spec.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: RolloutPolicySpec,
}

/// The spec of a rollout policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutPolicySpec {
    /// spec.targetRefs. `None` if it is absent.
    pub target_refs: Option<Vec<TargetRef>>,
    /// spec.selector, which selects `DaemonSet`s by their labels.
    pub selector: Option<LabelSelector>,
    /// spec.namespaceSelector of a `ClusterDaemonSetRolloutPolicy`.
    pub namespace_selector: Option<LabelSelector>,
    /// spec.paused.
    #[serde(deserialize_with = "null_as_default")]
    pub paused: bool,
    /// spec.maxUnavailable.
    pub max_unavailable: Option<IntOrString>,
    /// spec.unhealthyPodPolicy: `IfHealthyBudget` (the default when empty) or `AlwaysAllow`.
    #[serde(deserialize_with = "null_as_default")]
    pub unhealthy_pod_policy: String,
    /// spec.unreleasedNodes: `Current` (the default when empty) or `Update`.
    #[serde(deserialize_with = "null_as_default")]
    pub unreleased_nodes: String,
    /// spec.stages.
    #[serde(deserialize_with = "list")]
    pub stages: Vec<RolloutStage>,
    /// spec.partition.
    pub partition: Option<IntOrString>,
    /// spec.order.
    pub order: Option<RolloutOrder>,
}

/// A `DaemonSet` in the namespace of the policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TargetRef {
    /// The name of the `DaemonSet`.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
}

/// One of a policy's spec.stages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStage {
    /// The stage's name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// The nodes that can be in the stage. `None`: all of them.
    pub node_selector: Option<LabelSelector>,
    /// How many nodes the stage has.
    pub nodes: Option<IntOrString>,
    /// The node label over whose values a number of nodes is spread.
    #[serde(deserialize_with = "null_as_default")]
    pub topology_key: String,
    /// How long the stage waits once its nodes are updated, such as `10m`. Empty: not at all.
    #[serde(deserialize_with = "null_as_default")]
    pub soak: String,
    /// `Automatic` (the default when empty) or `Manual`.
    #[serde(deserialize_with = "null_as_default")]
    pub promotion: String,
    /// How many nodes of the stage may be without an available pod.
    pub max_unavailable: Option<IntOrString>,
}

/// A policy's spec.order.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutOrder {
    /// The node label whose value is the domain of a node.
    #[serde(deserialize_with = "null_as_default")]
    pub topology_key: String,
    /// How many nodes of a domain may be without an available pod.
    pub max_unavailable_per_domain: Option<IntOrString>,
}

/// A namespace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
}

/// A `DaemonSetRollout`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
    /// spec: what people ask.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: RolloutSpec,
    /// status: what is remembered.
    #[serde(deserialize_with = "null_as_default")]
    pub status: RolloutStatus,
}

/// The spec of a `DaemonSetRollout`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutSpec {
    /// spec.paused.
    #[serde(deserialize_with = "null_as_default")]
    pub paused: bool,
    /// spec.promote.
    pub promote: Option<RolloutPromote>,
    /// spec.promoteFull.
    #[serde(deserialize_with = "null_as_default")]
    pub promote_full: i64,
    /// spec.abort.
    #[serde(deserialize_with = "null_as_default")]
    pub abort: i64,
    /// spec.retry.
    #[serde(deserialize_with = "null_as_default")]
    pub retry: i64,
    /// spec.release.
    pub release: Option<RolloutRelease>,
}

/// The promotion of a stage.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RolloutPromote {
    /// The number of the rollout.
    #[serde(deserialize_with = "null_as_default")]
    pub rollout: i64,
    /// The name of the stage.
    #[serde(deserialize_with = "null_as_default")]
    pub stage: String,
}

/// The release of single nodes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RolloutRelease {
    /// The number of the rollout.
    #[serde(deserialize_with = "null_as_default")]
    pub rollout: i64,
    /// The names of the nodes.
    #[serde(deserialize_with = "list")]
    pub nodes: Vec<String>,
}

/// The part of a `DaemonSetRollout`'s status that is remembered of a rollout under way.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// status.rollout.
    #[serde(deserialize_with = "null_as_default")]
    pub rollout: i64,
    /// status.daemonSetUid.
    #[serde(deserialize_with = "null_as_default")]
    pub daemon_set_uid: String,
    /// status.currentRevision.
    #[serde(deserialize_with = "null_as_default")]
    pub current_revision: String,
    /// status.currentRevisionObserved.
    #[serde(deserialize_with = "null_as_default")]
    pub current_revision_observed: bool,
    /// status.updateRevision.
    #[serde(deserialize_with = "null_as_default")]
    pub update_revision: String,
    /// status.startedAt.
    #[serde(deserialize_with = "time")]
    pub started_at: Option<Timestamp>,
    /// status.state: `Waiting`, `Progressing`, `GoingBack`, `Completed` or `MemoryLost`. Empty if nothing has been written yet.
    #[serde(deserialize_with = "null_as_default")]
    pub state: String,
    /// status.stages.
    #[serde(deserialize_with = "list")]
    pub stages: Vec<RolloutStageStatus>,
}

/// A stage that has opened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStageStatus {
    /// The stage's name. Empty for the last one.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// When it opened.
    #[serde(deserialize_with = "time")]
    pub opened_at: Option<Timestamp>,
    /// When all its nodes had an available pod of the update revision.
    #[serde(deserialize_with = "time")]
    pub updated_at: Option<Timestamp>,
    /// When the next stage could open.
    #[serde(deserialize_with = "time")]
    pub done_at: Option<Timestamp>,
    /// The nodes that were picked.
    #[serde(deserialize_with = "list")]
    pub nodes: Vec<String>,
    /// Nodes whose hash is below this number are in this stage or an earlier one.
    pub hash_limit: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_and_null_fields_are_the_default() {
        for spec in [
            json!({}),
            json!({"stages": null, "paused": null, "order": null, "selector": null, "unreleasedNodes": null}),
        ] {
            let policy: RolloutPolicy = serde_json::from_value(json!({"spec": spec})).unwrap();
            assert!(policy.spec.stages.is_empty());
            assert!(policy.spec.order.is_none() && policy.spec.selector.is_none());
            assert!(policy.spec.target_refs.is_none());
        }
    }

    #[test]
    fn rollout_is_read_with_its_verbs_and_its_memory() {
        let rollout: Rollout = serde_json::from_value(json!({
            "metadata": {"name": "agent"},
            "spec": {"paused": true, "promote": {"rollout": 7, "stage": "canary"}},
            "status": {
                "rollout": 7,
                "state": "Progressing",
                "stages": [{"name": "canary", "openedAt": "2026-01-02T03:04:05Z", "hashLimit": 9, "nodes": null}],
                "conditions": [],
            },
        }))
        .unwrap();
        assert!(rollout.spec.paused && rollout.spec.release.is_none());
        assert_eq!(
            (rollout.status.rollout, rollout.status.state.as_str()),
            (7, "Progressing")
        );
        let stage = &rollout.status.stages[0];
        assert!(stage.opened_at.is_some() && stage.done_at.is_none() && stage.nodes.is_empty());
        assert_eq!(stage.hash_limit, Some(9));
    }

    #[test]
    fn numbers_and_percentages_are_told_apart() {
        let stage: RolloutStage =
            serde_json::from_value(json!({"name": "canary", "nodes": 2, "maxUnavailable": "5%"})).unwrap();
        assert!(matches!(stage.nodes, Some(IntOrString::Int(2))));
        assert!(matches!(stage.max_unavailable, Some(IntOrString::String(text)) if text == "5%"));
    }
}
