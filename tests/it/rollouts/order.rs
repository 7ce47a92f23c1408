//! The order of nodes, and the budgets of a rollout.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use everynode_tests::daemonsets::{DaemonSetBuilder, is_ready};
use everynode_tests::nodes;
use everynode_tests::rollouts::{self, revision};
use everynode_tests::wait::eventually;
use serde_json::json;

use super::{NEW, POLICY, Scene, policy, stage};
use crate::world::{DEADLINE, World};

const ZONE: &str = "topology.kubernetes.io/zone";
/// The zone of each node. The last zone has one node.
const ZONES: [&str; 5] = ["a", "b", "a", "b", "c"];

/// One zone after the other, each finished before the next one begins, also a zone of one node.
#[tokio::test]
async fn zones_are_updated_one_after_the_other() {
    let world = World::with_policies(ZONES.len()).await;
    let zones: BTreeMap<String, &str> = world.nodes.iter().cloned().zip(ZONES).collect();
    for (node, zone) in &zones {
        nodes::label(&world.client, node, ZONE, Some(*zone))
            .await
            .unwrap();
    }
    let fields = json!({
        "maxUnavailable": 2,
        "order": {"topologyKey": ZONE, "maxUnavailablePerDomain": "50%"},
    });
    let scene = Scene::start(world, DaemonSetBuilder::new("agent"), &policy(&fields)).await;
    scene.world.set_image(NEW).await;
    let done = scene
        .wait("complete", |status| {
            status.phase == "Completed" && status.update_revision != scene.first
        })
        .await;
    scene.wait_all_on(&done.update_revision).await;

    let mut begun = Vec::new();
    let checked = scene.monitor.check_states(|state| {
        let mut unavailable: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
        for (node, pods) in state {
            let zone = zones[node];
            if !pods.is_ready {
                *unavailable.entry(zone).or_default() += 1;
            }
            if pods.revisions.contains(&scene.first) {
                old.insert(zone);
            } else {
                new.insert(zone);
            }
        }
        ensure!(unavailable.len() <= 1, "two zones at once: {unavailable:?}");
        // Half of a zone of two nodes is one node, and a budget allows at least one.
        ensure!(
            unavailable.values().all(|count| *count <= 1),
            "too many nodes of a zone: {unavailable:?}"
        );
        let partly = old.intersection(&new).count();
        ensure!(partly <= 1, "{partly} zones are partly updated");
        for zone in new {
            if !begun.contains(&zone) {
                begun.push(zone);
            }
        }
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error:#}\n{}", scene.world.logs()));
    assert_eq!(begun, ["a", "b", "c"]);
}

/// An undo while a stage of 60 % waits for its promotion brings every node back, at the pace of the budget.
#[tokio::test]
async fn undo_in_the_middle_of_a_rollout_needs_no_promotion_and_keeps_the_budget() {
    let stages = json!([{"name": "most", "nodes": "60%", "promotion": "Manual"}]);
    let fields = json!({"stages": stages, "maxUnavailable": 1});
    let scene = Scene::new(5, &policy(&fields)).await;
    scene.world.set_image(NEW).await;
    let waiting = scene.wait_phase("Waiting", "WaitingForPromotion").await;
    let updated = scene.nodes_on(&waiting.update_revision).await;
    assert_eq!(updated.len(), 3, "60 % of five nodes");

    let kubectl = scene.world.claim.kubectl().unwrap();
    kubectl.run(["rollout", "undo", "ds/agent"]).await.unwrap();
    let back = scene
        .wait("every node on the first revision", |status| {
            status.rollout > waiting.rollout && status.phase == "Completed"
        })
        .await;
    assert_eq!(back.update_revision, scene.first);
    assert!(back.stages.is_empty(), "{:?}", back.stages);
    scene.wait_all_on(&scene.first).await;
    scene.check_unavailable(1);
    let updated: Vec<_> = updated.iter().map(String::as_str).collect();
    scene.check_only_on(&updated);
}

/// A number of nodes is picked from different zones, and what was picked is remembered.
#[tokio::test]
async fn canary_nodes_are_spread_over_zones() {
    let world = World::with_policies(ZONES.len()).await;
    for (node, zone) in world.nodes.iter().zip(ZONES) {
        nodes::label(&world.client, node, ZONE, Some(zone)).await.unwrap();
    }
    let canary = json!({"name": "canary", "nodes": 3, "topologyKey": ZONE, "promotion": "Manual"});
    let spec = policy(&json!({"stages": [canary]}));
    let scene = Scene::start(world, DaemonSetBuilder::new("agent"), &spec).await;
    let status = scene.roll_out_to_canary(NEW).await;
    let picked = &stage(&status, "canary").nodes;
    let zones: BTreeSet<_> = scene
        .world
        .nodes
        .iter()
        .zip(ZONES)
        .filter(|(node, _)| picked.contains(node))
        .map(|(_, zone)| zone)
        .collect();
    assert_eq!((picked.len(), zones.len()), (3, 3), "{picked:?}");
    let updated = scene.nodes_on(&status.update_revision).await;
    assert_eq!(updated, picked.iter().cloned().collect::<BTreeSet<_>>());
}

/// Under surge, a held node keeps its pod, and the limit counts nodes with a second pod.
#[tokio::test]
async fn t7_surge_replaces_no_pod_of_a_held_node_and_leaves_no_gap() {
    let stages = json!([{"name": "half", "nodes": "50%", "promotion": "Manual"}]);
    let world = World::with_policies(4).await;
    let agent = DaemonSetBuilder::new("agent").rolling_update(0, 1);
    let scene = Scene::start(world, agent, &policy(&json!({"stages": stages}))).await;
    scene.world.set_image(NEW).await;
    let waiting = scene.wait_phase("Waiting", "WaitingForPromotion").await;
    let updated = scene.nodes_on(&waiting.update_revision).await;
    assert_eq!(updated.len(), 2, "half of four nodes");
    let listed: Vec<_> = updated.iter().map(String::as_str).collect();
    scene.check_only_on(&listed);
    scene.promote(waiting.rollout, "half").await;
    scene.wait_all_on(&waiting.update_revision).await;
    scene.monitor.check_surge().unwrap();
    scene.check_unavailable(0);
}

/// A partition keeps so many nodes on the current revision, until it is 0.
#[tokio::test]
async fn partition_keeps_nodes_on_the_current_revision() {
    let scene = Scene::new(4, &policy(&json!({"partition": "50%"}))).await;
    scene.world.set_image(NEW).await;
    let waiting = scene.wait_phase("Waiting", "Partition").await;
    let updated = scene.nodes_on(&waiting.update_revision).await;
    assert_eq!(updated.len(), 2, "half of four nodes");
    let held = scene.nodes_on(&scene.first).await;
    assert_eq!(held.len(), 2, "half of four nodes");
    for node in &held {
        scene.check_held(node, "the partition").await;
    }
    let updated: Vec<_> = updated.iter().map(String::as_str).collect();
    scene.check_only_on(&updated);

    let (client, namespace) = (&scene.world.client, &scene.world.namespace);
    rollouts::patch_policy(client, namespace, POLICY, &json!({"partition": 0}))
        .await
        .unwrap();
    scene.wait_all_on(&waiting.update_revision).await;
    scene.wait_phase("Completed", "Completed").await;
}

/// A label on a node holds its pod at its revision. Without the label, the pod follows.
#[tokio::test]
async fn hold_label_keeps_the_pod_of_a_node() {
    let scene = Scene::new(4, &policy(&json!({}))).await;
    let key = format!("hold.everynode.io/{}.agent", scene.world.namespace);
    let client = &scene.world.client;
    nodes::label(client, "node-02", &key, Some("")).await.unwrap();
    // The executor sees the label before the new template.
    scene.heal("node-03").await;
    scene.world.set_image(NEW).await;
    let others = eventually(DEADLINE, "three updated nodes", async || {
        let updated = scene.pods().await;
        let updated = updated
            .iter()
            .filter(|pod| is_ready(pod) && revision(pod) != scene.first);
        let count = updated.count();
        ensure!(count == 3, "{count} nodes are updated");
        Ok(())
    });
    others
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", scene.world.logs()));
    scene.check_only_on(&["node-01", "node-03", "node-04"]);
    nodes::label(client, "node-02", &key, None).await.unwrap();
    let status = scene.wait("any rollout", |status| status.rollout > 0).await;
    scene.wait_all_on(&status.update_revision).await;
}
