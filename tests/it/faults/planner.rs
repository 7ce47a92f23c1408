//! Faults of the connection to the planner, and of both connections at once.

use std::time::Duration;

use everynode_tests::proxy::{ConnectionFaults, Traffic};

use super::Scene;

#[tokio::test]
async fn cut_garbled_or_refused_planner_connection_costs_no_pod() {
    let mut scene = Scene::new().await;
    scene.add_work().await;
    scene.planner_line.cut();
    scene.wait_converged("a cut").await;

    for traffic in [Traffic::Corrupted, Traffic::Refused] {
        scene.wait_session().await;
        let losses = scene.metric("planner_losses_total").await;
        scene.planner_line.set_traffic(traffic);
        if traffic == Traffic::Refused {
            scene.planner_line.cut();
        }
        scene.add_work().await;
        scene.wait_metric_above("planner_losses_total", losses).await;
        scene.check_pods_untouched().await;
        scene.planner_line.set_traffic(Traffic::Normal);
        scene.wait_converged(&format!("{traffic:?}")).await;
    }
}

#[tokio::test]
async fn slow_planner_connection_delays_work_and_causes_no_wrong_action() {
    let mut scene = Scene::new().await;
    let delay = Duration::from_millis(500);
    for faults in [
        ConnectionFaults {
            delay,
            ..ConnectionFaults::default()
        },
        ConnectionFaults {
            bytes_per_second: Some(4000),
            ..ConnectionFaults::default()
        },
    ] {
        scene.planner_line.set_faults(faults);
        // The full sync must also pass over the bad connection.
        scene.planner_line.cut();
        scene.add_work().await;
        scene.wait_converged(&format!("{faults:?}")).await;
    }
}

#[tokio::test]
async fn silent_planner_connection_is_dropped() {
    let mut scene = Scene::new().await;
    let losses = scene.metric("planner_losses_total").await;
    scene.planner_line.set_traffic(Traffic::Stalled);
    scene.add_work().await;
    scene.wait_metric_above("planner_losses_total", losses).await;
    scene.check_pods_untouched().await;
    scene.planner_line.set_traffic(Traffic::Normal);
    scene.wait_converged("silence").await;
}

#[tokio::test]
async fn half_open_connections_are_dropped_and_reestablished() {
    let mut scene = Scene::new().await;
    let losses = scene.metric("planner_losses_total").await;
    let errors = scene.metric("watch_errors_total").await;
    scene.planner_line.leave_half_open();
    scene.api_line.leave_half_open();
    scene.add_work().await;
    // Only pings can detect a half-open connection.
    scene.wait_metric_above("planner_losses_total", losses).await;
    scene.wait_metric_above("watch_errors_total", errors).await;
    scene.wait_converged("half-open connections").await;
}
