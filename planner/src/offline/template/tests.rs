use super::*;
use crate::offline::place::Place;

fn object(value: &Value) -> Object {
    Object {
        fields: value.as_object().unwrap().clone(),
        place: Place {
            file: "file".into(),
            document: 1,
            line: 1,
            path: String::new(),
            lines: std::sync::Arc::default(),
        },
        problem: None,
    }
}

fn node(taints: &[&str]) -> Object {
    let taints: Vec<_> = taints
        .iter()
        .map(|key| json!({"key": key, "effect": "NoSchedule"}))
        .collect();
    object(&json!({
        "kind": "Node",
        "metadata": {
            "name": "worker-1",
            "uid": "u1",
            "labels": {"kubernetes.io/hostname": "worker-1", "disk": "ssd"},
        },
        "spec": {"taints": taints, "unschedulable": true},
    }))
}

#[test]
fn transient_taints_are_set_aside_and_others_stay() {
    let transient = [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unschedulable",
        "node.cloudprovider.kubernetes.io/uninitialized",
        "ToBeDeletedByClusterAutoscaler",
        "karpenter.sh/disrupted",
        "node.cilium.io/agent-not-ready",
        "ebs.csi.aws.com/agent-not-ready",
        "cni.istio.io/not-ready",
        "node.deckhouse.io/uninitialized",
        "remediator.kubernetes.azure.com/unschedulable",
        "readiness.k8s.io/gpu",
        "startup-taint.cluster-autoscaler.kubernetes.io/a",
    ];
    let lasting = [
        "nvidia.com/gpu",
        "node-role.kubernetes.io/control-plane",
        "dedicated",
        "not-ready",
    ];
    let mut nodes = [node(&[transient.as_slice(), &lasting].concat())];
    let set_aside = SetAside::take_from(&mut nodes, &[]);
    let left: Vec<_> = nodes[0]["spec"]["taints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|taint| taint["key"].as_str().unwrap())
        .collect();
    assert_eq!(left, lasting);
    let note = set_aside.note().unwrap();
    for key in transient {
        assert!(
            note.contains(&format!("taint {key}:NoSchedule (1 node)")),
            "{note}"
        );
    }
}

#[test]
fn host_name_and_cordon_are_set_aside_and_counted() {
    let mut nodes = [node(&[]), node(&[])];
    let set_aside = SetAside::take_from(&mut nodes, &[]);
    let labels = &nodes[0]["metadata"]["labels"];
    assert_eq!(labels, &json!({"kubernetes.io/hostname": "", "disk": "ssd"}));
    assert_eq!(nodes[0]["spec"].get("unschedulable"), None);
    assert_eq!(
        set_aside.note().unwrap(),
        "set aside, because a new node of the same kind doesn't have it: label kubernetes.io/hostname (2 nodes), \
         spec.unschedulable (2 nodes); --keep-transient keeps it"
    );
}

#[test]
fn unknown_labels_and_nodes_written_by_hand_stay_as_they_are() {
    let unknown = ["kubernetes.io/hostname".to_owned()];
    let mut nodes = [node(&[])];
    SetAside::take_from(&mut nodes, &unknown);
    assert_eq!(
        nodes[0]["metadata"]["labels"]["kubernetes.io/hostname"],
        "worker-1"
    );
    let mut by_hand = node(&["node.kubernetes.io/not-ready"]);
    by_hand["metadata"].as_object_mut().unwrap().remove("uid");
    let mut nodes = [by_hand.clone()];
    assert_eq!(SetAside::take_from(&mut nodes, &[]).note(), None);
    assert_eq!(nodes[0], by_hand);
}

#[test]
fn nodes_with_values_of_other_types_stay_as_they_are() {
    for odd in [
        json!({"metadata": {"uid": "u", "labels": null}, "spec": {"taints": null}}),
        json!({"metadata": {"uid": "u", "labels": []}, "spec": []}),
        json!({"metadata": {"uid": "u"}, "spec": {"taints": ["a", 7, null]}}),
        json!({"metadata": null, "status": {"conditions": []}}),
        json!({}),
    ] {
        let mut nodes = [object(&odd)];
        assert_eq!(SetAside::take_from(&mut nodes, &[]).note(), None);
        assert_eq!(Value::Object(nodes[0].fields.clone()), odd);
    }
}
