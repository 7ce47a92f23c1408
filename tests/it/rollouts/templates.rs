//! Templates that select other nodes, or that a held pod couldn't run beside.

use std::collections::BTreeSet;

use everynode_tests::daemonsets::{self, DaemonSetBuilder, target_node};
use everynode_tests::monitor::Monitor;
use everynode_tests::nodes;
use everynode_tests::rollouts::{ask, revision};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{canary, create_policy, heal, label_canary, live_pods, wait_all_on, wait_rollout};
use crate::world::{DEADLINE, World, identities};

const DISK: &str = "disk";
const DAEMON_SETS: [&str; 3] = ["narrowing", "widening", "rewiring"];

async fn patch_pod_spec(world: &World, name: &str, patch: &Value) {
    let patch = json!({"spec": {"template": {"spec": patch}}});
    daemonsets::patch(&world.client, &world.namespace, name, &patch)
        .await
        .unwrap();
}

/// Gives each `DaemonSet` its second template.
async fn change_templates(world: &World) {
    patch_pod_spec(world, "narrowing", &json!({"nodeSelector": {DISK: "ssd"}})).await;
    patch_pod_spec(world, "widening", &json!({"nodeSelector": null})).await;
    let wired = json!([{"name": "main", "image": "example/daemon:1",
        "ports": [{"containerPort": 9100, "hostPort": 9100}]}]);
    patch_pod_spec(
        world,
        "rewiring",
        &json!({"hostNetwork": true, "containers": wired}),
    )
    .await;
}

/// The nodes with a pod of a `DaemonSet`, sorted by name.
async fn nodes_of(world: &World, name: &str) -> BTreeSet<String> {
    let pods = live_pods(world, name).await;
    pods.iter().filter_map(target_node).map(str::to_owned).collect()
}

/// A new template narrows, widens, or moves to the host's network. Nodes that the rollout hasn't released neither lose
/// nor get a pod by it, and no pod is created again and again.
#[tokio::test]
async fn template_that_selects_other_nodes_changes_only_released_nodes() {
    let world = World::with_policies(4).await;
    label_canary(&world, "node-01").await;
    for node in ["node-01", "node-02"] {
        nodes::label(&world.client, node, DISK, Some("ssd"))
            .await
            .unwrap();
    }
    let targets = DAEMON_SETS.map(|name| json!({"name": name}));
    create_policy(
        &world,
        "all",
        &json!({"targetRefs": targets, "stages": [canary()]}),
    )
    .await;
    world.create(DaemonSetBuilder::new("narrowing")).await;
    world
        .create(DaemonSetBuilder::new("widening").node_selector(DISK, "ssd"))
        .await;
    world
        .create(DaemonSetBuilder::new("rewiring").host_port(9100))
        .await;
    let with_disk = ["node-01", "node-02"];
    world.wait_placed("narrowing").await;
    world.wait_placed("rewiring").await;
    let (client, namespace) = (&world.client, &world.namespace);
    daemonsets::wait_placed(client, namespace, "widening", &with_disk, DEADLINE)
        .await
        .unwrap();
    let mut monitors = Vec::new();
    let mut firsts = Vec::new();
    for name in DAEMON_SETS {
        let status = wait_rollout(&world, name, "complete", |status| {
            status.phase == "Completed" && !status.update_revision.is_empty()
        })
        .await;
        firsts.push(status.update_revision);
        monitors.push(Monitor::recording(client, namespace, name).await.unwrap());
    }
    let seen_before: Vec<_> = monitors.iter().map(Monitor::pods_seen).collect();

    change_templates(&world).await;
    let mut rollouts = Vec::new();
    for name in DAEMON_SETS {
        let status = wait_rollout(&world, name, "the canary", |status| {
            status.reason == "WaitingForPromotion"
        })
        .await;
        rollouts.push((status.rollout, status.update_revision));
    }
    for ((name, first), monitor) in DAEMON_SETS.iter().zip(&firsts).zip(&monitors) {
        let before = live_pods(&world, name).await;
        assert_eq!(heal(&world, name, "node-02").await, *first, "{name}");
        let after = live_pods(&world, name).await;
        let elsewhere = |pods: &[Pod]| {
            let mut pods = pods.to_vec();
            pods.retain(|pod| target_node(pod) != Some("node-02"));
            identities(&pods)
        };
        assert_eq!(elsewhere(&before), elsewhere(&after), "{name}");
        monitor
            .check_one_pod_per_node()
            .unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", world.logs()));
    }
    // Each canary pod and each healed pod was created once.
    for ((name, monitor), before) in DAEMON_SETS.iter().zip(&monitors).zip(seen_before) {
        assert_eq!(monitor.pods_seen(), before + 2, "{name}\n{}", world.logs());
    }
    let all: BTreeSet<_> = world.nodes.iter().cloned().collect();
    let two = BTreeSet::from(with_disk.map(str::to_owned));
    assert_eq!(nodes_of(&world, "narrowing").await, all);
    assert_eq!(nodes_of(&world, "widening").await, two);

    for (name, (rollout, _)) in DAEMON_SETS.iter().zip(&rollouts) {
        let verbs = json!({"promote": {"rollout": rollout, "stage": "canary"}});
        ask(client, namespace, name, &verbs).await.unwrap();
    }
    let pods = daemonsets::wait_placed(client, namespace, "narrowing", &with_disk, DEADLINE).await;
    let pods = pods.unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    wait_all_on(&world, "widening", &rollouts[1].1).await;
    wait_all_on(&world, "rewiring", &rollouts[2].1).await;
    wait_rollout(&world, "narrowing", "complete", |status| {
        status.phase == "Completed"
    })
    .await;
    assert_eq!(pods.len(), 2);
    let pods = live_pods(&world, "narrowing").await;
    assert!(pods.iter().all(|pod| revision(pod) == rollouts[0].1));
}
