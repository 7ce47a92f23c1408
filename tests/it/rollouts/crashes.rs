//! Programs that are killed in the middle of a rollout.

use std::time::Duration;

use everynode_tests::daemonsets::target_node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{NEW, POOL, Scene, policy, stage};

const SOAK: Duration = Duration::from_secs(8);

/// Killing the executor and the planner during a soak neither shortens nor restarts it (T13).
#[tokio::test]
async fn killed_programs_neither_shorten_nor_restart_a_soak() {
    let canary = json!({
        "name": "canary",
        "nodeSelector": {"matchLabels": {POOL: "canary"}},
        "soak": format!("{}s", SOAK.as_secs()),
    });
    let mut scene = Scene::new(3, &policy(&json!({"stages": [canary]}))).await;
    scene.world.set_image(NEW).await;
    let soaking = scene.wait_phase("Soaking", "Soaking").await;
    scene.world.executor.kill9().await.unwrap();
    scene.world.executor.launch().unwrap();
    scene.world.executor.wait_ready().await.unwrap();
    scene.world.planner.kill9().await.unwrap();
    scene.world.planner.launch().unwrap();
    scene.world.planner.wait_ready().await.unwrap();

    let done = scene.wait_phase("Completed", "Completed").await;
    scene.wait_all_on(&done.update_revision).await;
    assert_eq!(done.rollout, soaking.rollout);
    let (before, after) = (stage(&soaking, "canary"), stage(&done, "canary"));
    assert_eq!(before.opened_at, after.opened_at, "the stage opened twice");
    assert_eq!(before.updated_at, after.updated_at, "the soak began again");
    let seconds = |time: &Option<Time>| time.as_ref().unwrap().0.as_second();
    let soak = i64::try_from(SOAK.as_secs()).unwrap();
    let end = seconds(&after.updated_at) + soak;
    assert!(
        seconds(&after.done_at) >= end,
        "the soak was too short: {after:?}"
    );
    for pod in scene.pods().await {
        let created = seconds(&pod.metadata.creation_timestamp);
        assert!(
            target_node(&pod) == Some("node-01") || created >= end,
            "{:?} was replaced before the soak ended",
            pod.metadata.name
        );
    }
    scene.monitor.check_one_pod_per_node().unwrap();
    scene.check_unavailable(1);
}

/// Crashes between the steps of a rollout with several stages neither skip a stage nor exceed the budget.
#[tokio::test]
async fn crashes_between_stages_skip_none() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let stages = json!([
        {"name": "one", "nodes": 1, "soak": "1s"},
        {"name": "half", "nodes": "50%", "soak": "1s"},
        {"name": "most", "nodes": "80%", "soak": "1s"},
    ]);
    let fields = json!({"stages": stages, "maxUnavailable": 2});
    let mut scene = Scene::new(6, &policy(&fields)).await;
    scene.world.set_image(NEW).await;
    for _ in 0..6 {
        scene
            .monitor
            .wait_events(random.usize(0..10), Duration::from_millis(500))
            .await;
        if random.bool() {
            scene.world.executor.kill9().await.unwrap();
            scene.world.executor.launch().unwrap();
        } else {
            scene.world.planner.kill9().await.unwrap();
            scene.world.planner.launch().unwrap();
        }
    }
    let done = scene
        .wait("complete", |status| {
            status.phase == "Completed" && status.rollout == 1
        })
        .await;
    scene.wait_all_on(&done.update_revision).await;
    scene
        .monitor
        .check_one_pod_per_node()
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}\n{}", scene.world.logs()));
    scene.check_unavailable(2);
    let names: Vec<_> = done.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["one", "half", "most", ""], "seed {seed}");
    for pair in done.stages.windows(2) {
        assert!(
            pair[0].done_at <= pair[1].opened_at,
            "seed {seed}: a stage opened too early: {pair:?}"
        );
    }
}
