//! Templates and their revisions (contract H1, H4).

use std::time::Duration;

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::nodes::NodeBuilder;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::world::{DEADLINE, World, identities};

async fn revisions(world: &World) -> Vec<(i64, String)> {
    let api: Api<ControllerRevision> = Api::namespaced(world.client.clone(), &world.namespace);
    let listed = api.list(&ListParams::default()).await.unwrap();
    let mut revisions: Vec<_> = listed
        .iter()
        .map(|revision| (revision.revision.unwrap_or_default(), revision.name_any()))
        .collect();
    revisions.sort();
    revisions
}

#[tokio::test]
async fn h1_restored_template_reuses_its_revision_with_a_new_number() {
    let (world, _) = World::with_agent(2).await;
    world.wait_rolled_out().await;
    let first = revisions(&world).await;
    assert_eq!(first.len(), 1);
    world.set_image("example/daemon:2").await;
    world.wait_rolled_out().await;
    assert_eq!(revisions(&world).await.len(), 2);

    let kubectl = world.claim.kubectl().unwrap();
    kubectl.run(["rollout", "undo", "ds/agent"]).await.unwrap();
    world.wait_rolled_out().await;
    let after = revisions(&world).await;
    assert_eq!(after.len(), 2, "{after:?}");
    assert_eq!(after[1], (3, first[0].1.clone()));
    let pods = daemonsets::pods(&world.client, &world.namespace, "agent")
        .await
        .unwrap();
    let image = |index: usize| {
        pods[index].spec.as_ref().unwrap().containers[0]
            .image
            .clone()
            .unwrap()
    };
    assert_eq!([image(0), image(1)], ["example/daemon:1", "example/daemon:1"]);
}

#[tokio::test]
async fn h1_taken_revision_name_raises_collision_count_and_pods_are_created() {
    let world = World::new(2).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_rolled_out().await;
    // The next revision's name isn't known in advance, so the test gives the current revision's name to other data. A
    // DaemonSet created again with the same template then finds its name taken by an unrelated revision.
    let api: Api<ControllerRevision> = Api::namespaced(world.client.clone(), &world.namespace);
    let name = revisions(&world).await[0].1.clone();
    daemonsets::delete(&world.client, &world.namespace, "agent")
        .await
        .unwrap();
    let nowhere: [&str; 0] = [];
    daemonsets::wait_placed(&world.client, &world.namespace, "agent", &nowhere, DEADLINE)
        .await
        .unwrap();
    let gone = everynode_tests::wait::eventually(DEADLINE, "the revision to be gone", async || {
        anyhow::ensure!(api.get_opt(&name).await?.is_none(), "the revision exists");
        Ok(())
    });
    gone.await.unwrap();
    let foreign: ControllerRevision =
        serde_json::from_value(json!({"metadata": {"name": name}, "revision": 1, "data": {"other": true}}))
            .unwrap();
    api.create(&kube::api::PostParams::default(), &foreign)
        .await
        .unwrap();

    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    world
        .wait_status("agent", "one collision", |status| {
            status.collision_count == Some(1) && status.number_available == Some(2)
        })
        .await;
    let after = revisions(&world).await;
    assert_eq!(after.len(), 2);
    assert!(after.iter().any(|(_, other)| *other != name), "{after:?}");
}

/// Mirrors `TestDSCUpdatesPodLabelAfterDedupCurHistories` of Kubernetes, which allows the same time.
#[tokio::test]
async fn h1_duplicate_revision_is_merged_when_a_node_joins_and_no_pod_restarts() {
    const LIMIT: Duration = Duration::from_secs(10);
    let (mut world, before) = World::with_agent(1).await;
    world.wait_rolled_out().await;
    let api: Api<ControllerRevision> = Api::namespaced(world.client.clone(), &world.namespace);
    let mut duplicate = api.list(&ListParams::default()).await.unwrap().items.remove(0);
    let name = format!("{}-twin", duplicate.name_any());
    duplicate.metadata.name = Some(name.clone());
    duplicate.metadata.uid = None;
    duplicate.metadata.resource_version = None;
    duplicate
        .labels_mut()
        .insert("controller-revision-hash".to_owned(), "twin".to_owned());
    duplicate.revision = Some(2);
    api.create(&kube::api::PostParams::default(), &duplicate)
        .await
        .unwrap();

    NodeBuilder::new("node-02").create(&world.client).await.unwrap();
    world.nodes.push("node-02".to_owned());
    let merged = everynode_tests::wait::eventually(
        LIMIT,
        "every pod to have the newest revision, and the other one to be gone",
        async || {
            let pods = daemonsets::pods(&world.client, &world.namespace, "agent").await?;
            let hashes: Vec<_> = pods
                .iter()
                .map(|pod| pod.labels().get("controller-revision-hash").cloned())
                .collect();
            let are_relabeled = hashes.iter().all(|hash| hash.as_deref() == Some("twin"));
            anyhow::ensure!(pods.len() == 2 && are_relabeled, "the hashes are {hashes:?}");
            let left = revisions(&world).await;
            anyhow::ensure!(left == [(2, name.clone())], "the revisions are {left:?}");
            Ok(())
        },
    );
    merged
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    world.wait_rolled_out().await;
    let after = world.wait_placed("agent").await;
    assert!(
        after.iter().any(|pod| pod.uid() == before[0].uid()),
        "the first pod was restarted: {:?}",
        identities(&after)
    );
}
