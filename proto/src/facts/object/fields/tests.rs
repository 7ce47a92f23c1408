use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::facts::{
    DaemonSet, Node, Pod, PodTemplate, RawStruct,
    object::{
        DaemonSetCondition, Meta, OwnerReference, RollingUpdate, StringMap,
        demand::{NodeCapacity, Quantity, RuntimeClass, SchedulingTemplate},
    },
    raw_struct,
};

/// Reads an object both ways: from a call, and from a watch.
fn read<T: DeserializeOwned + Debug>(object: &Value) -> T {
    let called = RawStruct::from(object.as_object().unwrap());
    let called: T = raw_struct::expand(vec![called])[0].read("").unwrap();
    let watched: T = serde_json::from_str(&object.to_string()).unwrap();
    assert_eq!(format!("{called:?}"), format!("{watched:?}"), "{object}");
    watched
}

/// Checks that an object with nulls is read like one without these fields.
fn assert_default<T: DeserializeOwned + Default + Debug>(object: &Value) {
    assert_eq!(
        format!("{:?}", read::<T>(object)),
        format!("{:?}", T::default()),
        "{object}"
    );
}

/// Returns an object in which every one of the fields is null.
fn nulls(fields: &[&str]) -> Value {
    fields
        .iter()
        .map(|field| ((*field).to_owned(), Value::Null))
        .collect()
}

const METADATA: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "labels",
    "annotations",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
];

#[test]
fn null_fields_of_metadata_are_absent() {
    assert_default::<Meta>(&nulls(&METADATA));
    assert_default::<Meta<StringMap>>(&nulls(&METADATA));
    assert_default::<OwnerReference>(&nulls(&["apiVersion", "kind", "name", "uid", "controller"]));
}

#[test]
fn null_fields_of_a_node_are_absent() {
    assert_default::<Node>(&nulls(&["metadata", "spec", "status"]));
    assert_default::<Node>(&json!({"metadata": nulls(&METADATA), "spec": {"taints": null}}));
    let node: Node = read(&json!({"spec": {"taints": [nulls(&["key", "value", "effect"]), null]}}));
    assert_eq!(node.spec.taints.len(), 2);
    assert_eq!(
        node.into_facts().taints,
        [
            crate::planner::v1::Taint::default(),
            crate::planner::v1::Taint::default()
        ]
    );
    assert_default::<NodeCapacity>(&json!({"status": nulls(&["allocatable", "capacity"])}));
}

#[test]
fn null_fields_of_a_pod_are_absent() {
    assert_default::<Pod>(&nulls(&["metadata", "spec", "status"]));
    assert_default::<Pod>(&json!({
        "spec": nulls(&["nodeName", "affinity"]), "status": nulls(&["phase", "conditions"]),
    }));
    let unset = nulls(&["type", "status", "lastTransitionTime"]);
    assert_default::<Pod>(&json!({"status": {"conditions": [null, unset]}}));
    let ready = json!({"type": "Ready", "status": null, "lastTransitionTime": null});
    let pod: Pod = read(&json!({"status": {"conditions": [null, ready]}}));
    assert_eq!(pod.status.conditions.len(), 1);
    assert_eq!(pod.status.conditions[0].status, "");
    assert_eq!(pod.status.conditions[0].last_transition_time, None);
}

#[test]
fn null_fields_of_a_daemon_set_are_absent() {
    assert_default::<DaemonSet>(&nulls(&["metadata", "spec", "status"]));
    let spec = nulls(&[
        "selector",
        "template",
        "updateStrategy",
        "minReadySeconds",
        "revisionHistoryLimit",
    ]);
    let status = nulls(&[
        "observedGeneration",
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberMisscheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
        "conditions",
    ]);
    assert_default::<DaemonSet>(&json!({"spec": spec, "status": status}));
    let selector = nulls(&["matchLabels", "matchExpressions"]);
    let strategy = nulls(&["type", "rollingUpdate"]);
    assert_default::<DaemonSet>(&json!({"spec": {"selector": selector, "updateStrategy": strategy}}));
    assert_default::<RollingUpdate>(&nulls(&["maxUnavailable", "maxSurge"]));
    assert_default::<DaemonSetCondition>(&nulls(&["type", "status", "reason", "message"]));
    let daemon_set: DaemonSet = read(&json!({"status": {"conditions": [null]}}));
    assert_eq!(daemon_set.status.conditions, [DaemonSetCondition::default()]);
}

#[test]
fn null_fields_of_a_template_are_absent() {
    let spec = nulls(&[
        "nodeName",
        "nodeSelector",
        "affinity",
        "tolerations",
        "hostNetwork",
        "initContainers",
        "containers",
        "resources",
        "overhead",
        "runtimeClassName",
    ]);
    assert_default::<PodTemplate>(&nulls(&["metadata", "spec"]));
    assert_default::<PodTemplate>(&json!({"spec": spec}));
    assert_default::<SchedulingTemplate>(&json!({"spec": null}));
    assert_default::<SchedulingTemplate>(&json!({"spec": spec}));
    let toleration = nulls(&["key", "operator", "value", "effect", "tolerationSeconds"]);
    let terms = json!([null, {"matchExpressions": [null], "matchFields": [
        nulls(&["key", "operator", "values"]), {"key": "metadata.name", "operator": "In", "values": [null, "b"]},
    ]}]);
    let template: PodTemplate = read(&json!({"spec": {
        "tolerations": [null, toleration, {"operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": terms,
        }}},
    }}));
    assert_eq!(template.spec.tolerations.len(), 3);
    assert_eq!(template.spec.tolerations[2].operator, "Exists");
    let terms = &template
        .spec
        .affinity
        .as_ref()
        .unwrap()
        .required()
        .unwrap()
        .node_selector_terms;
    assert!(terms[0].match_expressions.is_empty() && terms[0].match_fields.is_empty());
    assert_eq!(terms[1].match_expressions.len(), 1);
    assert_eq!(terms[1].match_fields[1].values, ["", "b"]);
    for affinity in [
        json!({"nodeAffinity": null}),
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": null}}),
    ] {
        let template: PodTemplate = read(&json!({"spec": {"affinity": affinity}}));
        assert!(template.spec.affinity.unwrap().required().is_none());
    }
}

#[test]
fn null_fields_of_containers_are_absent() {
    let container = nulls(&["restartPolicy", "ports", "resources"]);
    let ports = json!([null, nulls(&["hostPort", "containerPort", "hostIP", "protocol"])]);
    let template: SchedulingTemplate = read(&json!({"spec": {
        "initContainers": [null], "containers": [container, {"ports": ports}],
        "resources": nulls(&["requests", "limits"]),
    }}));
    assert_eq!(template.spec.init_containers.len(), 1);
    assert_eq!(template.spec.containers.len(), 2);
    assert_eq!(template.spec.containers[1].ports.len(), 2);
    assert_eq!(template.spec.containers[1].ports[1].host_port, 0);
    assert_default::<RuntimeClass>(&nulls(&["metadata", "overhead", "scheduling"]));
    assert_default::<RuntimeClass>(&json!({
        "overhead": {"podFixed": null}, "scheduling": nulls(&["nodeSelector", "tolerations"]),
    }));
}

#[test]
fn null_in_a_string_map_is_an_empty_string() {
    let expected: StringMap = [("a".to_owned(), String::new()), ("b".to_owned(), "c".to_owned())].into();
    let map = json!({"a": null, "b": "c"});
    let metadata: Meta<StringMap> = read(&json!({"labels": map, "annotations": map}));
    assert_eq!(metadata.labels, expected);
    assert_eq!(metadata.annotations, expected);
    let daemon_set: DaemonSet = read(&json!({"spec": {
        "selector": {"matchLabels": map}, "template": {"spec": {"nodeSelector": map}},
    }}));
    assert_eq!(daemon_set.spec.selector.match_labels, expected);
    assert_eq!(daemon_set.spec.template.spec.node_selector, expected);
    let class: RuntimeClass = read(&json!({"scheduling": {"nodeSelector": map}}));
    assert_eq!(class.scheduling.node_selector, expected);
}

#[test]
fn null_quantity_is_zero_and_stays() {
    let quantities = json!({"cpu": null, "memory": "64Mi"});
    let template: SchedulingTemplate = read(&json!({"spec": {
        "overhead": quantities, "containers": [{"resources": {"requests": quantities, "limits": quantities}}],
    }}));
    let expected = [
        ("cpu".to_owned(), Quantity("0".to_owned())),
        ("memory".to_owned(), Quantity("64Mi".to_owned())),
    ];
    let resources = &template.spec.containers[0].resources;
    assert_eq!(resources.requests, expected.clone().into());
    assert_eq!(resources.limits, expected.clone().into());
    assert_eq!(template.spec.overhead, Some(expected.clone().into()));
    let node: NodeCapacity = read(&json!({"status": {"allocatable": quantities, "capacity": quantities}}));
    assert_eq!(node.status.allocatable, expected.clone().into());
    assert_eq!(node.status.capacity, expected.into());
}
