//! Faults of the connection to the planner, and of both connections at once.

use std::time::Duration;

use everynode_tests::proxy::{Traffic, Weather};

use super::Scene;

#[tokio::test]
async fn cut_garbled_or_refused_planner_connection_costs_no_pod() {
    let mut scene = Scene::new().await;
    scene.work().await;
    scene.planner_line.cut();
    scene.is_whole("a cut").await;

    for traffic in [Traffic::Noise, Traffic::Refused] {
        scene.has_session().await;
        let losses = scene.count("planner_losses_total").await;
        scene.planner_line.set_traffic(traffic);
        if traffic == Traffic::Refused {
            scene.planner_line.cut();
        }
        scene.work().await;
        scene.counts("planner_losses_total", losses).await;
        scene.nothing_was_touched().await;
        scene.planner_line.set_traffic(Traffic::Flows);
        scene.is_whole(&format!("{traffic:?}")).await;
    }
}

#[tokio::test]
async fn slow_planner_connection_delays_work_and_causes_no_wrong_action() {
    let mut scene = Scene::new().await;
    let delay = Duration::from_millis(500);
    for weather in [
        Weather {
            delay,
            ..Weather::default()
        },
        Weather {
            bytes_per_second: Some(4000),
            ..Weather::default()
        },
    ] {
        scene.planner_line.set(weather);
        // The full sync must also pass over the bad connection.
        scene.planner_line.cut();
        scene.work().await;
        scene.is_whole(&format!("{weather:?}")).await;
    }
}

#[tokio::test]
async fn silent_planner_connection_is_dropped() {
    let mut scene = Scene::new().await;
    let losses = scene.count("planner_losses_total").await;
    scene.planner_line.set_traffic(Traffic::Silent);
    scene.work().await;
    scene.counts("planner_losses_total", losses).await;
    scene.nothing_was_touched().await;
    scene.planner_line.set_traffic(Traffic::Flows);
    scene.is_whole("silence").await;
}

#[tokio::test]
async fn half_open_connections_are_dropped_and_reestablished() {
    let mut scene = Scene::new().await;
    let losses = scene.count("planner_losses_total").await;
    let errors = scene.count("watch_errors_total").await;
    scene.planner_line.strand();
    scene.api_line.strand();
    scene.work().await;
    // Only pings can detect a half-open connection.
    scene.counts("planner_losses_total", losses).await;
    scene.counts("watch_errors_total", errors).await;
    scene.is_whole("half-open lines").await;
}
