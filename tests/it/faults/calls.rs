//! Faults in calls to the API server.

use everynode_tests::proxy::{Call, Fault, Traffic};
use http::Method;

use super::Scene;

fn creates_a_pod(call: &Call) -> bool {
    call.method == Method::POST && call.resource == "pods"
}

fn deletes_a_pod(call: &Call) -> bool {
    call.method == Method::DELETE && call.resource == "pods"
}

fn writes_a_status(call: &Call) -> bool {
    call.method == Method::PATCH && call.resource == "daemonsets"
}

/// Responses of an overloaded API server, or of a proxy in front of it.
const FAULTS: [Fault; 4] = [
    Fault::Refused {
        code: 429,
        retry_after: Some(1),
    },
    Fault::Refused {
        code: 500,
        retry_after: None,
    },
    Fault::Refused {
        code: 503,
        retry_after: Some(1),
    },
    Fault::Torn,
];

#[tokio::test]
async fn creations_that_the_api_server_is_too_busy_for_or_whose_answers_are_torn_are_made_once() {
    let mut scene = Scene::new().await;
    for fault in FAULTS {
        scene.gateway.fail(creates_a_pod, fault, 2);
        scene.gateway.fail(writes_a_status, fault, 1);
        scene.work().await;
        scene.is_whole(&format!("{fault:?}")).await;
        scene.all_befell(&format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn a_rollout_goes_on_through_failing_deletions_and_keeps_to_one_pod_a_node() {
    let mut scene = Scene::new().await;
    for (version, fault) in (2..).zip(FAULTS) {
        scene.gateway.fail(deletes_a_pod, fault, 2);
        scene.new_template(version).await;
        scene.is_whole(&format!("{fault:?}")).await;
        scene.all_befell(&format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn a_creation_that_is_never_answered_is_found_to_have_been_made() {
    let mut scene = Scene::new().await;
    scene.gateway.fail(creates_a_pod, Fault::Unanswered, 1);
    scene.gateway.fail(writes_a_status, Fault::Ignored, 1);
    scene.work().await;
    scene.all_befell("silence").await;
    scene.is_whole("silence").await;
}

#[tokio::test]
async fn a_line_to_the_api_server_that_is_cut_garbled_or_refused_is_made_anew() {
    let mut scene = Scene::new().await;
    scene.work().await;
    scene.api_line.cut();
    scene.is_whole("a cut").await;

    for traffic in [Traffic::Noise, Traffic::Refused] {
        let errors = scene.count("watch_errors_total").await;
        scene.api_line.set_traffic(traffic);
        if traffic == Traffic::Refused {
            scene.api_line.cut();
        }
        scene.work().await;
        scene.counts("watch_errors_total", errors).await;
        scene.nothing_was_touched().await;
        scene.api_line.set_traffic(Traffic::Flows);
        scene.is_whole(&format!("{traffic:?}")).await;
    }
}
