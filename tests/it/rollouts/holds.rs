//! What holds a rollout, and what lets it go on.

use everynode_executor::rollouts::kinds::DaemonSetRollout;
use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::rollouts;
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{NEW, POLICY, Scene, canary, canary_then_all, create_policy};
use crate::world::{DEADLINE, World};

/// A policy for the `DaemonSet`s with the label `rollout=staged`.
fn selecting_policy() -> Value {
    json!({"selector": {"matchLabels": {"rollout": "staged"}}, "stages": [canary()]})
}

/// Whether the condition `RolloutHeld` of `agent` is true.
async fn is_marked_held(world: &World) -> anyhow::Result<bool> {
    let sets: Api<DaemonSet> = Api::namespaced(world.client.clone(), &world.namespace);
    let status = sets.get("agent").await?.status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    Ok(conditions.iter().any(|condition| {
        condition.type_.as_deref() == Some("RolloutHeld") && condition.status.as_deref() == Some("True")
    }))
}

/// Waits until the condition `RolloutHeld` of `agent` is true, or isn't.
async fn wait_marked_held(world: &World, wanted: bool) {
    let what = format!("the condition RolloutHeld to be {wanted}");
    let marked = eventually(DEADLINE, what, async || {
        let is_held = is_marked_held(world).await?;
        anyhow::ensure!(is_held == wanted, "it is {is_held}");
        Ok(())
    });
    marked
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
}

/// A policy that is deleted in the middle of a rollout holds it. A policy that applies again lets it go on.
#[tokio::test]
async fn deleted_policy_holds_the_rollout_until_a_policy_applies_again() {
    let scene = Scene::new(4, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    let (client, namespace) = (&scene.world.client, &scene.world.namespace);
    rollouts::delete_policy(client, namespace, POLICY).await.unwrap();
    let held = scene.wait_phase("Stalled", "PolicyGone").await;
    assert_eq!(held.rollout, canary.rollout);
    scene.check_held("node-02", "the policy is deleted").await;
    scene.check_only_on(&["node-01"]);
    wait_marked_held(&scene.world, true).await;

    create_policy(&scene.world, "another", &canary_then_all()).await;
    let waiting = scene.wait_phase("Waiting", "WaitingForPromotion").await;
    assert_eq!(waiting.rollout, canary.rollout);
    scene.check_held("node-03", "the stage waits again").await;
    scene.promote(canary.rollout, "canary").await;
    scene.wait_all_on(&canary.update_revision).await;
    scene.wait_phase("Completed", "Completed").await;
    wait_marked_held(&scene.world, false).await;
}

/// A `DaemonSet` that loses the label by which its policy selects it is held.
#[tokio::test]
async fn removed_label_holds_the_rollout() {
    let world = World::with_policies(4).await;
    let agent = DaemonSetBuilder::new("agent").with(&json!({"metadata": {"labels": {"rollout": "staged"}}}));
    let scene = Scene::start(world, agent, &selecting_policy()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    let label = async |value: Option<&str>| {
        let labels = json!({"metadata": {"labels": {"rollout": value}}});
        let (client, namespace) = (&scene.world.client, &scene.world.namespace);
        daemonsets::patch(client, namespace, "agent", &labels)
            .await
            .unwrap();
    };
    label(None).await;
    scene.wait_phase("Stalled", "PolicyGone").await;
    scene.promote(canary.rollout, "other").await;
    scene.check_held("node-02", "the label is gone").await;
    scene.check_only_on(&["node-01"]);
    label(Some("staged")).await;
    scene.wait_phase("Waiting", "WaitingForPromotion").await;
    scene.promote(canary.rollout, "canary").await;
    scene.wait_all_on(&canary.update_revision).await;
}

/// Removing the kinds in the middle of a rollout deletes the policies and what is remembered, and still replaces
/// nothing. The condition `RolloutHeld` of the `DaemonSet` tells of the rollout.
#[tokio::test]
async fn removed_kinds_hold_the_rollout() {
    let scene = Scene::new(4, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    wait_marked_held(&scene.world, true).await;
    let before = scene.pods().await;
    rollouts::remove_kinds(&scene.world.client).await.unwrap();
    let noticed = eventually(DEADLINE, "the executor to notice", async || {
        let log = scene.world.executor.log_tail(1_000);
        let lines = log
            .lines()
            .filter(|line| line.contains("doesn't serve this kind"));
        let kinds = lines.filter(|line| line.contains("DaemonSetRollout")).count();
        anyhow::ensure!(kinds >= 3, "{kinds} kinds are reported as not served");
        Ok(())
    });
    noticed
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", scene.world.logs()));
    scene.heal("node-02").await;
    scene.heal("node-03").await;
    scene.world.create(DaemonSetBuilder::new("other")).await;
    scene.world.wait_placed("other").await;
    let after = scene.pods().await;
    let untouched = |pods: &[Pod]| {
        let mut uids: Vec<_> = pods
            .iter()
            .filter(|pod| {
                let node = daemonsets::target_node(pod);
                node == Some("node-01") || node == Some("node-04")
            })
            .filter_map(ResourceExt::uid)
            .collect();
        uids.sort();
        uids
    };
    assert_eq!(untouched(&before), untouched(&after), "{}", scene.world.logs());
    let on_new = scene.nodes_on(&canary.update_revision).await;
    assert!(!on_new.contains("node-04"), "{on_new:?}");
    wait_marked_held(&scene.world, true).await;
}

/// Without what was remembered, a rollout that had begun doesn't go on until somebody retries it.
#[tokio::test]
async fn deleted_rollout_object_holds_the_rollout_until_a_retry() {
    let scene = Scene::new(4, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    wait_marked_held(&scene.world, true).await;
    let objects: Api<DaemonSetRollout> = Api::namespaced(scene.world.client.clone(), &scene.world.namespace);
    objects.delete("agent", &DeleteParams::default()).await.unwrap();
    let lost = scene
        .wait("the loss of the memory to be reported", |status| {
            status.reason == "MemoryLost"
        })
        .await;
    assert_eq!(lost.current_revision, scene.first);
    // A promotion of the earlier rollout has no effect.
    scene.promote(lost.rollout, "canary").await;
    scene.check_held("node-02", "the memory is lost").await;
    scene.check_only_on(&["node-01"]);

    scene.ask(&json!({"retry": lost.rollout})).await;
    let again = scene
        .wait("the canary again", |status| {
            status.rollout > lost.rollout && status.reason == "WaitingForPromotion"
        })
        .await;
    assert_eq!(again.update_revision, canary.update_revision);
    scene.check_only_on(&["node-01"]);
    scene.promote(again.rollout, "canary").await;
    scene.wait_all_on(&canary.update_revision).await;
}

/// A pause replaces nothing, and missing pods are still created. It needs no rollout number.
#[tokio::test]
async fn paused_rollout_creates_missing_pods_and_replaces_nothing() {
    let scene = Scene::new(4, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    scene.ask(&json!({"paused": true})).await;
    scene.wait_phase("Paused", "Paused").await;
    scene.promote(canary.rollout, "canary").await;
    scene.check_held("node-02", "the rollout is paused").await;
    assert_eq!(scene.heal("node-01").await, canary.update_revision);
    scene.check_only_on(&["node-01"]);
    scene.ask(&json!({"paused": false})).await;
    scene.wait_all_on(&canary.update_revision).await;
}

/// The schema refuses a mistaken edit of a policy in the middle of a rollout, and a valid edit applies at once.
#[tokio::test]
async fn t19_edited_policy_applies_at_once_and_the_schema_refuses_mistakes() {
    let scene = Scene::new(4, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    let (client, namespace) = (&scene.world.client, &scene.world.namespace);
    for (mistake, field) in [
        (json!({"selector": {}}), "targetRefs"),
        (json!({"partition": 1}), "partition"),
        (
            json!({"stages": [{"name": "canary"}, {"name": "canary"}]}),
            "unique",
        ),
        (json!({"stages": [{"name": "canary", "soak": "-1s"}]}), "soak"),
    ] {
        let refused = rollouts::patch_policy(client, namespace, POLICY, &mistake).await;
        let error = format!("{:#}", refused.unwrap_err());
        assert!(error.contains(field), "{mistake}: {error}");
    }
    scene.check_held("node-02", "every edit was refused").await;

    rollouts::patch_policy(client, namespace, POLICY, &json!({"paused": true}))
        .await
        .unwrap();
    scene.wait_phase("Paused", "Paused").await;
    scene.promote(canary.rollout, "canary").await;
    scene.check_held("node-03", "the policy is paused").await;
    scene.check_only_on(&["node-01"]);
    rollouts::patch_policy(client, namespace, POLICY, &json!({"paused": false}))
        .await
        .unwrap();
    scene.wait_all_on(&canary.update_revision).await;
}
