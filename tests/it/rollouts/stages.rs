//! Stages: which nodes get a new template, and when the next stage opens.

use std::collections::BTreeSet;

use everynode_tests::daemonsets;
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::rollouts::revision;
use everynode_tests::wait::eventually;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::{NEW, NEWER, Scene, canary, canary_then_all, policy, stage};
use crate::world::{DEADLINE, World};

/// Adds a node and waits until it is ready.
async fn join(world: &mut World, name: &str) {
    nodes::create_ready(&world.client, vec![NodeBuilder::new(name)])
        .await
        .unwrap();
    world.nodes.push(name.to_owned());
}

/// Waits for a ready pod of `agent` on a node.
async fn wait_pod_on(world: &World, node: &str) {
    let ready = eventually(DEADLINE, format!("a ready pod on {node}"), async || {
        let pods = daemonsets::pods(&world.client, &world.namespace, "agent").await?;
        let mut pods = pods
            .iter()
            .filter(|pod| daemonsets::target_node(pod) == Some(node));
        anyhow::ensure!(pods.any(daemonsets::is_ready), "there is none");
        Ok(())
    });
    ready
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
}

/// Removes a node, and its pods as the pod garbage collector does.
async fn leave(world: &mut World, name: &str) {
    world.nodes.retain(|node| node != name);
    nodes::delete(&world.client, name).await.unwrap();
    let api: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let at_once = DeleteParams::default().grace_period(0);
    let pods = daemonsets::pods(&world.client, &world.namespace, "agent").await;
    for pod in pods.unwrap() {
        if daemonsets::target_node(&pod) == Some(name) {
            // It may be gone already.
            let _ = api.delete(&pod.name_any(), &at_once).await;
        }
    }
}

/// A node that joins during a canary gets the current revision, and the canary stays what it was.
#[tokio::test]
async fn node_that_joins_during_a_canary_gets_the_current_revision() {
    let mut scene = Scene::new(3, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    assert_eq!(canary.current_revision, scene.first);
    join(&mut scene.world, "node-04").await;
    let pods = scene.world.wait_placed("agent").await;
    let joined = pods
        .iter()
        .find(|pod| daemonsets::target_node(pod) == Some("node-04"))
        .unwrap();
    assert_eq!(revision(joined), scene.first);
    // With this label, kube-controller-manager would take the pod for one of the new template.
    assert!(!joined.labels().contains_key("pod-template-generation"));
    let status = scene
        .wait("four desired nodes", |status| status.desired == 4)
        .await;
    assert_eq!(status.updated, 1);
    assert_eq!(status.reason, "WaitingForPromotion");
    assert_eq!(status.stages, canary.stages);
    scene.check_only_on(&["node-01"]);

    scene.promote(status.rollout, "canary").await;
    let done = scene.wait_phase("Completed", "Completed").await;
    assert_eq!(done.current_revision, done.update_revision);
    scene.wait_all_on(&canary.update_revision).await;
}

/// A promotion of one rollout doesn't promote the next one.
#[tokio::test]
async fn promotion_of_an_earlier_rollout_leaves_the_newer_template_waiting() {
    let scene = Scene::new(3, &canary_then_all()).await;
    let earlier = scene.roll_out_to_canary(NEW).await;
    scene.world.set_image(NEWER).await;
    let newer = scene
        .wait("the canary of the newer template", |status| {
            status.rollout > earlier.rollout && status.reason == "WaitingForPromotion"
        })
        .await;
    assert_ne!(newer.update_revision, earlier.update_revision);
    scene.promote(earlier.rollout, "canary").await;
    scene
        .check_held("node-02", "an earlier rollout was promoted")
        .await;
    scene.check_only_on(&["node-01"]);

    scene.promote(newer.rollout, "canary").await;
    scene.wait_all_on(&newer.update_revision).await;
}

/// After an aborted rollout, the next one still has the revision that all nodes ran before as the current one, and
/// goes back to it.
#[tokio::test]
async fn t11_rollout_after_an_aborted_one_goes_back_to_the_last_complete_revision() {
    let scene = Scene::new(3, &canary_then_all()).await;
    let second = scene.roll_out_to_canary(NEW).await;
    scene.ask(&json!({"abort": second.rollout})).await;
    scene.wait_phase("GoingBack", "Aborted").await;
    scene.wait_all_on(&scene.first).await;

    scene.world.set_image(NEWER).await;
    let third = scene
        .wait("the canary of the third template", |status| {
            status.rollout > second.rollout && status.reason == "WaitingForPromotion"
        })
        .await;
    assert_eq!(third.current_revision, scene.first);
    let outcomes: Vec<_> = third
        .attempts
        .iter()
        .map(|attempt| (attempt.rollout, attempt.outcome.as_str()))
        .collect();
    assert_eq!(outcomes, [(second.rollout, "Aborted")]);
    scene.check_held("node-03", "the canary waits").await;

    // `kubectl rollout undo` alone would go to the second newest revision, which was aborted.
    let kubectl = scene.world.claim.kubectl().unwrap();
    kubectl
        .run(["rollout", "undo", "ds/agent", "--to-revision=1"])
        .await
        .unwrap();
    scene.wait_phase("Completed", "Completed").await;
    scene.wait_all_on(&scene.first).await;
    scene.check_only_on(&["node-01"]);
}

/// A template that comes back reuses its revision, but not the promotion that its first rollout got.
#[tokio::test]
async fn template_that_comes_back_waits_for_a_promotion_of_its_own() {
    let scene = Scene::new(3, &canary_then_all()).await;
    let first_time = scene.roll_out_to_canary(NEW).await;
    // The verbs stay in the object, as people leave them there.
    scene.promote(first_time.rollout, "canary").await;
    scene.wait_all_on(&first_time.update_revision).await;
    scene.wait_phase("Completed", "Completed").await;

    scene.world.set_image("example/daemon:1").await;
    let back = scene
        .wait("the canary of the first template", |status| {
            status.rollout > first_time.rollout && status.reason == "WaitingForPromotion"
        })
        .await;
    assert_eq!(back.update_revision, scene.first);
    scene.promote(back.rollout, "canary").await;
    scene.wait_all_on(&scene.first).await;
    scene.wait_phase("Completed", "Completed").await;

    scene.world.set_image(NEW).await;
    let again = scene
        .wait("the canary of the second template", |status| {
            status.rollout > back.rollout && status.reason == "WaitingForPromotion"
        })
        .await;
    assert_eq!(again.update_revision, first_time.update_revision);
    scene.check_held("node-02", "the canary waits").await;
    let updated = scene.nodes_on(&again.update_revision).await;
    assert_eq!(updated, BTreeSet::from(["node-01".to_owned()]));
}

/// Nodes that come and go neither restart a soak nor keep a stage from ending.
#[tokio::test]
async fn soak_ends_although_nodes_come_and_go() {
    let stages = json!([
        {"name": "half", "nodes": "50%", "soak": "5s"},
        {"name": "most", "nodes": "80%", "soak": "5s"},
    ]);
    let fields = json!({"stages": stages, "maxUnavailable": 2});
    let mut scene = Scene::new(6, &policy(&fields)).await;
    scene.world.set_image(NEW).await;
    let soaking = scene.wait_phase("Soaking", "Soaking").await;
    // A node comes, and the one that came before it goes.
    let mut joined: Vec<String> = Vec::new();
    let done = loop {
        let name = format!("node-{:02}", 7 + joined.len());
        assert!(
            joined.len() < 60,
            "the rollout doesn't end\n{}",
            scene.world.logs()
        );
        join(&mut scene.world, &name).await;
        wait_pod_on(&scene.world, &name).await;
        if let Some(before) = joined.last() {
            leave(&mut scene.world, before).await;
        }
        joined.push(name);
        let status = scene.wait("a rollout", |status| status.rollout > 0).await;
        if status.phase == "Completed" {
            break status;
        }
    };
    assert_eq!(
        stage(&done, "half").updated_at,
        stage(&soaking, "half").updated_at,
        "the soak began again"
    );
    scene.wait_all_on(&soaking.update_revision).await;
}

/// A stage that takes no node waits for a promotion, because nothing shows that the update works.
#[tokio::test]
async fn t6_stage_without_nodes_waits() {
    let none = json!({
        "name": "canary", "nodeSelector": {"matchLabels": {"pool": "none"}}, "soak": "1s",
    });
    let scene = Scene::new(3, &policy(&json!({"stages": [none]}))).await;
    scene.world.set_image(NEW).await;
    let waiting = scene.wait_phase("Waiting", "StageEmpty").await;
    scene.check_held("node-02", "the stage is empty").await;
    scene.check_only_on(&[]);
    scene.promote(waiting.rollout, "canary").await;
    scene.wait_all_on(&waiting.update_revision).await;
}

/// A stage whose only node is dead waits for a promotion, too.
#[tokio::test]
async fn stage_of_a_dead_node_waits() {
    let stage = json!({"name": "canary", "nodeSelector": {"matchLabels": {"pool": "canary"}}, "soak": "1s"});
    let scene = Scene::new(4, &policy(&json!({"stages": [stage]}))).await;
    // As on a node whose kubelet doesn't run: the pod isn't ready, and its deletion doesn't end.
    let pods = scene.pods().await;
    let dead = pods
        .iter()
        .find(|pod| daemonsets::target_node(pod) == Some("node-01"))
        .unwrap();
    let annotations = json!({"everynode.test/ready": "false", "everynode.test/terminate": "never"});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    let api: Api<Pod> = Api::namespaced(scene.world.client.clone(), &scene.world.namespace);
    api.patch(&dead.name_any(), &PatchParams::default(), &patch)
        .await
        .unwrap();
    scene
        .world
        .wait_status("agent", "one pod unavailable", |status| {
            status.number_available == Some(3)
        })
        .await;
    // The pod has been unavailable since an earlier second than the one in which the rollout begins.
    scene.heal("node-03").await;
    scene.world.set_image(NEW).await;
    let waiting = scene.wait_phase("Waiting", "StageEmpty").await;
    scene
        .check_held("node-02", "the stage has only a dead node")
        .await;
    scene.check_only_on(&["node-01"]);
    assert!(waiting.stages.iter().all(|stage| stage.done_at.is_none()));

    // The node is repaired.
    let alive = Patch::Merge(json!({"metadata": {"annotations": {"everynode.test/terminate": null}}}));
    api.patch(&dead.name_any(), &PatchParams::default(), &alive)
        .await
        .unwrap();
    scene.wait_all_on(&waiting.update_revision).await;
}

/// A policy may give the update revision to nodes that join. Nodes that had a pod keep it.
#[tokio::test]
async fn node_that_joins_can_get_the_update_revision() {
    let fields = json!({"stages": [canary()], "unreleasedNodes": "Update"});
    let mut scene = Scene::new(3, &policy(&fields)).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    join(&mut scene.world, "node-04").await;
    scene.world.wait_placed("agent").await;
    let updated = scene.nodes_on(&canary.update_revision).await;
    assert_eq!(updated.into_iter().collect::<Vec<_>>(), ["node-01", "node-04"]);
    scene.check_only_on(&["node-01", "node-04"]);
}
