//! Templates and their revisions (contract H1, H4).

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::world::{DEADLINE, World};

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
