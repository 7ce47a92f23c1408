//! A planner whose clock is set forward or back.

use everynode_tests::daemonsets::DaemonSetBuilder;

use super::Scene;

const HOUR: i64 = 3600;

#[tokio::test]
async fn s3_clock_jumps_replace_no_pod_and_rollouts_resume_when_the_clock_is_right() {
    let agent = DaemonSetBuilder::new("agent")
        .rolling_update("50%", 0)
        .min_ready_seconds(1);
    let mut scene = Scene::with_agent(agent).await;
    for (version, ahead) in (2..).zip([HOUR, -HOUR]) {
        scene.clock.set_offset(ahead);
        scene.add_work().await;
        scene.world.wait_placed("agent").await;
        scene.clock.set_offset(0);
        scene
            .wait_converged(&format!("a clock that was {ahead} s ahead"))
            .await;
        scene.change_template(version).await;
        scene.wait_converged("a rollout with the right time").await;
    }

    scene.clock.set_offset(-HOUR);
    scene.world.set_image("example/daemon:4").await;
    scene.world.wait_status("agent", "acted on", |_| true).await;
    scene.check_pods_untouched().await;
    scene.pods_to_keep.clear();
    scene.clock.set_offset(0);
    scene.wait_converged("a rollout that the clock held up").await;
}
