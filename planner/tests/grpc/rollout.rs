//! Tests of `SimulateRollout`, called as a pipeline calls it before it applies a policy.

use everynode_proto::planner::v1::{
    SimulateRolloutRequest, SimulateRolloutResponse, SimulatedEvent, SimulatedOutcome,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{
    Server,
    objects::{daemon_set, list, node, raw_struct},
    soon, violation,
};

async fn simulate(request: SimulateRolloutRequest) -> Result<SimulateRolloutResponse, Status> {
    let server = Server::start().await;
    let mut client = server.client().await;
    soon(client.simulate_rollout(request))
        .await
        .map(tonic::Response::into_inner)
}

/// A policy with a canary for the `DaemonSet` with this name.
fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "everynode.io/v1alpha1",
        "kind": "DaemonSetRolloutPolicy",
        "metadata": {"name": "steps", "namespace": "monitoring"},
        "spec": {
            "targetRefs": [{"name": name}],
            "stages": [{"name": "canary", "nodes": 1, "soak": "10m"}],
        },
    })
}

fn request() -> SimulateRolloutRequest {
    let nodes = (0..6).map(|number| node(&format!("node-{number}"), &json!([])));
    SimulateRolloutRequest {
        daemon_set: Some(raw_struct(&daemon_set("agent"))),
        policies: vec![raw_struct(&policy("agent"))],
        nodes: vec![raw_struct(&list(nodes))],
        ..SimulateRolloutRequest::default()
    }
}

#[tokio::test]
async fn canary_is_updated_before_all_other_nodes() {
    let answer = simulate(request()).await.unwrap();
    assert_eq!(
        (answer.daemon_set.as_str(), answer.policy.as_str()),
        ("monitoring/agent", "DaemonSetRolloutPolicy monitoring/steps")
    );
    assert_eq!(answer.outcome(), SimulatedOutcome::Completed);
    assert_eq!((answer.desired, answer.updated), (6, 6));
    let steps: Vec<_> = answer
        .steps
        .iter()
        .map(|step| (step.stage.as_str(), step.event(), step.updated))
        .collect();
    assert_eq!(
        steps,
        [
            ("canary", SimulatedEvent::Opened, 0),
            ("canary", SimulatedEvent::Updated, 1),
            ("canary", SimulatedEvent::Done, 1),
            ("", SimulatedEvent::Opened, 1),
            ("", SimulatedEvent::Completed, 6),
        ]
    );
}

#[tokio::test]
async fn required_objects_of_a_simulation_are_named() {
    for (request, field) in [
        (
            SimulateRolloutRequest {
                policies: Vec::new(),
                ..request()
            },
            "policies",
        ),
        (
            SimulateRolloutRequest {
                nodes: Vec::new(),
                ..request()
            },
            "nodes",
        ),
    ] {
        let status = simulate(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert_eq!(violation(&status), field);
    }
}

#[tokio::test]
async fn simulation_needs_a_policy_that_applies() {
    let request = SimulateRolloutRequest {
        policies: vec![raw_struct(&policy("other"))],
        ..request()
    };
    let status = simulate(request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
}
