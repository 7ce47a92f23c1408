//! Tests of every folder that can be applied.

use everynode_tests::control_plane::{ControlPlane, Options};
use everynode_tests::kubectl::Kubectl;
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

use super::manifests::{BASE, HOST_NETWORK_OVERLAY, NAMESPACE, apply, define_foreign_kinds, overlays};
use super::{rollouts, viewer};
use crate::world::DEADLINE;

fn nodes() -> Vec<NodeBuilder> {
    let zone = "topology.kubernetes.io/zone";
    let role = "node-role.kubernetes.io/control-plane";
    let worker = |name: &str| {
        let node = NodeBuilder::new(name).label(zone, &format!("zone-of-{name}"));
        // No kubelet listens at this address, so a request to the kubelet fails at once.
        node.status(|status| {
            for address in status.addresses.iter_mut().flatten() {
                "127.0.0.1".clone_into(&mut address.address);
            }
        })
    };
    let control_plane = |name: &str| worker(name).label(role, "").taint(role, "", "NoSchedule");
    let mut nodes = ["worker-1", "worker-2", "worker-3"].map(worker).to_vec();
    nodes.extend(["control-plane-1", "control-plane-2"].map(control_plane));
    nodes
}

/// Waits until each Deployment has all of its pods ready and updated to its current template.
async fn wait_deployments_ready(client: &Client, folder: &str) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let ready = eventually(DEADLINE, format!("the pods of {folder}"), async || {
        let found = deployments.list(&ListParams::default()).await?.items;
        anyhow::ensure!(!found.is_empty(), "there are no Deployments");
        for deployment in found {
            let wanted = deployment.spec.replicas;
            let status = deployment.status.clone().unwrap_or_default();
            anyhow::ensure!(
                status.available_replicas == wanted && status.updated_replicas == wanted,
                "{}: {status:?}",
                deployment.name_any()
            );
        }
        Ok(())
    });
    ready.await.unwrap();
}

/// Whether the pod has a token for the API server.
fn has_token(pod: &Pod) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    volumes.unwrap_or_default().iter().any(|volume| {
        let projected = volume.projected.as_ref();
        let sources = projected.and_then(|projected| projected.sources.as_deref());
        let mut sources = sources.unwrap_or_default().iter();
        sources.any(|source| source.service_account_token.is_some())
    })
}

async fn check_pods(client: &Client, kubectl: &Kubectl, folder: &str) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let pods = pods.list(&ListParams::default()).await.unwrap().items;
    assert!(!pods.is_empty(), "{folder} has no pods");
    for pod in pods {
        let name = pod.name_any();
        let is_executor = name.starts_with("everynode-executor-");
        assert!(is_executor || name.starts_with("everynode-planner-"), "{name}");
        assert_eq!(has_token(&pod), is_executor, "{name} of {folder}");
        let priority = pod.spec.and_then(|spec| spec.priority);
        assert!(
            priority >= Some(2_000_000_000),
            "{name} of {folder}: {priority:?}"
        );
    }
    let other = [
        "run",
        "other",
        "--image=example",
        "--dry-run=server",
        "-n",
        NAMESPACE,
    ];
    let other = kubectl.run(other).await;
    if folder == HOST_NETWORK_OVERLAY {
        other.unwrap();
    } else {
        let refusal = other.unwrap_err().to_string();
        assert!(
            refusal.contains(r#"violates PodSecurity "restricted"#),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn every_overlay_applies_without_warnings_and_its_pods_become_ready() {
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let (client, kubectl) = (
        control_plane.client().await.unwrap(),
        control_plane.kubectl().unwrap(),
    );
    nodes::create_ready(&client, nodes()).await.unwrap();
    define_foreign_kinds(&kubectl).await;
    for folder in overlays() {
        apply(&kubectl, &folder).await;
        wait_deployments_ready(&client, &folder).await;
        check_pods(&client, &kubectl, &folder).await;
        if folder == BASE {
            viewer::check(&control_plane).await;
            rollouts::check(&control_plane).await;
        }
        // kubectl waits until the namespace is gone.
        kubectl.run(["delete", "-k", &folder]).await.unwrap();
    }
    control_plane.stop().await.unwrap();
}
