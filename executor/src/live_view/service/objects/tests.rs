use everynode_proto::facts::{self, raw_struct};
use serde::de::DeserializeOwned;

use super::*;
use crate::testing::agent_with;

fn read<T: DeserializeOwned>(object: RawStruct, kind: &str) -> T {
    raw_struct::expand(vec![object])[0].read(kind).unwrap()
}

#[test]
fn daemon_set_contains_its_template_unchanged() {
    let object = agent_with(json!({
        "metadata": {"generation": 7},
        "spec": {
            "minReadySeconds": 5,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%", "maxSurge": 2}},
            "selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}]},
            "template": {"spec": {"unheardOf": {"deep": [1]}, "runtimeClassName": "gvisor"}},
        },
    }));
    let template = template(&object);
    assert_eq!(runtime_class(&template), Some("gvisor"));
    let raw_struct = daemon_set(&object, &template);
    let parsed: facts::DaemonSet<Value> = read(raw_struct.clone(), "DaemonSet");
    assert_eq!(
        parsed.spec.template["spec"]["unheardOf"]["deep"][0].as_f64(),
        Some(1.0)
    );
    assert_eq!(
        parsed.spec.template["spec"]["containers"],
        template["spec"]["containers"]
    );
    assert_eq!(parsed.key(), "default/agent");
    assert_eq!(
        (parsed.metadata.uid.as_str(), parsed.metadata.generation),
        ("ds-1", 7)
    );
    // The planner derives the same facts from this object as a session would have sent.
    let parsed: facts::DaemonSet = read(raw_struct, "DaemonSet");
    let typed = serde_json::from_value(template).unwrap();
    assert_eq!(parsed.facts(&parsed.spec.template, ""), object.facts(&typed, ""));
    assert_eq!(parsed.spec.selector, object.spec.selector);
}

#[test]
fn empty_selector_stays_empty() {
    let mut object = agent_with(json!({}));
    object.spec.selector = LabelSelector::default();
    let parsed: facts::DaemonSet = read(daemon_set(&object, &json!({})), "DaemonSet");
    assert!(parsed.spec.selector.is_empty());
}

#[test]
fn node_has_the_fields_that_placement_uses() {
    let taint = Taint {
        key: "dedicated".to_owned(),
        value: "db".to_owned(),
        effect: "NoSchedule".to_owned(),
    };
    let facts = NodeFacts {
        name: "n1".to_owned(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        taints: vec![taint],
        ..NodeFacts::default()
    };
    let parsed: facts::Node = read(node(&facts), "Node");
    assert_eq!(parsed.into_facts(), facts);
}

#[test]
fn simulated_node_has_only_the_fields_that_a_simulation_reads() {
    let found = object(json!({
        "metadata": {"name": "n1", "labels": {"zone": "a"}, "managedFields": [{"manager": "kubelet"}]},
        "spec": {"taints": [{"key": "dedicated", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "4", "memory": "16Gi"}, "images": [{"names": ["large"]}]},
    }));
    let allocatable = allocatable(&found);
    assert_eq!(allocatable["cpu"], "4");
    let parsed: Value = read(simulated(&found, &allocatable), "Node");
    assert_eq!(
        parsed["status"],
        json!({"allocatable": {"cpu": "4", "memory": "16Gi"}})
    );
    assert_eq!(parsed["metadata"], json!({"name": "n1", "labels": {"zone": "a"}}));
    assert_eq!(parsed["spec"], found["spec"]);
}
