//! Pod ownership (contract A1 to A4).

use everynode_tests::daemonsets::{self, DaemonSetBuilder, target_node};
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::world::{DEADLINE, World, identities};

fn is_owned_by(pod: &Pod, uid: &str) -> bool {
    pod.owner_references()
        .iter()
        .any(|owner| owner.uid == uid && owner.controller == Some(true))
}

#[tokio::test]
async fn a1_orphaned_pods_and_revision_are_adopted_without_restart() {
    let (world, before) = World::with_agent(3).await;
    let (client, namespace) = (&world.client, &world.namespace);

    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    sets.delete("agent", &orphan).await.unwrap();
    let orphaned = eventually(
        DEADLINE,
        "the DaemonSet to be gone and its pods to be orphaned",
        async || {
            anyhow::ensure!(sets.get_opt("agent").await?.is_none(), "the DaemonSet exists");
            let pods = daemonsets::pods(client, namespace, "agent").await?;
            let owned = pods
                .iter()
                .filter(|pod| !pod.owner_references().is_empty())
                .count();
            anyhow::ensure!(owned == 0, "{owned} pods have an owner");
            Ok(pods)
        },
    );
    assert_eq!(identities(&orphaned.await.unwrap()), identities(&before));

    let created = DaemonSetBuilder::new("agent")
        .create(client, namespace)
        .await
        .unwrap();
    let uid = created.uid().unwrap();
    let adopted = eventually(DEADLINE, "the new DaemonSet to adopt the pods", async || {
        let pods = daemonsets::pods(client, namespace, "agent").await?;
        let owned = pods.iter().filter(|pod| is_owned_by(pod, &uid)).count();
        anyhow::ensure!(
            owned == 3 && pods.len() == 3,
            "{owned} of {} pods are adopted",
            pods.len()
        );
        Ok(pods)
    });
    let adopted = adopted
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    assert_eq!(identities(&adopted), identities(&before));
    world
        .wait_status("agent", "all current", |status| {
            status.updated_number_scheduled == Some(3) && status.number_available == Some(3)
        })
        .await;
    let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
    let revisions = revisions.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(revisions.len(), 1, "the old revision is reused");
    assert_eq!(revisions[0].owner_references()[0].uid, uid);
}

#[tokio::test]
async fn a2_pod_that_no_longer_matches_is_released_and_its_node_gets_another() {
    let (world, before) = World::with_agent(2).await;
    let (client, namespace) = (&world.client, &world.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let relabel = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"app": value}}}));
    let name = before[0].name_any();
    pods.patch(&name, &PatchParams::default(), &relabel("debug"))
        .await
        .unwrap();

    let after = world.wait_placed("agent").await;
    assert!(after.iter().all(|pod| pod.name_any() != name));
    let released = eventually(DEADLINE, "the pod to be released", async || {
        let pod = pods.get(&name).await?;
        anyhow::ensure!(pod.owner_references().is_empty(), "the pod has an owner");
        Ok(pod)
    });
    let released = released
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    assert_eq!(released.uid(), before[0].uid(), "the released pod keeps running");

    // N4: when the pod is selected again, there is one pod too many, and the older of the two stays. Creation
    // timestamps have whole seconds. If they are equal, the names decide.
    let node = target_node(&before[0]).unwrap();
    let successor = after.iter().find(|pod| target_node(pod) == Some(node)).unwrap();
    let age = |pod: &&Pod| (pod.creation_timestamp(), pod.name_any());
    let older = [&before[0], successor].into_iter().min_by_key(age).unwrap();
    pods.patch(&name, &PatchParams::default(), &relabel("agent"))
        .await
        .unwrap();
    let back = world.wait_placed("agent").await;
    assert!(
        back.iter().any(|pod| pod.uid() == older.uid()),
        "{:?}",
        identities(&back)
    );
}

#[tokio::test]
async fn a4_daemonset_being_deleted_is_left_alone() {
    let world = World::new(2).await;
    let (client, namespace) = (&world.client, &world.namespace);
    let finalizer = json!({"metadata": {"finalizers": ["example.com/wait"]}});
    DaemonSetBuilder::new("agent")
        .with(&finalizer)
        .create(client, namespace)
        .await
        .unwrap();
    let pods = world.wait_placed("agent").await;
    daemonsets::delete(client, namespace, "agent").await.unwrap();
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    api.delete(&pods[0].name_any(), &DeleteParams::default())
        .await
        .unwrap();
    // Pods of a later DaemonSet in the same namespace show that the deletion was seen and caused no action.
    DaemonSetBuilder::new("other")
        .create(client, namespace)
        .await
        .unwrap();
    world.wait_placed("other").await;
    let left = daemonsets::pods(client, namespace, "agent").await.unwrap();
    assert!(
        left.iter()
            .all(|pod| pods.iter().any(|before| before.uid() == pod.uid())),
        "{:?}",
        identities(&left)
    );
    let free = json!({"metadata": {"finalizers": null}});
    daemonsets::patch(client, namespace, "agent", &free)
        .await
        .unwrap();
    let nowhere: [&str; 0] = [];
    daemonsets::wait_placed(client, namespace, "agent", &nowhere, DEADLINE)
        .await
        .unwrap();
}

/// Clusters that were upgraded over many years have such references. kube-controller-manager finds the `DaemonSet` by
/// kind, name and uid.
#[tokio::test]
async fn a3_owner_reference_of_an_old_api_version_names_the_daemon_set() {
    let (world, before) = World::with_agent(2).await;
    let (client, namespace) = (&world.client, &world.namespace);
    let old = |owner: &OwnerReference, version: &str| {
        let reference = json!({"uid": owner.uid, "apiVersion": version});
        Patch::Strategic(json!({"metadata": {"ownerReferences": [reference]}}))
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for (pod, version) in before.iter().zip(["extensions/v1beta1", "apps/v1beta2"]) {
        let patch = old(&pod.owner_references()[0], version);
        let patched = pods
            .patch(&pod.name_any(), &PatchParams::default(), &patch)
            .await
            .unwrap();
        assert_eq!(patched.owner_references()[0].api_version, version);
    }
    let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
    let first = revisions
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .remove(0);
    let patch = old(&first.owner_references()[0], "extensions/v1beta1");
    revisions
        .patch(&first.name_any(), &PatchParams::default(), &patch)
        .await
        .unwrap();
    // The executor counts the pods of a later DaemonSet only after it has seen the patches of the earlier pods.
    world.create(DaemonSetBuilder::new("other")).await;
    world
        .wait_status("other", "two pods available", |status| {
            status.number_available == Some(2)
        })
        .await;
    let after = world.wait_placed("agent").await;
    assert_eq!(
        identities(&after),
        identities(&before),
        "no pod was added or replaced"
    );

    // A rollout replaces these pods, and a rollback finds the revision.
    world.set_image("example/daemon:2").await;
    world.wait_rolled_out().await;
    let updated = world.wait_placed("agent").await;
    let kept = |pod: &Pod| before.iter().any(|old| old.uid() == pod.uid());
    assert!(!updated.iter().any(kept), "{:?}", identities(&updated));
    world.set_image("example/daemon:1").await;
    world.wait_rolled_out().await;
    let listed = revisions.list(&ListParams::default()).await.unwrap().items;
    let numbers: Vec<_> = listed
        .iter()
        .filter(|revision| {
            revision
                .owner_references()
                .iter()
                .any(|owner| owner.name == "agent")
        })
        .map(|revision| (revision.name_any() == first.name_any(), revision.revision))
        .collect();
    assert_eq!(numbers.len(), 2, "{numbers:?}");
    assert!(numbers.contains(&(true, Some(3))), "{numbers:?}");
}
