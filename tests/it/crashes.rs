//! Kills the executor or the planner at random moments.

use std::time::Duration;

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::monitor::Monitor;
use everynode_tests::nodes::{self, NodeBuilder};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};

use crate::world::World;

/// The number of crashes.
const CRASHES: usize = 20;
/// The work of a round causes about this many pod events. The crash comes after some of them.
const EVENTS: usize = 30;

#[tokio::test]
async fn twenty_random_crashes_cause_no_second_live_pod_and_no_missing_pod() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(8).await;
    DaemonSetBuilder::new("agent")
        .rolling_update("50%", 0)
        .create(&world.client, &world.namespace)
        .await
        .unwrap();
    world.wait_placed("agent").await;
    let mut monitor = Monitor::start(&world.client, &world.namespace, "agent")
        .await
        .unwrap();

    for round in 1..=CRASHES {
        start_random_work(&mut world, &mut random, round).await;
        // If the round's work causes fewer events, the crash comes after 500 ms.
        monitor
            .wait_events(random.usize(0..EVENTS), Duration::from_millis(500))
            .await;
        if random.bool() {
            world.executor.kill9().await.unwrap();
            world.executor.launch().unwrap();
        } else {
            world.planner.kill9().await.unwrap();
            world.planner.launch().unwrap();
        }
        world.wait_placed("agent").await;
        world.wait_rolled_out().await;
        monitor
            .check_one_pod_per_node()
            .unwrap_or_else(|error| panic!("round {round}, seed {seed}: {error:#}\n{}", world.logs()));
    }
}

/// Starts random work for Everynode.
async fn start_random_work(world: &mut World, random: &mut fastrand::Rng, round: usize) {
    match random.u8(0..3) {
        0 => {
            let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
            for pod in daemonsets::pods(&world.client, &world.namespace, "agent")
                .await
                .unwrap()
            {
                if random.bool() {
                    pods.delete(&pod.name_any(), &DeleteParams::default())
                        .await
                        .unwrap();
                }
            }
        }
        1 => {
            world.set_image(&format!("example/daemon:{}", round + 1)).await;
        }
        _ => {
            let name = format!("late-{round:02}");
            nodes::create_ready(&world.client, vec![NodeBuilder::new(&name)])
                .await
                .unwrap();
            world.nodes.push(name);
        }
    }
}
