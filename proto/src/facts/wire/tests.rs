use serde_json::{Value, json};

use super::*;
use crate::facts::raw_struct::{RawStruct, expand};

fn read<T: serde::de::DeserializeOwned>(kind: &str, object: &Value) -> Result<T, String> {
    let items = expand(vec![RawStruct::from(object.as_object().unwrap())]);
    items[0].read(kind).map_err(|error| error.message)
}

fn pod(object: &Value) -> Pod {
    read("Pod", object).unwrap()
}

fn bound_to(field: &Value) -> Value {
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [field]},
    ]}}})
}

#[test]
fn n1_pod_belongs_to_its_bound_node_or_the_node_in_its_affinity() {
    let by_name = bound_to(&json!({"key": "metadata.name", "operator": "In", "values": ["b"]}));
    let several = bound_to(&json!({"key": "metadata.name", "operator": "In", "values": ["b", "c"]}));
    let other = bound_to(&json!({"key": "metadata.name", "operator": "NotIn", "values": ["b"]}));
    for (spec, node) in [
        (json!({"nodeName": "a", "affinity": by_name}), Some("a")),
        (json!({"affinity": by_name}), Some("b")),
        (json!({"affinity": several}), None),
        (json!({"affinity": other}), None),
        (json!({}), None),
    ] {
        assert_eq!(pod(&json!({"spec": spec})).target_node(), node, "{spec}");
    }
}

#[test]
fn only_pods_controlled_by_a_daemon_set_have_facts() {
    for (owner, expected) in [
        (
            json!({"kind": "DaemonSet", "apiVersion": "apps/v1", "uid": "u", "controller": true}),
            true,
        ),
        (
            json!({"kind": "DaemonSet", "apiVersion": "apps/v1", "uid": "u"}),
            false,
        ),
        (
            json!({"kind": "DaemonSet", "apiVersion": "extensions/v1beta1", "uid": "u", "controller": true}),
            true,
        ),
        (json!({"kind": "DaemonSet", "uid": "u", "controller": true}), true),
        (
            json!({"kind": "DaemonSet", "uid": "u", "controller": null}),
            false,
        ),
        (
            json!({"kind": "ReplicaSet", "apiVersion": "apps/v1", "uid": "u", "controller": true}),
            false,
        ),
    ] {
        let facts = pod(&json!({"metadata": {"ownerReferences": [owner]}})).facts();
        assert_eq!(facts.is_some(), expected, "{owner}");
    }
}

#[test]
fn pod_is_ready_since_the_time_of_its_ready_condition() {
    let conditions = |status: &str| {
        json!({"status": {"conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-02T03:04:05Z"},
        ]}})
    };
    assert_eq!(
        pod(&conditions("True")).ready_since(),
        Some("2026-01-02T03:04:05Z".parse().unwrap())
    );
    assert_eq!(pod(&conditions("False")).ready_since(), None);
    assert_eq!(pod(&json!({})).ready_since(), None);
}

#[test]
fn budgets_are_numbers_or_percentages_and_other_values_are_problems() {
    let object = json!({
        "metadata": {"namespace": "n", "name": "d", "annotations": {"deprecated.daemonset.template.generation": "3"}},
        "spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "10%", "maxSurge": "many"}}},
    });
    let daemon_set: DaemonSet = read("DaemonSet", &object).unwrap();
    let (facts, problems) = daemon_set.facts(&daemon_set.spec.template, "r");
    let Some(update_strategy::Strategy::RollingUpdate(rolling)) = facts.update_strategy.unwrap().strategy
    else {
        panic!("the strategy isn't RollingUpdate");
    };
    assert_eq!(
        rolling.max_unavailable.unwrap().value,
        Some(int_or_percent::Value::Percent(10))
    );
    assert_eq!(rolling.max_surge, None);
    assert_eq!(facts.template_generation, Some(3));
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["spec.updateStrategy.rollingUpdate.maxSurge"]);
}

#[test]
fn node_facts_hold_readiness_and_the_lifecycle_conditions_that_are_true() {
    let facts = |conditions: Value| {
        let node: Node = read("Node", &json!({"status": {"conditions": conditions}})).unwrap();
        let facts = node.into_facts();
        (facts.readiness(), facts.lifecycle_conditions)
    };
    for (status, readiness) in [
        ("True", NodeReadiness::True),
        ("False", NodeReadiness::False),
        ("Unknown", NodeReadiness::Unknown),
    ] {
        let ready =
            json!([{"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": status}]);
        assert_eq!(facts(ready), (readiness, Vec::new()));
    }
    assert_eq!(facts(Value::Null), (NodeReadiness::Unspecified, Vec::new()));
    let all = object::LIFECYCLE_CONDITIONS.map(|kind| json!({"type": kind, "status": "True"}));
    let reversed: Vec<_> = all.into_iter().rev().collect();
    assert_eq!(facts(reversed.into()).1, object::LIFECYCLE_CONDITIONS);
    let not_true = json!([
        {"type": "Drained", "status": "False"}, {"type": "MaintenancePlanned", "status": null},
        {"type": "DrainInProgress", "status": "True"},
    ]);
    assert_eq!(facts(not_true).1, ["DrainInProgress"]);
}

#[test]
fn heartbeat_changes_no_facts() {
    let at = |time: &str| {
        let condition = json!({
            "type": "Ready", "status": "True", "lastHeartbeatTime": time, "lastTransitionTime": time,
        });
        let node: Node = read("Node", &json!({"status": {"conditions": [condition]}})).unwrap();
        node.into_facts()
    };
    assert_eq!(at("2026-01-02T03:04:05Z"), at("2026-01-02T03:09:05Z"));
}

#[test]
fn on_delete_keeps_the_budget_for_rollout_policies() {
    for (rolling, expected) in [
        (
            json!({"maxUnavailable": "20%"}),
            Some(int_or_percent::Value::Percent(20)),
        ),
        (json!({"maxUnavailable": "some"}), None),
        (Value::Null, None),
    ] {
        let object = json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": rolling}}});
        let daemon_set: DaemonSet = read("DaemonSet", &object).unwrap();
        let (facts, problems) = daemon_set.facts(&daemon_set.spec.template, "r");
        let Some(update_strategy::Strategy::OnDelete(on_delete)) = facts.update_strategy.unwrap().strategy
        else {
            panic!("the strategy isn't OnDelete");
        };
        let found = on_delete.max_unavailable.and_then(|budget| budget.value);
        assert_eq!(found, expected, "{object}");
        assert!(problems.is_empty(), "{problems:?}");
    }
}
