//! A tenant who may create pods in a namespace of their own can't affect the `DaemonSet`s of others.

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::shared::fresh_namespace;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::world::World;

/// A controller reference to a `DaemonSet` with this name and this uid, which needn't belong together.
fn reference(name: &str, uid: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "uid": uid, "controller": true}])
}

/// Creates a pod that is bound to a node and carries this reference. The finalizer keeps the pod when the garbage
/// collector finds no owner in its namespace.
async fn create_fake(pods: &Api<Pod>, name: &str, node: &str, app: &str, owners: &Value) {
    let pod = json!({
        "metadata": {
            "name": name,
            "labels": {"app": app, "controller-revision-hash": "0"},
            "ownerReferences": owners,
            "finalizers": ["example.com/keep"],
        },
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "main", "image": "example/fake"}],
        },
    });
    let pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
}

async fn create_fake_revision(revisions: &Api<ControllerRevision>, owners: &Value) {
    let revision = json!({
        "metadata": {
            "name": "fake",
            "labels": {"app": "agent", "controller-revision-hash": "fake"},
            "ownerReferences": owners,
            "finalizers": ["example.com/keep"],
        },
        "data": {"spec": {"template": {"$patch": "replace"}}},
        "revision": 99,
    });
    let revision = serde_json::from_value(revision).unwrap();
    revisions.create(&PostParams::default(), &revision).await.unwrap();
}

async fn competing_controller_events(client: &Client, namespace: &str) -> usize {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let filter = ListParams::default().fields("reason=CompetingController");
    events.list(&filter).await.unwrap().items.len()
}

#[tokio::test]
async fn a3_pod_with_only_the_uid_of_a_daemon_set_is_neither_counted_nor_touched() {
    let world = World::new(2).await;
    let client = &world.client;
    let tenant = fresh_namespace(client).await.unwrap();
    // The `DaemonSet` fits no node until the fakes exist, so none of its own pods is created before them.
    let later = DaemonSetBuilder::new("agent").node_selector("example.com/later", "true");
    let uid = world.create(later).await.uid().unwrap();
    let tenants: Api<Pod> = Api::namespaced(client.clone(), &tenant);
    let ours: Api<Pod> = Api::namespaced(client.clone(), &world.namespace);
    let mut fakes = Vec::new();
    for node in &world.nodes {
        let (elsewhere, misnamed) = (format!("elsewhere-{node}"), format!("misnamed-{node}"));
        create_fake(&tenants, &elsewhere, node, "agent", &reference("agent", &uid)).await;
        create_fake(&ours, &misnamed, node, "else", &reference("other", &uid)).await;
        fakes.push((&tenants, elsewhere, reference("agent", &uid)));
        fakes.push((&ours, misnamed, reference("other", &uid)));
    }
    let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), &tenant);
    create_fake_revision(&revisions, &reference("agent", &uid)).await;

    let anywhere = json!({"spec": {"template": {"spec": {"nodeSelector": null}}}});
    daemonsets::patch(client, &world.namespace, "agent", &anywhere)
        .await
        .unwrap();
    world.wait_placed("agent").await;
    let status = world
        .wait_status("agent", "only its own pods counted", |status| {
            status.current_number_scheduled == 2 && status.number_available == Some(2)
        })
        .await;
    assert_eq!(
        (status.desired_number_scheduled, status.number_misscheduled),
        (2, 0)
    );
    world.set_image("example/daemon:2").await;
    world.wait_rolled_out().await;
    world.wait_placed("agent").await;

    let log = world.executor.log_tail(10_000);
    for (pods, name, owners) in fakes {
        // The garbage collector may have begun to delete the fake, because its owner isn't in its namespace. Everynode
        // must not have touched it.
        let fake = pods.get(&name).await.unwrap();
        assert_eq!(
            json!(fake.owner_references())[0]["uid"],
            owners[0]["uid"],
            "{fake:?}"
        );
        assert_eq!(fake.labels()["controller-revision-hash"], "0", "{fake:?}");
        assert!(!log.contains(&name), "{log}");
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        pods.patch(&name, &PatchParams::default(), &free).await.unwrap();
    }
    let fake = revisions.get("fake").await.unwrap();
    assert_eq!(
        (fake.revision, fake.owner_references().len()),
        (Some(99), 1),
        "{fake:?}"
    );
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    revisions
        .patch("fake", &PatchParams::default(), &free)
        .await
        .unwrap();
    for namespace in [&world.namespace, &tenant] {
        assert_eq!(
            competing_controller_events(client, namespace).await,
            0,
            "{}",
            world.logs()
        );
    }
    let deleted = world
        .executor
        .metric(
            "everynode_executor_actions_total",
            "action=\"Delete\",outcome=\"Done\"",
        )
        .await
        .unwrap();
    assert!(
        deleted <= 2.0,
        "more pods were deleted than those of the old template: {deleted}"
    );
}
