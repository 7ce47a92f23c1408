//! Switching a running cluster from kube-controller-manager's controller to Everynode and back.

use std::collections::BTreeMap;

use anyhow::Context as _;
use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::templates::{odd_fields, rich_daemon_set};
use crate::world::{DEADLINE, World, identities};

const NODES: usize = 3;
const DAEMON_SETS: [&str; 4] = ["rich", "surge", "careful", "stuck"];

/// The controller that manages the `DaemonSet`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    Everynode,
    Reference,
}

/// State that a switch of the controller must not change: every pod, and every revision with its number and its data.
type ClusterState = BTreeMap<&'static str, (Vec<(String, String)>, Vec<(String, i64, String)>)>;

/// Switches the cluster to a controller and waits until that controller has acted on every `DaemonSet`. To observe
/// this, the test makes a spec change that requires no work.
async fn switch_controller(world: &mut World, to: Controller, limit: u32) {
    world.executor.stop().await.unwrap();
    let control_plane = world.claim.control_plane();
    control_plane
        .set_daemonset_controller(to == Controller::Reference)
        .await
        .unwrap();
    if to == Controller::Everynode {
        world.executor.launch().unwrap();
        world.executor.wait_ready().await.unwrap();
    }
    for name in DAEMON_SETS {
        let patch = json!({"spec": {"revisionHistoryLimit": limit}});
        daemonsets::patch(&world.client, &world.namespace, name, &patch)
            .await
            .unwrap();
    }
    for name in DAEMON_SETS {
        world.wait_status(name, "acted on", |_| true).await;
    }
}

async fn cluster_state(world: &World) -> ClusterState {
    let mut state = ClusterState::new();
    for name in DAEMON_SETS {
        let pods: Vec<Pod> = daemonsets::pods(&world.client, &world.namespace, name)
            .await
            .unwrap();
        let revisions: Api<ControllerRevision> = Api::namespaced(world.client.clone(), &world.namespace);
        let revisions = revisions
            .list(&ListParams::default().labels(&format!("app={name}")))
            .await
            .unwrap();
        let mut revisions: Vec<_> = revisions
            .into_iter()
            .map(|revision| {
                let data = serde_json::to_string(&revision.data).unwrap();
                (revision.name_any(), revision.revision.unwrap_or_default(), data)
            })
            .collect();
        revisions.sort();
        state.insert(name, (identities(&pods), revisions));
    }
    state
}

/// Checks that no two revisions of a `DaemonSet` have the same data.
fn assert_distinct_revisions(state: &ClusterState) {
    for (name, (_, revisions)) in state {
        let mut data: Vec<_> = revisions.iter().map(|(_, _, data)| data).collect();
        data.sort();
        data.dedup();
        assert_eq!(
            data.len(),
            revisions.len(),
            "two revisions of {name} have the same data: {revisions:#?}"
        );
    }
}

async fn set_image(world: &World, name: &str, image: &str) {
    // A strategic merge patch keeps the container's other fields.
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
        .to_string();
    let kubectl = world.claim.kubectl().unwrap();
    kubectl.run(["patch", "ds", name, "-p", &patch]).await.unwrap();
}

async fn wait_rolled_out(world: &World, name: &str, image: &str) {
    let count = i32::try_from(NODES).unwrap();
    world
        .wait_status(name, "rolled out", |status| {
            status.updated_number_scheduled == Some(count) && status.number_available == Some(count)
        })
        .await;
    let pods = world.wait_placed(name).await;
    assert!(
        pods.iter().all(|pod| daemonsets::image(pod) == Some(image)),
        "not every pod of {name} has the image {image}"
    );
}

/// Waits for a stuck rollout: one pod has an image that never starts, and the others wait.
async fn wait_stuck(world: &World) {
    world
        .wait_status("stuck", "stuck", |status| {
            status.updated_number_scheduled == Some(1) && status.number_available == Some(2)
        })
        .await;
    let placed = eventually(DEADLINE, "three pods, none of them being deleted", async || {
        let pods = daemonsets::pods(&world.client, &world.namespace, "stuck").await?;
        let leaving = pods.iter().any(|pod| pod.metadata.deletion_timestamp.is_some());
        anyhow::ensure!(pods.len() == NODES && !leaving, "there are {}", pods.len());
        Ok(())
    });
    placed.await.unwrap();
}

#[tokio::test]
async fn h2_taking_over_and_handing_back_restarts_no_pod_and_adds_no_revision() {
    let mut world = World::new(NODES).await;
    world.executor.stop().await.unwrap();
    world
        .claim
        .control_plane()
        .set_daemonset_controller(true)
        .await
        .unwrap();
    create_with_nulls(&world, rich_daemon_set("rich")).await;
    world
        .create(DaemonSetBuilder::new("surge").rolling_update(0, "50%"))
        .await;
    world
        .create(
            DaemonSetBuilder::new("careful")
                .min_ready_seconds(1)
                .with(&odd_fields()),
        )
        .await;
    world.create(DaemonSetBuilder::new("stuck")).await;
    for name in DAEMON_SETS {
        world.wait_placed(name).await;
    }
    for name in ["rich", "surge", "careful"] {
        set_image(&world, name, "example/daemon:2").await;
        wait_rolled_out(&world, name, "example/daemon:2").await;
    }
    set_image(&world, "stuck", "example/non-existent:1").await;
    wait_stuck(&world).await;

    let mut before = cluster_state(&world).await;
    assert_distinct_revisions(&before);
    for (round, to) in [
        Controller::Everynode,
        Controller::Reference,
        Controller::Everynode,
    ]
    .into_iter()
    .enumerate()
    {
        let round = u32::try_from(round).unwrap();
        switch_controller(&mut world, to, 20 + round).await;
        wait_stuck(&world).await;
        assert_eq!(
            cluster_state(&world).await,
            before,
            "switching to {to:?} changed something"
        );

        // Roll out a new template, then go back to a template for which the other controller created a revision.
        let image = format!("example/daemon:{}", 3 + round);
        for name in ["rich", "surge"] {
            set_image(&world, name, &image).await;
            wait_rolled_out(&world, name, &image).await;
        }
        let back = if round % 2 == 0 {
            "example/daemon:1"
        } else {
            "example/daemon:2"
        };
        set_image(&world, "careful", back).await;
        wait_rolled_out(&world, "careful", back).await;

        let after = cluster_state(&world).await;
        assert_distinct_revisions(&after);
        let numbers = |state: &ClusterState, name| {
            state[name]
                .1
                .iter()
                .map(|(_, number, _)| *number)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            numbers(&after, "rich").len(),
            numbers(&before, "rich").len() + 1,
            "each template adds one revision"
        );
        assert_eq!(
            numbers(&after, "careful").len(),
            2,
            "both templates already had a revision"
        );
        assert_eq!(after["stuck"], before["stuck"]);
        before = after;
    }
}

/// Creates a `DaemonSet` as some tools write it, with null fields.
async fn create_with_nulls(world: &World, set: DaemonSetBuilder) {
    let mut object = set.build();
    let template = &mut object["spec"]["template"];
    template["metadata"]["creationTimestamp"] = Value::Null;
    template["spec"]["runtimeClassName"] = Value::Null;
    template["spec"]["containers"][0]["lifecycle"] = Value::Null;
    template["spec"]["containers"][0]["envFrom"] = Value::Null;
    let kubectl = world.claim.kubectl().unwrap();
    let created = kubectl
        .run_with_input(["create", "-f", "-"], &object.to_string())
        .await;
    created.unwrap();
}

#[tokio::test]
async fn h2_revision_written_by_an_older_release_is_recognized_by_its_meaning() {
    let (world, before) = World::with_agent(2).await;
    let kubectl = world.claim.kubectl().unwrap();
    kubectl
        .run(["delete", "ds/agent", "--cascade=orphan"])
        .await
        .unwrap();
    let revisions: Api<ControllerRevision> = Api::namespaced(world.client.clone(), &world.namespace);
    let released = eventually(DEADLINE, "the revision to be released", async || {
        let mut all = revisions.list(&ListParams::default()).await?.items;
        let revision = all.pop().context("the revision is gone")?;
        anyhow::ensure!(
            revision.owner_references().is_empty(),
            "the revision has an owner"
        );
        Ok(revision)
    });
    let mut older = released.await.unwrap();
    // Older Kubernetes releases wrote the unset creationTimestamp of the template's metadata as null.
    revisions
        .delete(&older.name_any(), &DeleteParams::default())
        .await
        .unwrap();
    let mut data = serde_json::to_value(&older.data).unwrap();
    data["spec"]["template"]["metadata"]["creationTimestamp"] = Value::Null;
    older.data = serde_json::from_value(data).unwrap();
    (older.metadata.uid, older.metadata.resource_version) = (None, None);
    revisions.create(&PostParams::default(), &older).await.unwrap();

    world.create(DaemonSetBuilder::new("agent")).await;
    let after = world.wait_placed("agent").await;
    world
        .wait_status("agent", "all current", |status| {
            status.updated_number_scheduled == Some(2)
        })
        .await;
    assert_eq!(identities(&after), identities(&before));
    let all = revisions.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0].name_any(), older.name_any());
}
