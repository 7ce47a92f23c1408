//! Connections that are cut during a rollout with surge, which creates the new pod first.

use everynode_tests::daemonsets::DaemonSetBuilder;

use super::Scene;
use crate::world::DEADLINE;

/// How often both connections are cut during a rollout, and after how many events each time. A rollout has more than
/// `CUTS` × `EVENTS_BETWEEN` events, so every cut happens during the rollout.
const CUTS: usize = 5;
const EVENTS_BETWEEN: usize = 3;

#[tokio::test]
async fn r5_surge_rollout_over_cut_connections_keeps_a_ready_pod_and_adds_one_per_node() {
    let agent = DaemonSetBuilder::new("agent").rolling_update(0, "50%");
    let mut scene = Scene::with_agent(agent).await;
    for version in 2..4 {
        scene.change_template(version).await;
        for _ in 0..CUTS {
            let progressed = scene.monitor.wait_events(EVENTS_BETWEEN, DEADLINE).await;
            assert!(progressed, "the rollout is stuck\n{}", scene.world.logs());
            scene.planner_line.cut();
            scene.api_line.cut();
        }
        scene.world.wait_rolled_out_after("cuts").await;
        scene.world.wait_placed("agent").await;
        let in_order = scene.monitor.check_surge();
        in_order.unwrap_or_else(|error| panic!("{error:#}\n{}", scene.world.logs()));
    }
}
