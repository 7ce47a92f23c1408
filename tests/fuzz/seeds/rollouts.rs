//! Rollout policies, rollouts, and what a planner says of them.

use everynode_proto::facts::RawStruct;
use everynode_proto::planner::v1::{
    PolicyTarget, RolloutAssumptions, RolloutMemory, RolloutPolicyStatus, RolloutReport,
    SimulateRolloutRequest, StageMemory, StageReport,
};
use prost_types::{Duration, Timestamp};
use serde_json::{Value, json};

use super::{daemon_sets, list, node, pod, raw_structs};

fn policy(kind: &str, spec: &Value) -> Value {
    json!({
        "kind": kind, "apiVersion": "everynode.io/v1alpha1",
        "metadata": {
            "namespace": "default", "name": "steps", "uid": "y1", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-02T03:00:00Z",
        },
        "spec": spec,
    })
}

/// Policies of namespaces. Each applies to the `DaemonSet`s in [`super::requests`].
fn namespaced_policies() -> Vec<Value> {
    let canary =
        json!({"name": "canary", "nodes": 1, "topologyKey": "zone", "soak": "10m", "promotion": "Manual"});
    let half = json!({
        "name": "half", "nodeSelector": {"matchLabels": {"disk": "ssd"}}, "nodes": "50%", "soak": "1h30m",
        "maxUnavailable": "5%",
    });
    let order = json!({"topologyKey": "zone", "maxUnavailablePerDomain": "20%"});
    [
        json!({"targetRefs": [{"name": "agent"}], "stages": [canary, half], "order": order, "maxUnavailable": "10%"}),
        json!({"targetRefs": [{"name": "agent"}], "partition": "40%", "unreleasedNodes": "Update"}),
        json!({"selector": {"matchLabels": {}}, "paused": true, "unhealthyPodPolicy": "AlwaysAllow"}),
    ]
    .iter()
    .map(|spec| policy("DaemonSetRolloutPolicy", spec))
    .collect()
}

fn cluster_policy() -> Value {
    let teams = json!([{"key": "team", "operator": "NotIn", "values": ["a"]}]);
    let spec = json!({"namespaceSelector": {"matchExpressions": teams}, "maxUnavailable": 1});
    policy("ClusterDaemonSetRolloutPolicy", &spec)
}

fn namespace() -> Value {
    json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "default", "labels": {"team": "b"}}})
}

fn rollout() -> Value {
    let stage = json!({
        "name": "canary", "openedAt": "2026-01-02T03:05:00Z", "updatedAt": "2026-01-02T03:06:00Z",
        "doneAt": "2026-01-02T03:16:00Z", "nodes": ["n1"],
    });
    let half = json!({"name": "half", "openedAt": "2026-01-02T03:16:00Z", "hashLimit": 2_147_483_648_u32});
    let attempt = json!({"rollout": 1, "updateRevision": "r0", "outcome": "Aborted", "endedAt": "2026-01-02T03:00:00Z"});
    json!({
        "kind": "DaemonSetRollout", "apiVersion": "everynode.io/v1alpha1",
        "metadata": {"namespace": "default", "name": "agent", "uid": "o1", "resourceVersion": "7", "generation": 2},
        "spec": {
            "paused": false, "promote": {"rollout": 2, "stage": "canary"}, "promoteFull": 0, "abort": 1, "retry": 0,
            "release": {"rollout": 2, "nodes": ["n2"]},
        },
        "status": {
            "rollout": 2, "daemonSetUid": "d1", "daemonSetGeneration": 2, "observedGeneration": 2,
            "policyRef": {"kind": "DaemonSetRolloutPolicy", "name": "steps"},
            "currentRevision": "r0", "updateRevision": "r1", "startedAt": "2026-01-02T03:05:00Z",
            "state": "Progressing", "phase": "Progressing", "stage": "half", "reason": "Progressing",
            "stages": [stage, half], "attempts": [attempt], "progress": "1/2", "desired": 2, "updated": 1,
        },
    })
}

/// Policies, a rollout and a namespace.
pub(super) fn objects() -> Vec<Value> {
    let mut objects = namespaced_policies();
    objects.extend([cluster_policy(), rollout(), namespace()]);
    objects
}

/// The same objects in the form that requests carry.
pub(crate) fn raw_objects() -> Vec<RawStruct> {
    raw_structs(&objects())
}

/// Rollouts to simulate. The `DaemonSet`s run on one of the two nodes.
pub(crate) fn simulations() -> Vec<SimulateRolloutRequest> {
    let untainted = |name: &str| {
        let mut node = node();
        node["metadata"]["name"] = json!(name);
        node["spec"] = json!({});
        node
    };
    let (policies, daemon_sets) = (namespaced_policies(), daemon_sets());
    let request = |(policy, daemon_set): (Value, Value)| SimulateRolloutRequest {
        daemon_set: raw_structs(&[daemon_set]).pop(),
        policies: raw_structs(&[policy]),
        cluster_policies: raw_structs(&[cluster_policy()]),
        nodes: raw_structs(&[list(&[untainted("n1"), untainted("n2")])]),
        pods: raw_structs(&[pod()]),
        namespaces: raw_structs(&[namespace()]),
        assumptions: Some(RolloutAssumptions {
            ready_after: Some(Duration { seconds: 5, nanos: 0 }),
            failing_nodes: vec!["n2".to_owned()],
            ..RolloutAssumptions::default()
        }),
    };
    policies.into_iter().zip(daemon_sets).map(request).collect()
}

/// A report of a rollout in its soak.
pub(super) fn report() -> RolloutReport {
    let time = |seconds: i64| {
        Some(Timestamp {
            seconds: 1_767_225_600 + seconds,
            nanos: 0,
        })
    };
    let memory = RolloutMemory {
        rollout: 2,
        daemon_set_uid: "d1".to_owned(),
        current_revision: "r0".to_owned(),
        update_revision: "r1".to_owned(),
        started_at: time(0),
        state: 2,
        stages: vec![StageMemory {
            name: "canary".to_owned(),
            opened_at: time(0),
            updated_at: time(60),
            nodes: vec!["n1".to_owned()],
            ..StageMemory::default()
        }],
        ..RolloutMemory::default()
    };
    RolloutReport {
        memory: Some(memory),
        policy_uid: "y1".to_owned(),
        phase: 3,
        reason: "Soaking".to_owned(),
        stages: vec![StageReport {
            name: "canary".to_owned(),
            desired: 1,
            updated: 1,
            is_open: true,
            soaks_until: time(660),
            ..StageReport::default()
        }],
        desired: 2,
        updated: 1,
        ..RolloutReport::default()
    }
}

/// The status of a policy that applies to one `DaemonSet` and not to another.
pub(super) fn policy_status() -> RolloutPolicyStatus {
    let target = PolicyTarget {
        namespace: "default".to_owned(),
        name: "agent".to_owned(),
        reason: "Conflicted".to_owned(),
        ..PolicyTarget::default()
    };
    RolloutPolicyStatus {
        uid: "y1".to_owned(),
        generation: 2,
        targets: vec![target],
        accepted: 1,
        ..RolloutPolicyStatus::default()
    }
}
