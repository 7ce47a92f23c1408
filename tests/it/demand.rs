//! Compares the planner's calculation of pods' demand with the scheduler's own functions.

use everynode_proto::facts::RawStruct;
use everynode_proto::planner::v1::planner_service_client::PlannerServiceClient;
use everynode_proto::planner::v1::{DaemonSetDemand, NodeTemplate, SimulateNodesRequest};
use everynode_tests::judge::{HostPort, pod_demands};
use everynode_tests::placement_cases::pod_templates::pod_templates;
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::{Planner, ServiceOptions};
use everynode_tests::toolbox::Toolbox;
use serde_json::{Value, json};

/// The limit of `DaemonSet`s in one call.
const MAX_PER_CALL: usize = 1_000;

/// The planner's host ports in the scheduler's form. The planner writes 0.0.0.0, which means all addresses, as an empty
/// address.
fn host_ports(demand: &DaemonSetDemand) -> Vec<HostPort> {
    let port = |port: &everynode_proto::planner::v1::HostPort| HostPort {
        port: port.port,
        protocol: port.protocol.clone(),
        ip: port.ip.clone(),
    };
    demand.host_ports.iter().map(port).collect()
}

fn distinct(mut ports: Vec<HostPort>) -> Vec<HostPort> {
    for port in &mut ports {
        if port.ip == "0.0.0.0" {
            port.ip.clear();
        }
    }
    ports.sort();
    ports.dedup();
    ports
}

fn daemon_set((index, template): (usize, &Value)) -> RawStruct {
    let labels = json!({"app": "agent"});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": format!("agent-{index}")},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        },
    });
    RawStruct::from(object.as_object().unwrap())
}

#[tokio::test]
async fn pod_demand_equals_the_schedulers_for_10_000_random_templates() {
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let mut planner = Planner::start(&programs, ServiceOptions::default())
        .await
        .unwrap();
    let mut client = PlannerServiceClient::connect(planner.url())
        .await
        .unwrap()
        .max_decoding_message_size(usize::MAX);
    let toolbox = Toolbox::ensured().await.unwrap();

    let templates = pod_templates(1, 10_000);
    let mut host_ports_seen = 0;
    for templates in templates.chunks(MAX_PER_CALL) {
        let reference = pod_demands(&toolbox, templates).await.unwrap();
        let request = SimulateNodesRequest {
            daemon_sets: templates.iter().enumerate().map(daemon_set).collect(),
            node_templates: vec![NodeTemplate {
                name: "node".to_owned(),
                ..NodeTemplate::default()
            }],
            ..SimulateNodesRequest::default()
        };
        let answer = client.simulate_nodes(request).await.unwrap().into_inner();
        assert_eq!(answer.problems, []);
        assert_eq!(answer.daemon_sets.len(), reference.len());
        for ((template, found), mut expected) in templates.iter().zip(&answer.daemon_sets).zip(reference) {
            expected.requests.insert("pods".to_owned(), "1".to_owned());
            assert_eq!(found.requests, expected.requests, "{template}");
            let ports = distinct(expected.host_ports);
            host_ports_seen += ports.len();
            assert_eq!(host_ports(found), ports, "{template}");
        }
    }
    assert!(host_ports_seen > 1_000, "{host_ports_seen}");
    // A stopping planner waits for its clients to disconnect.
    drop(client);
    planner.stop().await.unwrap();
}
