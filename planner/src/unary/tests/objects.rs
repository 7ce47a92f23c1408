//! Objects as kubectl prints them, and calls with them outside a server.

use everynode_proto::{
    facts::RawStruct,
    planner::v1::{
        ExplainRequest, ExplainResponse, NodeVerdict, Problem, SimulateNodesRequest, SimulateNodesResponse,
        Verdict,
    },
};
use everynode_serving::serve::Work;
use serde_json::{Value, json};

use super::super::{explain, simulate_nodes};

pub(super) fn raw_structs(objects: &[Value]) -> Vec<RawStruct> {
    let raw = |object: &Value| object.as_object().unwrap().into();
    objects.iter().map(raw).collect()
}

/// A valid `DaemonSet` in the namespace sys, whose template has this spec. A spec without containers gets one.
pub(super) fn daemon_set(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    if spec["containers"].is_null() {
        spec["containers"] = json!([{"name": "c", "image": "x/y:1"}]);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "sys"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    })
}

pub(super) fn node(name: &str, labels: &Value, taints: &Value) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}})
}

pub(super) fn explained(daemon_sets: &[Value], nodes: &[Value], classes: &[Value]) -> ExplainResponse {
    let request = ExplainRequest {
        daemon_sets: raw_structs(daemon_sets),
        nodes: raw_structs(nodes),
        runtime_classes: raw_structs(classes),
        ..ExplainRequest::default()
    };
    explain(request, &Work::unbounded()).unwrap()
}

pub(super) fn simulated(
    daemon_sets: &[Value],
    nodes: &[Value],
    classes: &[Value],
    unknown: &[&str],
) -> SimulateNodesResponse {
    let request = SimulateNodesRequest {
        daemon_sets: raw_structs(daemon_sets),
        nodes: raw_structs(nodes),
        runtime_classes: raw_structs(classes),
        unknown_labels: unknown.iter().map(ToString::to_string).collect(),
        ..SimulateNodesRequest::default()
    };
    simulate_nodes(request, &Work::unbounded()).unwrap()
}

/// The object and the field of each problem.
pub(super) fn fields(problems: &[Problem]) -> Vec<(&str, &str)> {
    let field = |problem| {
        let problem: &Problem = problem;
        (problem.object.as_str(), problem.field.as_str())
    };
    problems.iter().map(field).collect()
}

/// The verdicts in the order of the answer.
pub(super) fn verdicts(answer: &ExplainResponse) -> Vec<Verdict> {
    answer.verdicts.iter().map(NodeVerdict::verdict).collect()
}
