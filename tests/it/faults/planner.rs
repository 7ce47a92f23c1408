//! Faults of the connection to the planner, and of both connections at once.

use std::time::Duration;

use everynode_tests::proxy::{ConnectionFaults, Traffic};

use super::Scene;

#[tokio::test]
async fn a_line_to_the_planner_that_is_cut_garbled_or_refused_costs_no_pod() {
    let mut scene = Scene::new().await;
    scene.work().await;
    scene.planner_line.cut();
    scene.is_whole("a cut").await;

    for traffic in [Traffic::Corrupted, Traffic::Refused] {
        scene.has_session().await;
        let losses = scene.count("planner_losses_total").await;
        scene.planner_line.set_traffic(traffic);
        if traffic == Traffic::Refused {
            scene.planner_line.cut();
        }
        scene.work().await;
        scene.counts("planner_losses_total", losses).await;
        scene.nothing_was_touched().await;
        scene.planner_line.set_traffic(Traffic::Normal);
        scene.is_whole(&format!("{traffic:?}")).await;
    }
}

#[tokio::test]
async fn a_line_to_the_planner_that_is_slow_or_narrow_makes_things_late_and_not_wrong() {
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
        scene.work().await;
        scene.is_whole(&format!("{faults:?}")).await;
    }
}

#[tokio::test]
async fn a_line_to_the_planner_that_falls_silent_is_given_up() {
    let mut scene = Scene::new().await;
    let losses = scene.count("planner_losses_total").await;
    scene.planner_line.set_traffic(Traffic::Stalled);
    scene.work().await;
    scene.counts("planner_losses_total", losses).await;
    scene.nothing_was_touched().await;
    scene.planner_line.set_traffic(Traffic::Normal);
    scene.is_whole("silence").await;
}

#[tokio::test]
async fn half_open_lines_to_the_planner_and_to_the_api_server_are_given_up_and_made_anew() {
    let mut scene = Scene::new().await;
    let losses = scene.count("planner_losses_total").await;
    let errors = scene.count("watch_errors_total").await;
    scene.planner_line.leave_half_open();
    scene.api_line.leave_half_open();
    scene.work().await;
    // Only pings can detect a half-open connection.
    scene.counts("planner_losses_total", losses).await;
    scene.counts("watch_errors_total", errors).await;
    scene.is_whole("half-open lines").await;
}
