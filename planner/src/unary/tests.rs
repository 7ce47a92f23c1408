//! Calls end when the caller no longer waits for the answer. The modules below test the answers.

mod nulls;
mod objects;
mod plan;
mod problems;
mod rollouts;
mod runtime_classes;

use everynode_proto::{
    facts::RawStruct,
    planner::v1::{ExplainRequest, NodeTemplate, PlanRequest, SimulateNodesRequest, SimulateRolloutRequest},
};
use everynode_serving::serve::{Work, run_in_background};
use prost::Message;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::{Code, Request, Status};

/// Far longer than stopping takes.
const PATIENCE: Duration = Duration::from_mins(1);

fn raw_struct(object: &Value) -> RawStruct {
    object.as_object().unwrap().into()
}

/// A `DaemonSet` that takes long to match against a node, because only the last of its terms matches.
fn daemon_set(terms: usize) -> RawStruct {
    let term =
        |operator: &str, key: String| json!({"matchExpressions": [{"key": key, "operator": operator}]});
    let mut terms: Vec<_> = (0..terms)
        .map(|number| term("Exists", format!("k{number}")))
        .collect();
    terms.push(term("DoesNotExist", "absent".to_owned()));
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    let spec = json!({"affinity": {"nodeAffinity": required}});
    raw_struct(&json!({
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": spec}},
    }))
}

fn nodes(count: usize) -> Vec<RawStruct> {
    let node = |number| raw_struct(&json!({"kind": "Node", "metadata": {"name": format!("node-{number}")}}));
    (0..count).map(node).collect()
}

/// Drops the call just after the work has begun, and checks that the work ends without an answer.
async fn check_stops<Q: Send + 'static, A: Message + 'static>(
    request: Q,
    answer: impl FnOnce(Q, &Work) -> Result<A, Status> + Send + 'static,
) {
    let (begin, has_begun) = oneshot::channel();
    let (end, has_ended) = oneshot::channel();
    let call = tokio::spawn(run_in_background(Request::new(request), move |request, work| {
        begin.send(()).unwrap();
        let answer = answer(request, work);
        end.send(answer.as_ref().map(|_| ()).map_err(Status::code))
            .unwrap();
        answer
    }));
    has_begun.await.unwrap();
    call.abort();
    let ended = tokio::time::timeout(PATIENCE, has_ended).await;
    let ended = ended
        .expect("the work should end when its caller is gone")
        .unwrap();
    assert_eq!(ended, Err(Code::Cancelled));
}

#[tokio::test]
async fn explain_stops_when_its_caller_disconnects() {
    let request = ExplainRequest {
        daemon_sets: vec![daemon_set(5_000)],
        nodes: nodes(20_000),
        ..ExplainRequest::default()
    };
    check_stops(request, super::explain).await;
}

#[tokio::test]
async fn plan_stops_when_its_caller_disconnects() {
    let request = PlanRequest {
        daemon_set: Some(daemon_set(5_000)),
        nodes: nodes(20_000),
        ..PlanRequest::default()
    };
    check_stops(request, super::plan).await;
}

#[tokio::test]
async fn simulate_nodes_stops_when_its_caller_disconnects() {
    let template = |number| NodeTemplate {
        name: format!("template-{number}"),
        ..NodeTemplate::default()
    };
    let request = SimulateNodesRequest {
        daemon_sets: vec![daemon_set(5_000); 2],
        node_templates: (0..10_000).map(template).collect(),
        ..SimulateNodesRequest::default()
    };
    check_stops(request, super::simulate_nodes).await;
}

#[tokio::test]
async fn simulate_rollout_stops_when_its_caller_disconnects() {
    let policy = json!({
        "kind": "DaemonSetRolloutPolicy",
        "metadata": {"name": "policy"},
        "spec": {"targetRefs": [{"name": "agent"}]},
    });
    let request = SimulateRolloutRequest {
        daemon_set: Some(daemon_set(5_000)),
        policies: vec![raw_struct(&policy)],
        nodes: nodes(20_000),
        ..SimulateRolloutRequest::default()
    };
    check_stops(request, super::simulate_rollout).await;
}
