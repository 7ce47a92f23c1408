//! Faults in calls to the API server.

use everynode_tests::proxy::{Call, CallFault, Traffic};
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
const FAULTS: [CallFault; 4] = [
    CallFault::Refused {
        code: 429,
        retry_after: Some(1),
    },
    CallFault::Refused {
        code: 500,
        retry_after: None,
    },
    CallFault::Refused {
        code: 503,
        retry_after: Some(1),
    },
    CallFault::Truncated,
];

#[tokio::test]
async fn creations_that_the_api_server_is_too_busy_for_or_whose_answers_are_torn_are_made_once() {
    let mut scene = Scene::new().await;
    for fault in FAULTS {
        scene.gateway.inject(creates_a_pod, fault, 2);
        scene.gateway.inject(writes_a_status, fault, 1);
        scene.work().await;
        scene.is_whole(&format!("{fault:?}")).await;
        scene.all_befell(&format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn a_rollout_goes_on_through_failing_deletions_and_keeps_to_one_pod_a_node() {
    let mut scene = Scene::new().await;
    for (version, fault) in (2..).zip(FAULTS) {
        scene.gateway.inject(deletes_a_pod, fault, 2);
        scene.new_template(version).await;
        scene.is_whole(&format!("{fault:?}")).await;
        scene.all_befell(&format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn a_creation_that_is_never_answered_is_found_to_have_been_made() {
    let mut scene = Scene::new().await;
    scene.gateway.inject(creates_a_pod, CallFault::ResponseLost, 1);
    scene.gateway.inject(writes_a_status, CallFault::Dropped, 1);
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

    for traffic in [Traffic::Corrupted, Traffic::Refused] {
        let errors = scene.count("watch_errors_total").await;
        scene.api_line.set_traffic(traffic);
        if traffic == Traffic::Refused {
            scene.api_line.cut();
        }
        scene.work().await;
        scene.counts("watch_errors_total", errors).await;
        scene.nothing_was_touched().await;
        scene.api_line.set_traffic(Traffic::Normal);
        scene.is_whole(&format!("{traffic:?}")).await;
    }
}
