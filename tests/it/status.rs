//! Content and timing of the status (contract N3, S2, S3).

use everynode_tests::daemonsets::{self, DaemonSetBuilder, is_ready, target_node};
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::world::{DEADLINE, World};

#[tokio::test]
async fn s2_status_overwritten_by_another_client_is_corrected() {
    let world = World::new(2).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    let ready = async || {
        world
            .wait_status("agent", "two ready", |status| {
                status.number_ready == 2 && status.number_available == Some(2)
            })
            .await
    };
    ready().await;
    let sets: Api<DaemonSet> = Api::namespaced(world.client.clone(), &world.namespace);
    let wrong = json!({"status": {"numberReady": 7, "collisionCount": 3}});
    sets.patch_status("agent", &PatchParams::default(), &Patch::Merge(&wrong))
        .await
        .unwrap();
    assert_eq!(
        ready().await.collision_count,
        Some(3),
        "the planner doesn't change the collision count"
    );
}

#[tokio::test]
async fn s2_rollout_is_never_reported_complete_too_early() {
    let (world, _) = World::with_agent(3).await;
    let kubectl = world.claim.kubectl().unwrap();
    for number in 2..8 {
        let image = format!("example/daemon:{number}");
        world.set_image(&image).await;
        // kubectl relies on observedGeneration and the counters. If a status had the new generation but old counters,
        // kubectl would return at once.
        kubectl
            .run(["rollout", "status", "ds/agent", "--timeout=30s"])
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
        let mut pods = daemonsets::pods(&world.client, &world.namespace, "agent")
            .await
            .unwrap();
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        let images: Vec<_> = pods.iter().filter_map(daemonsets::image).collect();
        assert_eq!(
            images,
            [image.as_str(); 3],
            "kubectl reports the rollout as complete"
        );
        assert!(pods.iter().all(is_ready));
    }
}

#[tokio::test]
async fn s3_pods_become_available_after_min_ready_seconds_without_an_event() {
    let world = World::new(2).await;
    DaemonSetBuilder::new("agent")
        .min_ready_seconds(3)
        .create(&world.client, &world.namespace)
        .await
        .unwrap();
    let wait_counts = async |what: &str, available: i32| {
        world
            .wait_status("agent", what, |status| {
                status.number_ready == 2 && status.number_available.unwrap_or_default() == available
            })
            .await
    };
    wait_counts("ready and not yet available", 0).await;
    wait_counts("available", 2).await;
}

#[tokio::test]
async fn n3_finished_pods_are_replaced_with_an_event() {
    let world = World::new(2).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    for (phase, reason) in [("Failed", "FailedDaemonPod"), ("Succeeded", "SucceededDaemonPod")] {
        let finished = world.wait_placed("agent").await[0].clone();
        let end = json!({"metadata": {"annotations": {"everynode.test/phase": phase}}});
        pods.patch(&finished.name_any(), &PatchParams::default(), &Patch::Merge(&end))
            .await
            .unwrap();
        world.wait_event("agent", reason, &finished.name_any()).await;
        // N1: the executor creates the successor before the kubelet has removed the finished pod.
        let successor = eventually(
            DEADLINE,
            format!("a successor of {}", finished.name_any()),
            async || {
                let pods = daemonsets::pods(&world.client, &world.namespace, "agent").await?;
                let there = pods
                    .iter()
                    .filter(|pod| target_node(pod) == target_node(&finished) && is_ready(pod))
                    .count();
                anyhow::ensure!(there == 1, "{there} ready pods are on the node");
                Ok(())
            },
        );
        successor
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
        // A kubelet would have removed the finished pod. kwok sometimes misses a pod that ends and is deleted at the
        // same moment.
        let _ = pods
            .delete(&finished.name_any(), &DeleteParams::default().grace_period(0))
            .await;
    }
    world.wait_placed("agent").await;
}
