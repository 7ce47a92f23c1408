//! A planner whose clock is set forward or back.

use everynode_tests::daemonsets::DaemonSetBuilder;

use super::Scene;

const HOUR: i64 = 3600;

#[tokio::test]
async fn s3_clock_jumps_replace_no_pod_and_rollouts_resume_when_the_clock_is_right() {
    let agent = DaemonSetBuilder::new("agent")
        .rolling_update("50%", 0)
        .min_ready_seconds(1);
    let mut scene = Scene::with(agent).await;
    for (version, ahead) in (2..).zip([HOUR, -HOUR]) {
        scene.clock.set_ahead(ahead);
        scene.work().await;
        scene.world.everywhere("agent").await;
        scene.clock.set_ahead(0);
        scene.is_whole(&format!("a clock that was {ahead} s ahead")).await;
        scene.new_template(version).await;
        scene.is_whole("a rollout at the right time").await;
    }

    scene.clock.set_ahead(-HOUR);
    scene.world.set_image("example/daemon:4").await;
    scene.world.status("agent", "acted on", |_| true).await;
    scene.nothing_was_touched().await;
    scene.staying.clear();
    scene.clock.set_ahead(0);
    scene.is_whole("a rollout that a clock has held up").await;
}
