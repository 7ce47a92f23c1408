//! Tests of the harness's own guarantees about the control plane.

use std::time::{Duration, Instant};

use everynode_tests::control_plane::{Component, ControlPlane, Options};
use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::shared::ControlPlaneClaim;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn stored_objects_survive_api_server_restart_on_the_same_port() {
    let mut claim = ControlPlaneClaim::new().await.unwrap();
    let client = claim.client().await.unwrap();
    nodes::create_ready(&client, vec![NodeBuilder::master("master-1")])
        .await
        .unwrap();
    claim.control_plane().restart_apiserver().await.unwrap();
    let nodes: Api<Node> = Api::all(client);
    assert_eq!(
        nodes
            .get("master-1")
            .await
            .unwrap()
            .spec
            .unwrap()
            .taints
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn next_claim_finds_nothing_left_by_the_previous_test() {
    let mut claim = ControlPlaneClaim::new().await.unwrap();
    let client = claim.client().await.unwrap();
    let first = claim.namespace().to_owned();
    nodes::create_ready(&client, vec![NodeBuilder::new("node-1")])
        .await
        .unwrap();
    claim
        .control_plane()
        .stop_component(Component::Scheduler)
        .await
        .unwrap();
    DaemonSetBuilder::new("left")
        .create(&client, &first)
        .await
        .unwrap();
    drop(claim);

    let mut claim = ControlPlaneClaim::new().await.unwrap();
    assert_ne!(claim.namespace(), first);
    assert!(claim.control_plane().is_running(Component::Scheduler));
    let nodes: Api<Node> = Api::all(claim.client().await.unwrap());
    assert_eq!(nodes.list(&ListParams::default()).await.unwrap().items, []);
}

#[tokio::test]
async fn control_plane_with_kubernetes_own_controller_runs_beside_the_shared_one() {
    // The shared control plane is idle but still runs, on other ports.
    let mut claim = ControlPlaneClaim::new().await.unwrap();
    let options = Options {
        daemonset_controller: true,
        ..Options::default()
    };
    let start = Instant::now();
    let control_plane = ControlPlane::start(options).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_mins(1),
        "it took {:?}",
        start.elapsed()
    );
    assert_ne!(control_plane.server(), claim.control_plane().server());
    let client = control_plane.client().await.unwrap();
    nodes::create_ready(&client, vec![NodeBuilder::new("node-1")])
        .await
        .unwrap();
    DaemonSetBuilder::new("agent")
        .create(&client, "default")
        .await
        .unwrap();
    daemonsets::wait_placed(&client, "default", "agent", &["node-1"], DEADLINE)
        .await
        .unwrap();
    control_plane.stop().await.unwrap();
}

#[tokio::test]
async fn component_that_fails_to_start_is_reported_with_its_output() {
    let flag = (Component::ApiServer, "--no-such-flag".to_owned());
    let error = ControlPlane::start(Options {
        flags: vec![flag],
        ..Options::default()
    })
    .await
    .unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("kube-apiserver has ended"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}
