//! Watches that end early, lag, repeat events or deliver them in the wrong order.

use std::time::Duration;

use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::proxy::{CallFault, Interruption, WatchDelivery};

use super::Scene;

#[tokio::test]
async fn interrupted_or_expired_watches_resume_without_losing_events() {
    let mut scene = Scene::new().await;
    for how in [
        Interruption::Closed,
        Interruption::Truncated,
        Interruption::Expired,
    ] {
        let ended = scene.gateway.watches_ended();
        scene.gateway.end_watches(how);
        scene.add_work().await;
        scene.wait_converged(&format!("{how:?}")).await;
        assert!(scene.gateway.watches_ended() > ended, "{how:?} ended no watch");
    }
    let gone = CallFault::Refused {
        code: 410,
        retry_after: None,
    };
    scene.gateway.inject(|call| call.is_watch, gone, 4);
    scene.gateway.end_watches(Interruption::Closed);
    scene.add_work().await;
    scene.wait_faults_injected("410 Gone").await;
    scene.wait_converged("410 Gone").await;
}

#[tokio::test]
async fn delayed_or_repeated_watch_events_create_no_second_pod() {
    let mut scene = Scene::new().await;
    let late = WatchDelivery::Delayed(Duration::from_millis(300));
    for (version, delivery) in (2..).zip([late, WatchDelivery::Duplicated]) {
        scene.gateway.set_watch_delivery(delivery);
        scene.add_work().await;
        scene.wait_converged(&format!("{delivery:?}")).await;
        scene.change_template(version).await;
        scene.wait_converged(&format!("a rollout, {delivery:?}")).await;
    }
}

#[tokio::test]
async fn state_converges_after_watch_events_out_of_order() {
    // The rollout replaces all pods at once. The executor looks up a pod ten seconds after an event for it arrived out
    // of order, so a rollout in several steps would wait that long in each step.
    let agent = DaemonSetBuilder::new("agent").rolling_update("100%", 0);
    let mut scene = Scene::with_agent(agent).await;
    scene.gateway.set_watch_delivery(WatchDelivery::Reversed);
    scene.add_work().await;
    scene.wait_converged("events in the wrong order").await;
    scene.change_template(2).await;
    scene.wait_converged("a rollout, events in the wrong order").await;
}
