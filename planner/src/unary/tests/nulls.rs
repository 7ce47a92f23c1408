//! A null means what the API server makes of it: an absent value, an empty text, or 0.

use everynode_proto::planner::v1::{PlanRequest, Verdict};
use everynode_serving::serve::Work;
use serde_json::{Value, json};

use super::{
    super::plan,
    objects::{daemon_set, explained, raw_structs, simulated, verdicts},
};

/// A `DaemonSet` for nodes with the label role and an empty value, which requests 64Mi of memory.
fn with_nulls() -> Value {
    let mut object = daemon_set(
        "d",
        &json!({
            "nodeSelector": {"role": null},
            "affinity": null,
            "tolerations": [null, {"key": "a", "operator": null, "value": null, "effect": null}],
            "hostNetwork": null,
            "runtimeClassName": null,
            "overhead": null,
            "initContainers": null,
            "containers": [{
                "name": "c",
                "resources": {"requests": {"cpu": null, "memory": "64Mi"}, "limits": null},
                "ports": [{"containerPort": 80, "hostPort": null}],
            }],
        }),
    );
    object["metadata"]["labels"] = json!({"a": null});
    object["spec"]["minReadySeconds"] = Value::Null;
    object["spec"]["updateStrategy"] = json!({"type": null, "rollingUpdate": null});
    object["status"] = Value::Null;
    object
}

fn node() -> Value {
    json!({
        "kind": "Node",
        "metadata": {"name": "n", "labels": {"role": null}, "annotations": null},
        "spec": {"taints": [{"key": "a", "value": null, "effect": "NoSchedule"}], "unschedulable": null},
        "status": {"allocatable": null, "capacity": {"cpu": null, "memory": "1Gi"}},
    })
}

#[test]
fn nulls_in_objects_are_no_problems_except_in_a_toleration_that_is_empty() {
    // A toleration that is null is one without a key, for which the API server requires the operator Exists.
    let empty = "spec.template.spec.tolerations[0].operator";
    let class = json!({
        "kind": "RuntimeClass", "metadata": {"name": "r"}, "handler": "r", "overhead": null, "scheduling": null,
    });
    let (objects, nodes) = ([with_nulls()], [node()]);
    let answer = explained(&objects, &nodes, std::slice::from_ref(&class));
    assert_eq!(verdicts(&answer), [Verdict::Run]);
    let found: Vec<_> = answer
        .problems
        .iter()
        .map(|problem| problem.field.as_str())
        .collect();
    assert_eq!(found, [empty]);
    let answer = simulated(&objects, &nodes, &[class], &[]);
    assert_eq!(answer.nodes[0].daemon_sets, ["sys/d"]);
    let requests = &answer.nodes[0].requests;
    assert_eq!(requests["memory"], "64Mi");
    assert_eq!(requests.get("cpu").map_or("0", String::as_str), "0");
    assert_eq!(answer.problems.len(), 1);
}

#[test]
fn nulls_in_pods_are_absent_values() {
    let pod = json!({
        "kind": "Pod",
        "metadata": {
            "name": "d-n", "namespace": "sys", "uid": "p1", "labels": {"app": "d", "extra": null},
            "ownerReferences": [
                null, {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u", "controller": true},
            ],
            "deletionTimestamp": null,
        },
        "spec": {"nodeName": "n", "affinity": null},
        "status": {"phase": null, "conditions": [null]},
    });
    let request = PlanRequest {
        daemon_set: raw_structs(&[with_nulls()]).pop(),
        nodes: raw_structs(&[node()]),
        pods: raw_structs(&[pod]),
        update_revision: Some("r1".to_owned()),
        ..PlanRequest::default()
    };
    let answer = plan(request, &Work::unbounded()).unwrap();
    assert_eq!(answer.problems.len(), 1, "that of the empty toleration");
    assert_eq!(answer.status.unwrap().current_number_scheduled, 1);
}
