//! A large cluster: 300 nodes.

use std::time::{Duration, Instant};

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::monitor::Monitor;
use everynode_tests::wait::eventually;

use crate::world::World;

/// Limits how long the test waits. It isn't a performance target.
const DEADLINE: Duration = Duration::from_mins(2);

#[tokio::test]
async fn three_hundred_nodes_get_a_pod_each() {
    let world = World::new(300).await;
    let monitor = Monitor::start(&world.client, &world.namespace, "agent")
        .await
        .unwrap();
    let began = Instant::now();
    world.create(DaemonSetBuilder::new("agent")).await;
    let created = eventually(DEADLINE, "300 pods to be created", async || {
        let count = world
            .executor
            .metric(
                "everynode_executor_actions_total",
                "action=\"Create\",outcome=\"Done\"",
            )
            .await?;
        anyhow::ensure!(count >= 300.0, "{count} are created");
        Ok(())
    });
    created
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    println!("300 pods were created in {:.1} s", began.elapsed().as_secs_f64());
    let placed =
        daemonsets::wait_placed(&world.client, &world.namespace, "agent", &world.nodes, DEADLINE).await;
    placed.unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    monitor.check_one_pod_per_node().unwrap();
}
