use everynode_proto::facts::{self, raw_struct};
use serde::de::DeserializeOwned;

use super::*;
use crate::testing::agent_with;

fn read<T: DeserializeOwned>(object: RawStruct, kind: &str) -> T {
    raw_struct::expand(vec![object])[0].read(kind).unwrap()
}

#[test]
fn a_daemonset_goes_with_its_template_as_it_is() {
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
    let told: facts::DaemonSet<Value> = read(raw_struct.clone(), "DaemonSet");
    assert_eq!(
        told.spec.template["spec"]["unheardOf"]["deep"][0].as_f64(),
        Some(1.0)
    );
    assert_eq!(
        told.spec.template["spec"]["containers"],
        template["spec"]["containers"]
    );
    assert_eq!(told.key(), "default/agent");
    assert_eq!(
        (told.metadata.uid.as_str(), told.metadata.generation),
        ("ds-1", 7)
    );
    // The planner derives the same facts from it as a session would have sent.
    let told: facts::DaemonSet = read(raw_struct, "DaemonSet");
    let typed = serde_json::from_value(template).unwrap();
    assert_eq!(told.facts(&told.spec.template, ""), object.facts(&typed, ""));
    assert_eq!(told.spec.selector, object.spec.selector);
}

#[test]
fn a_daemonset_that_selects_everything_still_does() {
    let mut object = agent_with(json!({}));
    object.spec.selector = LabelSelector::default();
    let told: facts::DaemonSet = read(daemon_set(&object, &json!({})), "DaemonSet");
    assert!(told.spec.selector.is_empty());
}

#[test]
fn a_node_goes_with_what_placement_sees() {
    let taint = Taint {
        key: "dedicated".to_owned(),
        value: "db".to_owned(),
        effect: "NoSchedule".to_owned(),
    };
    let facts = NodeFacts {
        name: "n1".to_owned(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        taints: vec![taint],
    };
    let told: facts::Node = read(node(&facts), "Node");
    assert_eq!(told.into_facts(), facts);
}

#[test]
fn a_node_as_the_server_has_it_goes_with_its_room_only() {
    let found = object(json!({
        "metadata": {"name": "n1", "labels": {"zone": "a"}, "managedFields": [{"manager": "kubelet"}]},
        "spec": {"taints": [{"key": "dedicated", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "4", "memory": "16Gi"}, "images": [{"names": ["large"]}]},
    }));
    let allocatable = allocatable(&found);
    assert_eq!(allocatable["cpu"], "4");
    let told: Value = read(simulated(&found, &allocatable), "Node");
    assert_eq!(
        told["status"],
        json!({"allocatable": {"cpu": "4", "memory": "16Gi"}})
    );
    assert_eq!(told["metadata"], json!({"name": "n1", "labels": {"zone": "a"}}));
    assert_eq!(told["spec"], found["spec"]);
}
