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
async fn refused_or_torn_creations_are_retried_and_create_each_pod_once() {
    let mut scene = Scene::new().await;
    for fault in FAULTS {
        scene.gateway.inject(creates_a_pod, fault, 2);
        scene.gateway.inject(writes_a_status, fault, 1);
        scene.add_work().await;
        scene.wait_converged(&format!("{fault:?}")).await;
        scene.wait_faults_injected(&format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn rollout_completes_despite_failing_deletions_with_one_pod_per_node() {
    let mut scene = Scene::new().await;
    for (version, fault) in (2..).zip(FAULTS) {
        scene.gateway.inject(deletes_a_pod, fault, 2);
        scene.change_template(version).await;
        scene.wait_converged(&format!("{fault:?}")).await;
        scene.wait_faults_injected(&format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn creation_without_a_response_is_found_to_have_succeeded() {
    let mut scene = Scene::new().await;
    scene.gateway.inject(creates_a_pod, CallFault::ResponseLost, 1);
    scene.gateway.inject(writes_a_status, CallFault::Dropped, 1);
    scene.add_work().await;
    scene.wait_faults_injected("silence").await;
    scene.wait_converged("silence").await;
}

#[tokio::test]
async fn cut_garbled_or_refused_api_server_connection_is_reestablished() {
    let mut scene = Scene::new().await;
    scene.add_work().await;
    scene.api_line.cut();
    scene.wait_converged("a cut").await;

    for traffic in [Traffic::Corrupted, Traffic::Refused] {
        let errors = scene.metric("watch_errors_total").await;
        scene.api_line.set_traffic(traffic);
        if traffic == Traffic::Refused {
            scene.api_line.cut();
        }
        scene.add_work().await;
        scene.wait_metric_above("watch_errors_total", errors).await;
        scene.check_pods_untouched().await;
        scene.api_line.set_traffic(Traffic::Normal);
        scene.wait_converged(&format!("{traffic:?}")).await;
    }
}
