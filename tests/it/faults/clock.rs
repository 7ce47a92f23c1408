//! A planner whose clock is set forward or back.

use everynode_tests::daemonsets::DaemonSetBuilder;

use super::Scene;

const HOUR: i64 = 3600;

#[tokio::test]
async fn s3_a_clock_that_is_set_forward_or_back_replaces_no_pod_and_rollouts_go_on_when_it_is_right() {
    let agent = DaemonSetBuilder::new("agent")
        .rolling_update("50%", 0)
        .min_ready_seconds(1);
    let mut scene = Scene::with(agent).await;
    for (version, ahead) in (2..).zip([HOUR, -HOUR]) {
        scene.clock.set_offset(ahead);
        scene.work().await;
        scene.world.everywhere("agent").await;
        scene.clock.set_offset(0);
        scene.is_whole(&format!("a clock that was {ahead} s ahead")).await;
        scene.new_template(version).await;
        scene.is_whole("a rollout at the right time").await;
    }

    scene.clock.set_offset(-HOUR);
    scene.world.set_image("example/daemon:4").await;
    scene.world.status("agent", "acted on", |_| true).await;
    scene.nothing_was_touched().await;
    scene.staying.clear();
    scene.clock.set_offset(0);
    scene.is_whole("a rollout that a clock has held up").await;
}
