//! What kubectl and tools that wait for objects see of a rollout.

use std::collections::BTreeMap;

use everynode_executor::rollouts::kinds::DaemonSetRolloutStatus;
use everynode_tests::rollouts;
use serde_json::json;

use super::{NEW, NEWER, POLICY, Scene, canary_then_all};

/// The image of a container that never starts.
const BROKEN: &str = "example/non-existent:1";

/// The conditions that are true.
fn true_conditions(status: &DaemonSetRolloutStatus) -> Vec<&str> {
    let statuses: BTreeMap<_, _> = status
        .conditions
        .iter()
        .map(|condition| (condition.type_.as_str(), condition.status.as_str()))
        .collect();
    for kind in [
        "Ready",
        "Reconciling",
        "Stalled",
        "Progressing",
        "Paused",
        "Waiting",
    ] {
        assert!(statuses.contains_key(kind), "{kind} is missing: {statuses:?}");
    }
    let holding = statuses.into_iter().filter(|(_, status)| *status == "True");
    holding.map(|(kind, _)| kind).collect()
}

/// The conditions in each phase. Tools such as Flux and Argo CD take Reconciling for in progress, Stalled for failed,
/// and neither with Ready for done.
#[tokio::test]
async fn conditions_tell_tools_the_state_of_the_rollout() {
    let scene = Scene::new(3, &canary_then_all()).await;
    let kubectl = scene.world.claim.kubectl().unwrap();
    kubectl
        .run([
            "wait",
            "--for=condition=Ready",
            "daemonsetrollouts.everynode.io/agent",
            "--timeout=30s",
        ])
        .await
        .unwrap();
    let done = scene.wait_phase("Completed", "Completed").await;
    assert_eq!(true_conditions(&done), ["Ready"]);

    scene.world.set_image(BROKEN).await;
    let progressing = scene
        .wait("a canary that doesn't become available", |status| {
            status.phase == "Progressing" && status.updated == 1 && status.stage == "canary"
        })
        .await;
    assert_eq!(true_conditions(&progressing), ["Progressing", "Reconciling"]);

    scene.world.set_image(NEW).await;
    let waiting = scene.wait_phase("Waiting", "WaitingForPromotion").await;
    assert_eq!(true_conditions(&waiting), ["Reconciling", "Waiting"]);
    let shown = kubectl
        .run(["get", "daemonsetrollouts.everynode.io", "agent"])
        .await
        .unwrap();
    for column in ["PHASE", "STAGE", "PROGRESS", "Waiting", "canary", "1/3"] {
        assert!(shown.contains(column), "{shown}");
    }
    scene
        .world
        .wait_event("agent", "WaitingForPromotion", "canary")
        .await;

    scene.ask(&json!({"paused": true})).await;
    let paused = scene.wait_phase("Paused", "Paused").await;
    assert_eq!(true_conditions(&paused), ["Paused"]);
    scene.ask(&json!({"paused": false})).await;
    scene.wait_phase("Waiting", "WaitingForPromotion").await;

    let (client, namespace) = (&scene.world.client, &scene.world.namespace);
    rollouts::delete_policy(client, namespace, POLICY).await.unwrap();
    let stalled = scene.wait_phase("Stalled", "PolicyGone").await;
    assert_eq!(true_conditions(&stalled), ["Stalled"]);
    super::create_policy(&scene.world, POLICY, &canary_then_all()).await;
    scene.wait_phase("Waiting", "WaitingForPromotion").await;

    scene.promote(waiting.rollout, "canary").await;
    let done = scene.wait_phase("Completed", "Completed").await;
    assert_eq!(true_conditions(&done), ["Ready"]);
    assert_eq!(done.progress, "3/3");
    scene
        .world
        .wait_event("agent", "RolloutCompleted", "completed")
        .await;
}

/// P13: `kubectl rollout restart` is a rollout with stages, and `kubectl rollout undo` goes back without them.
#[tokio::test]
async fn kubectl_rollout_restart_and_undo_are_rollouts() {
    let scene = Scene::new(3, &canary_then_all()).await;
    let kubectl = scene.world.claim.kubectl().unwrap();
    kubectl.run(["rollout", "restart", "ds/agent"]).await.unwrap();
    let restart = scene.wait_phase("Waiting", "WaitingForPromotion").await;
    assert_ne!(restart.update_revision, scene.first);
    scene.check_held("node-02", "the restart's canary waits").await;
    scene.check_only_on(&["node-01"]);
    kubectl.run(["rollout", "undo", "ds/agent"]).await.unwrap();
    let undone = scene
        .wait("undone", |status| {
            status.rollout > restart.rollout && status.phase == "Completed"
        })
        .await;
    assert_eq!(undone.update_revision, scene.first);
    scene.wait_all_on(&scene.first).await;
    scene.check_only_on(&["node-01"]);

    kubectl.run(["rollout", "restart", "ds/agent"]).await.unwrap();
    let again = scene
        .wait("the canary of the second restart", |status| {
            status.rollout > undone.rollout && status.reason == "WaitingForPromotion"
        })
        .await;
    assert_ne!(again.update_revision, restart.update_revision);
    scene.promote(again.rollout, "canary").await;
    scene.wait_all_on(&again.update_revision).await;
    scene.wait_phase("Completed", "Completed").await;

    // After a complete rollout, an undo begins a rollout with stages.
    kubectl.run(["rollout", "undo", "ds/agent"]).await.unwrap();
    let back = scene
        .wait("the canary of the undo", |status| {
            status.rollout > again.rollout && status.reason == "WaitingForPromotion"
        })
        .await;
    assert_eq!(back.current_revision, again.update_revision);
    scene.ask(&json!({"promoteFull": back.rollout})).await;
    scene.wait_all_on(&back.update_revision).await;
}

/// The nodes that a person releases get the update revision before their turn, and a retry begins again.
#[tokio::test]
async fn released_node_is_updated_before_its_turn() {
    let scene = Scene::new(4, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEWER).await;
    let release = json!({"release": {"rollout": canary.rollout, "nodes": ["node-03"]}});
    scene.ask(&release).await;
    let released = scene
        .wait("two updated nodes", |status| status.updated_available == 2)
        .await;
    assert_eq!(released.reason, "WaitingForPromotion");
    let updated = scene.nodes_on(&canary.update_revision).await;
    assert_eq!(updated.into_iter().collect::<Vec<_>>(), ["node-01", "node-03"]);
    scene.check_held("node-02", "the canary waits").await;
    scene.check_only_on(&["node-01", "node-03"]);

    scene.ask(&json!({"retry": canary.rollout})).await;
    let again = scene
        .wait("the canary of the retry", |status| {
            status.rollout > canary.rollout && status.reason == "WaitingForPromotion"
        })
        .await;
    scene.check_only_on(&["node-01", "node-03"]);
    scene.promote(again.rollout, "canary").await;
    scene.wait_all_on(&canary.update_revision).await;
}
