//! Watches that end early, lag, repeat events or deliver them in the wrong order.

use std::time::Duration;

use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::proxy::{CallFault, Interruption, WatchDelivery};

use super::Scene;

#[tokio::test]
async fn watches_that_end_in_the_middle_or_are_too_old_go_on_without_a_loss() {
    let mut scene = Scene::new().await;
    for how in [
        Interruption::Closed,
        Interruption::Truncated,
        Interruption::Expired,
    ] {
        scene.gateway.end_watches(how);
        scene.work().await;
        scene.is_whole(&format!("{how:?}")).await;
    }
    let gone = CallFault::Refused {
        code: 410,
        retry_after: None,
    };
    scene.gateway.inject(|call| call.is_watch, gone, 4);
    scene.gateway.end_watches(Interruption::Closed);
    scene.work().await;
    scene.all_befell("410 Gone").await;
    scene.is_whole("410 Gone").await;
}

#[tokio::test]
async fn watches_that_lag_or_stammer_make_no_second_pod() {
    let mut scene = Scene::new().await;
    let late = WatchDelivery::Delayed(Duration::from_millis(300));
    for (version, delivery) in (2..).zip([late, WatchDelivery::Duplicated]) {
        scene.gateway.set_watch_delivery(delivery);
        scene.work().await;
        scene.is_whole(&format!("{speech:?}")).await;
        scene.new_template(version).await;
        scene.is_whole(&format!("a rollout, {speech:?}")).await;
    }
}

#[tokio::test]
async fn watches_that_tell_things_in_the_wrong_order_are_put_right() {
    // All pods at once: the executor looks up an object ten seconds after its event came out of order, and a rollout in
    // several steps would wait that long in each step.
    let agent = DaemonSetBuilder::new("agent").rolling_update("100%", 0);
    let mut scene = Scene::with(agent).await;
    scene.gateway.set_watch_delivery(WatchDelivery::Reversed);
    scene.work().await;
    scene.is_whole("events in the wrong order").await;
    scene.new_template(2).await;
    scene.is_whole("a rollout, events in the wrong order").await;
}
