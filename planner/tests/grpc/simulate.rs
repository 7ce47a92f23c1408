//! Tests of `SimulateNodes`, called as an autoscaler calls it.

use std::collections::BTreeMap;

use everynode_proto::planner::v1::{
    DaemonSetDemand, HostPort, NodeSimulation, NodeTemplate, ProblemCode, SimulateNodesRequest,
    SimulateNodesResponse, Taint,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{
    Server,
    objects::{daemon_set, list, raw_struct},
    soon, violation,
};

async fn simulate(request: SimulateNodesRequest) -> Result<SimulateNodesResponse, Status> {
    let server = Server::start().await;
    let mut client = server.client().await;
    soon(client.simulate_nodes(request))
        .await
        .map(tonic::Response::into_inner)
}

/// A `DaemonSet` with this spec in its template.
fn with_spec(name: &str, spec: Value) -> Value {
    let mut object = daemon_set(name);
    object["spec"]["template"]["spec"] = spec;
    object
}

/// A `DaemonSet` that runs everywhere and requests nothing.
fn plain(name: &str) -> Value {
    with_spec(name, json!({"containers": [{"name": "agent"}]}))
}

fn template(name: &str) -> NodeTemplate {
    NodeTemplate {
        name: name.to_owned(),
        ..NodeTemplate::default()
    }
}

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn simulation_lists_fitting_daemon_sets_their_requests_and_the_remaining_capacity() {
    let agent = with_spec(
        "agent",
        json!({
            "hostNetwork": true,
            "containers": [{
                "name": "agent",
                "ports": [{"containerPort": 9100}],
                "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "64Mi"}},
            }],
        }),
    );
    let gpu = with_spec(
        "gpu",
        json!({
            "nodeSelector": {"accelerator": "gpu"},
            "containers": [{"name": "driver", "resources": {"requests": {"memory": "1Gi"}}}],
        }),
    );
    let zonal = with_spec(
        "zonal",
        json!({"nodeSelector": {"zone": "a"}, "containers": [{"name": "agent"}]}),
    );
    let ordinary = NodeTemplate {
        capacity: strings(&[("cpu", "1930m"), ("memory", "7Gi"), ("pods", "29")]),
        unknown_labels: vec!["zone".to_owned()],
        ..template("m5.large")
    };
    let with_gpu = NodeTemplate {
        labels: strings(&[("accelerator", "gpu"), ("zone", "b")]),
        taints: vec![Taint {
            key: "node.kubernetes.io/not-ready".to_owned(),
            value: String::new(),
            effect: "NoExecute".to_owned(),
        }],
        ..template("g5.xlarge")
    };
    let response = simulate(SimulateNodesRequest {
        daemon_sets: vec![raw_struct(&list([agent, gpu, zonal]))],
        node_templates: vec![ordinary, with_gpu],
        ..SimulateNodesRequest::default()
    })
    .await
    .unwrap();

    let port = HostPort {
        ip: String::new(),
        protocol: "TCP".to_owned(),
        port: 9100,
    };
    let [of_agent, of_gpu, of_zonal] = response.daemon_sets.as_slice() else {
        panic!("{:?}", response.daemon_sets)
    };
    assert_eq!(
        *of_agent,
        DaemonSetDemand {
            daemon_set: "monitoring/agent".to_owned(),
            requests: strings(&[("cpu", "100m"), ("memory", "64Mi"), ("pods", "1")]),
            host_ports: vec![port.clone()],
        }
    );
    assert_eq!(of_gpu.requests, strings(&[("memory", "1Gi"), ("pods", "1")]));
    assert_eq!(of_zonal.requests, strings(&[("pods", "1")]));

    let [ordinary, with_gpu] = response.nodes.as_slice() else {
        panic!("{:?}", response.nodes)
    };
    assert_eq!(ordinary.node_template, "m5.large");
    assert_eq!(ordinary.daemon_sets, ["monitoring/agent"]);
    assert_eq!(
        ordinary.left,
        strings(&[("cpu", "1830m"), ("memory", "7104Mi"), ("pods", "28")])
    );
    assert_eq!(ordinary.undecided[0].daemon_set, "monitoring/zonal");
    assert_eq!(ordinary.undecided[0].unknown_labels, ["zone"]);
    assert_eq!(
        ordinary.undecided[0].message,
        "runs if and only if the node has zone=a"
    );
    assert_eq!(
        *with_gpu,
        NodeSimulation {
            node_template: "g5.xlarge".to_owned(),
            daemon_sets: vec!["monitoring/agent".to_owned(), "monitoring/gpu".to_owned()],
            requests: strings(&[("cpu", "100m"), ("memory", "1088Mi"), ("pods", "2")]),
            host_ports: vec![port],
            ..NodeSimulation::default()
        }
    );
    assert!(response.problems.is_empty());
}

#[tokio::test]
async fn nodes_become_templates_with_their_allocatable_resources() {
    let node =
        |name: &str, status: Value| json!({"kind": "Node", "metadata": {"name": name}, "status": status});
    let nodes = list([
        node(
            "a",
            json!({"allocatable": {"pods": "10"}, "capacity": {"pods": "12"}}),
        ),
        node("b", json!({"capacity": {"pods": 12}})),
        node("c", json!({"allocatable": {"cpu": "much"}})),
        json!({"kind": "Pod"}),
    ]);
    let response = simulate(SimulateNodesRequest {
        daemon_sets: vec![raw_struct(&plain("agent"))],
        nodes: vec![raw_struct(&nodes)],
        ..SimulateNodesRequest::default()
    })
    .await
    .unwrap();
    let left: Vec<_> = response
        .nodes
        .iter()
        .map(|node| (node.node_template.as_str(), node.left["pods"].as_str()))
        .collect();
    assert_eq!(left, [("a", "9"), ("b", "11")]);
    let problems: Vec<_> = response
        .problems
        .iter()
        .map(|problem| {
            (
                problem.object.as_str(),
                problem.field.as_str(),
                problem.message.as_str(),
            )
        })
        .collect();
    assert_eq!(
        problems,
        [
            (
                "node c",
                "status.allocatable.cpu",
                "\"much\" is not a quantity such as 100m, 1.5, 2e3 or 512Mi"
            ),
            ("the 4th Node", "kind", "expected a Node, found a Pod"),
        ]
    );
}

#[tokio::test]
async fn overhead_is_that_of_the_runtime_class_and_a_missing_class_is_a_problem() {
    let kata = |name: &str| {
        with_spec(
            name,
            json!({"runtimeClassName": "kata", "containers": [{"name": "agent"}]}),
        )
    };
    let class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata"}, "handler": "kata",
        "overhead": {"podFixed": {"memory": "120Mi", "cpu": "250m"}},
    });
    let request = SimulateNodesRequest {
        daemon_sets: vec![raw_struct(&kata("agent"))],
        node_templates: vec![template("t")],
        ..SimulateNodesRequest::default()
    };
    let with_class = SimulateNodesRequest {
        runtime_classes: vec![raw_struct(&class)],
        ..request.clone()
    };
    let response = simulate(with_class).await.unwrap();
    assert_eq!(
        response.nodes[0].requests,
        strings(&[("cpu", "250m"), ("memory", "120Mi"), ("pods", "1")])
    );
    assert!(response.problems.is_empty());
    let response = simulate(request).await.unwrap();
    assert_eq!(response.nodes[0].requests, strings(&[("pods", "1")]));
    assert_eq!(response.problems[0].code(), ProblemCode::UnknownOverhead);
    assert_eq!(response.problems[0].field, "spec.template.spec.runtimeClassName");
}

#[tokio::test]
async fn malformed_daemon_set_is_a_problem_and_the_others_are_simulated() {
    let odd = with_spec(
        "odd",
        json!({"containers": [{"resources": {"requests": {"cpu": "-1"}}}]}),
    );
    let response = simulate(SimulateNodesRequest {
        daemon_sets: vec![raw_struct(&odd), raw_struct(&plain("agent"))],
        node_templates: vec![template("t")],
        ..SimulateNodesRequest::default()
    })
    .await
    .unwrap();
    assert_eq!(response.nodes[0].daemon_sets, ["monitoring/agent"]);
    assert_eq!(response.problems[0].object, "daemonset monitoring/odd");
    assert_eq!(
        response.problems[0].field,
        "spec.template.spec.containers[0].resources.requests.cpu"
    );
    assert_eq!(response.problems[0].message, "must not be negative, found -1");
}

#[tokio::test]
async fn null_means_an_absent_value() {
    let spec = json!({
        "nodeSelector": {"node-role.kubernetes.io/worker": null},
        "tolerations": null,
        "containers": [{"name": "agent", "resources": {"requests": {"cpu": null, "memory": "64Mi"}}}],
    });
    let mut agent = with_spec("agent", spec);
    agent["metadata"]["namespace"] = Value::Null;
    let node =
        json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": null}}, "spec": null});
    let response = simulate(SimulateNodesRequest {
        daemon_sets: vec![raw_struct(&agent)],
        nodes: vec![raw_struct(&node)],
        ..SimulateNodesRequest::default()
    })
    .await
    .unwrap();
    assert_eq!(response.problems, []);
    assert_eq!(response.nodes[0].daemon_sets, ["default/agent"]);
    let requests = strings(&[("cpu", "0"), ("memory", "64Mi"), ("pods", "1")]);
    assert_eq!(response.nodes[0].requests, requests);
}

#[tokio::test]
async fn invalid_request_names_the_field() {
    let sets = || vec![raw_struct(&plain("agent"))];
    let quantity = NodeTemplate {
        capacity: strings(&[("cpu", "two")]),
        ..template("t")
    };
    for (daemon_sets, node_templates, code, field) in [
        (vec![], vec![template("t")], Code::InvalidArgument, "daemon_sets"),
        (sets(), vec![], Code::InvalidArgument, "node_templates"),
        (
            sets(),
            vec![template("t"), template("")],
            Code::InvalidArgument,
            "node_templates[1].name",
        ),
        (
            sets(),
            vec![quantity],
            Code::InvalidArgument,
            "node_templates[0].capacity.cpu",
        ),
        (
            sets(),
            vec![template("t"); 10_001],
            Code::ResourceExhausted,
            "node_templates",
        ),
    ] {
        let status = simulate(SimulateNodesRequest {
            daemon_sets,
            node_templates,
            ..SimulateNodesRequest::default()
        })
        .await
        .unwrap_err();
        assert_eq!(status.code(), code, "{field}: {status:?}");
        assert_eq!(violation(&status), field);
    }
}
