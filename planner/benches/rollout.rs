//! Measures `SimulateRollout` in the planner, with policies of one and of four named stages.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark that goes wrong is to stop at once"
)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use everynode_planner::unary;
use everynode_proto::{
    facts::RawStruct,
    planner::v1::{SimulateRolloutRequest, SimulatedOutcome},
};
use everynode_serving::serve::Work;
use serde_json::{Value, json};

const ZONES: [&str; 3] = ["a", "b", "c"];

fn raw_struct(object: &Value) -> RawStruct {
    object.as_object().unwrap().into()
}

fn node(number: usize) -> Value {
    let labels =
        json!({"kubernetes.io/os": "linux", "topology.kubernetes.io/zone": ZONES[number % ZONES.len()]});
    json!({"kind": "Node", "metadata": {"name": format!("node-{number:05}"), "labels": labels}})
}

fn daemon_set() -> Value {
    let container = json!({"name": "agent", "image": "registry.example.com/agent:1.2.3"});
    json!({
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "monitoring"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [container], "nodeSelector": {"kubernetes.io/os": "linux"}},
            },
        },
    })
}

/// A policy with the first stages of these: five nodes in all zones, a tenth, half, and nine tenths of the nodes.
fn policy(stages: usize) -> Value {
    let all = [
        json!({"name": "canary", "nodes": 5, "topologyKey": "topology.kubernetes.io/zone", "soak": "30m"}),
        json!({"name": "tenth", "nodes": "10%", "soak": "1h"}),
        json!({"name": "half", "nodes": "50%", "soak": "1h", "promotion": "Manual"}),
        json!({"name": "most", "nodes": "90%", "soak": "1h", "maxUnavailable": "5%"}),
    ];
    json!({
        "kind": "DaemonSetRolloutPolicy",
        "metadata": {"name": "agent", "namespace": "monitoring"},
        "spec": {
            "targetRefs": [{"name": "agent"}],
            "maxUnavailable": "2%",
            "stages": &all[..stages],
            "order": {"topologyKey": "topology.kubernetes.io/zone", "maxUnavailablePerDomain": "5%"},
        },
    })
}

fn request(nodes: usize, stages: usize) -> SimulateRolloutRequest {
    let items: Vec<_> = (0..nodes).map(node).collect();
    SimulateRolloutRequest {
        daemon_set: Some(raw_struct(&daemon_set())),
        policies: vec![raw_struct(&policy(stages))],
        nodes: vec![raw_struct(&json!({"kind": "List", "items": items}))],
        ..SimulateRolloutRequest::default()
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut group = criterion.benchmark_group("SimulateRollout");
    for (nodes, stages) in [(1_000, 4), (5_000, 1), (5_000, 4)] {
        let request = request(nodes, stages);
        let answer = unary::simulate_rollout(request.clone(), &Work::unbounded()).unwrap();
        assert_eq!(
            (answer.outcome(), answer.updated as usize),
            (SimulatedOutcome::Completed, nodes)
        );
        group.throughput(Throughput::Elements(nodes as u64));
        group.bench_function(BenchmarkId::new(format!("{stages} stages"), nodes), |bencher| {
            bencher.iter_batched(
                || request.clone(),
                |request| black_box(unary::simulate_rollout(request, &Work::unbounded())),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
    criterion.final_summary();
}
