//! Guarantees of the kwok stages for tests that make pods misbehave.

use std::time::Duration;

use anyhow::{Result, ensure};
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::shared::ControlPlaneClaim;
use everynode_tests::wait::eventually;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

/// Claims a namespace with one node for pods.
async fn claim_with_node() -> (ControlPlaneClaim, Client, Api<Pod>) {
    let claim = ControlPlaneClaim::new().await.unwrap();
    let client = claim.client().await.unwrap();
    nodes::create_ready(&client, vec![NodeBuilder::new("node-1")])
        .await
        .unwrap();
    let pods = Api::namespaced(client.clone(), claim.namespace());
    (claim, client, pods)
}

async fn create(pods: &Api<Pod>, name: &str, image: &str, annotations: &Value) {
    let pod = json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": image}]},
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap())
        .await
        .unwrap();
}

async fn annotate(pods: &Api<Pod>, name: &str, key: &str, value: Option<&str>) {
    let patch = json!({"metadata": {"annotations": {key: value}}});
    pods.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

/// Waits until the pod has this phase, and until the pod and all its containers are ready or unready as given.
async fn wait_phase(pods: &Api<Pod>, name: &str, phase: &str, ready: bool) -> Pod {
    eventually(
        DEADLINE,
        format!("{name} to be {phase}, ready: {ready}"),
        async || -> Result<Pod> {
            let pod = pods.get(name).await?;
            let status = pod.status.clone().unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let found = conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let containers = status.container_statuses.unwrap_or_default();
            let found_phase = status.phase.unwrap_or_default();
            ensure!(
                found_phase == phase && found == ready,
                "{name} is {found_phase}, ready: {found}"
            );
            ensure!(
                containers.iter().all(|container| container.ready == ready),
                "the containers of {name} don't agree"
            );
            Ok(pod)
        },
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn pod_phase_and_readiness_follow_annotations_and_image() {
    let (_claim, _client, pods) = claim_with_node().await;
    create(&pods, "plain", "nginx", &json!({})).await;
    create(
        &pods,
        "unready",
        "nginx",
        &json!({"everynode.test/ready": "false"}),
    )
    .await;
    create(
        &pods,
        "failed",
        "nginx",
        &json!({"everynode.test/phase": "Failed"}),
    )
    .await;
    create(&pods, "no-image", "foo:non-existent", &json!({})).await;

    let plain = wait_phase(&pods, "plain", "Running", true).await;
    assert!(
        plain.status.unwrap().pod_ip.is_some(),
        "a running pod has an address"
    );
    wait_phase(&pods, "unready", "Running", false).await;
    wait_phase(&pods, "failed", "Failed", false).await;
    eventually(DEADLINE, "the missing image to be reported", async || {
        let pod = serde_json::to_value(pods.get("no-image").await?)?;
        let reason = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
        ensure!(
            reason == "ImagePullBackOff" && pod["status"]["phase"] == "Pending",
            "{}",
            pod["status"]
        );
        Ok(())
    })
    .await
    .unwrap();

    annotate(&pods, "unready", "everynode.test/ready", None).await;
    wait_phase(&pods, "unready", "Running", true).await;
    annotate(&pods, "plain", "everynode.test/ready", Some("false")).await;
    wait_phase(&pods, "plain", "Running", false).await;
    annotate(&pods, "plain", "everynode.test/phase", Some("Failed")).await;
    wait_phase(&pods, "plain", "Failed", false).await;
}

#[tokio::test]
async fn deleted_pods_disappear_at_once_unless_annotated_to_stay() {
    let (_claim, _client, pods) = claim_with_node().await;
    create(&pods, "plain", "nginx", &json!({})).await;
    create(
        &pods,
        "stays",
        "nginx",
        &json!({"everynode.test/terminate": "never"}),
    )
    .await;
    for name in ["plain", "stays"] {
        wait_phase(&pods, name, "Running", true).await;
        pods.delete(name, &DeleteParams::default()).await.unwrap();
    }
    let gone = async |name: &str| {
        eventually(DEADLINE, format!("{name} to be gone"), async || {
            ensure!(pods.get_opt(name).await?.is_none(), "the pod exists");
            Ok(())
        })
        .await
        .unwrap();
    };
    gone("plain").await;
    let stays = pods.get("stays").await.unwrap();
    assert!(
        stays.metadata.deletion_timestamp.is_some(),
        "stays isn't terminating"
    );
    annotate(&pods, "stays", "everynode.test/terminate", None).await;
    gone("stays").await;
}

#[tokio::test]
async fn node_can_stay_unready() {
    let (_claim, client, _pods) = claim_with_node().await;
    NodeBuilder::new("node-2")
        .unready()
        .create(&client)
        .await
        .unwrap();
    // node-3 was created later and is already ready, so kwok has skipped node-2.
    nodes::create_ready(&client, vec![NodeBuilder::new("node-3")])
        .await
        .unwrap();
    let nodes: Api<Node> = Api::all(client);
    assert!(!nodes::is_ready(&nodes.get("node-2").await.unwrap()));
}
