//! Measures calls over loopback, with objects as `kubectl get -o json` prints them, and the planner's own time for
//! some of these calls.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark that goes wrong is to stop at once"
)]

#[path = "../tests/grpc/objects.rs"]
mod objects;

use std::{hint::black_box, sync::Arc};

use clap::Parser;
use criterion::{BatchSize, Criterion, Throughput};
use everynode_planner::{args::Cli, metrics::Metrics, run, unary};
use everynode_proto::planner::v1::{
    ExplainRequest, NodeTemplate, PlanRequest, SimulateNodesRequest, Taint,
    planner_service_client::PlannerServiceClient,
};
use everynode_serving::serve::Work;
use prost::Message;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use self::objects::{daemon_set, list, node, pod, raw_struct};

const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

fn nodes(count: usize) -> Value {
    list((0..count).map(|index| node(&format!("node-{index:05}"), &json!([]))))
}

fn pods(count: usize) -> Value {
    let one = |index| {
        let node = format!("node-{index:05}");
        pod(
            "agent",
            &format!("agent-{index:05}"),
            &node,
            "1",
            "2026-01-02T03:06:00Z",
        )
    };
    list((0..count).map(one))
}

fn plan_request() -> PlanRequest {
    PlanRequest {
        daemon_set: Some(raw_struct(&daemon_set("agent"))),
        nodes: vec![raw_struct(&nodes(5_000))],
        pods: vec![raw_struct(&pods(5_000))],
        ..PlanRequest::default()
    }
}

fn explain_request() -> ExplainRequest {
    ExplainRequest {
        daemon_sets: vec![raw_struct(&daemon_set("agent"))],
        nodes: vec![raw_struct(&nodes(5_000))],
        ..ExplainRequest::default()
    }
}

/// Every third `DaemonSet` runs only on some of the templates.
fn simulate_request(daemon_sets: usize, templates: usize) -> SimulateNodesRequest {
    let of_index = |index: usize| {
        let mut object = daemon_set(&format!("agent-{index}"));
        if index.is_multiple_of(3) {
            object["spec"]["template"]["spec"]["affinity"] = json!({"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["type-1", "type-7", "type-9"]},
                    {"key": "kubernetes.io/arch", "operator": "NotIn", "values": ["arm64"]},
                ]}]},
            }});
        }
        object
    };
    let template = |index: usize| {
        let labels = [
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            (
                "node.kubernetes.io/instance-type",
                &format!("type-{}", index % 100),
            ),
            ("topology.kubernetes.io/region", "eu-north-1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let capacity = [
            ("cpu", "3920m"),
            ("memory", "15Gi"),
            ("pods", "58"),
            ("ephemeral-storage", "80Gi"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        NodeTemplate {
            name: format!("template-{index}"),
            labels: labels.into(),
            taints: vec![Taint {
                key: "node.kubernetes.io/not-ready".to_owned(),
                value: String::new(),
                effect: "NoExecute".to_owned(),
            }],
            capacity: capacity.into(),
            unknown_labels: vec!["topology.kubernetes.io/zone".to_owned()],
        }
    };
    SimulateNodesRequest {
        daemon_sets: vec![raw_struct(&list((0..daemon_sets).map(of_index)))],
        node_templates: (0..templates).map(template).collect(),
        ..SimulateNodesRequest::default()
    }
}

async fn serve() -> PlannerServiceClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Cli::parse_from(["planner"]).serve.limits();
    let server = run::server(Arc::new(Metrics::default()), limits, CancellationToken::new());
    tokio::spawn(server.await.unwrap().serve_tcp(listener));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    PlannerServiceClient::new(endpoint.tcp_nodelay(true).connect().await.unwrap())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(serve());

    let mut group = criterion.benchmark_group("calls over loopback");
    let request = plan_request();
    group.throughput(Throughput::Bytes(request.encoded_len() as u64));
    group.bench_function("Plan, 5000 nodes and 5000 pods", |bencher| {
        bencher.to_async(&runtime).iter_batched(
            || (client.clone(), request.clone()),
            |(mut client, request)| async move { client.plan(request).await.unwrap() },
            BatchSize::LargeInput,
        );
    });
    let request = explain_request();
    group.throughput(Throughput::Bytes(request.encoded_len() as u64));
    group.bench_function("Explain, 5000 nodes", |bencher| {
        bencher.to_async(&runtime).iter_batched(
            || (client.clone(), request.clone()),
            |(mut client, request)| async move { client.explain(request).await.unwrap() },
            BatchSize::LargeInput,
        );
    });
    let request = simulate_request(50, 500);
    group.throughput(Throughput::Bytes(request.encoded_len() as u64));
    group.bench_function("SimulateNodes, 500 templates and 50 DaemonSets", |bencher| {
        bencher.to_async(&runtime).iter_batched(
            || (client.clone(), request.clone()),
            |(mut client, request)| async move { client.simulate_nodes(request).await.unwrap() },
            BatchSize::LargeInput,
        );
    });
    group.finish();

    let mut group = criterion.benchmark_group("in the planner");
    let request = plan_request();
    group.bench_function("Plan, 5000 nodes and 5000 pods", |bencher| {
        bencher.iter_batched(
            || request.clone(),
            |request| black_box(unary::plan(request, &Work::unbounded())),
            BatchSize::LargeInput,
        );
    });
    let request = simulate_request(50, 500);
    group.bench_function("SimulateNodes, 500 templates and 50 DaemonSets", |bencher| {
        bencher.iter_batched(
            || request.clone(),
            |request| black_box(unary::simulate_nodes(request, &Work::unbounded())),
            BatchSize::LargeInput,
        );
    });
    group.finish();
    criterion.final_summary();
}
