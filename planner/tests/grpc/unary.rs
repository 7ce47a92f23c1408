//! Tests of `GetInfo`, and of the input that all calls refuse.

use everynode_proto::planner::v1::{GetInfoRequest, Limits, PlanRequest};
use prost_types::Duration;
use serde_json::json;
use tonic::Code;

use super::{
    Server,
    explain::explain_request,
    objects::{daemon_set, list, node},
    plan::plan_request,
    soon, violation,
};

#[tokio::test]
async fn get_info_reports_capabilities_and_limits() {
    let server = Server::start().await;
    let info = soon(server.client().await.get_info(GetInfoRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert!(!info.rules_version.is_empty());
    assert_eq!(
        info.capabilities,
        ["plan", "explain", "simulate_nodes", "simulate_rollout", "session"]
    );
    let limits = info.limits.unwrap();
    let expected = Limits {
        max_facts_per_request: 1_000,
        max_daemon_sets: 1_000,
        max_nodes: 20_000,
        max_pods: 200_000,
        max_pairs: 100_000,
        max_message_bytes: 64 * 1024 * 1024,
        max_node_templates: 10_000,
        max_concurrent_calls: 16,
        max_sessions: 64,
        call_deadline: Some(Duration {
            seconds: 30,
            nanos: 0,
        }),
        max_request_bytes: 256 * 1024 * 1024,
    };
    assert_eq!(limits, expected);
}

#[tokio::test]
async fn invalid_input_is_refused_and_names_the_field() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let a = node("a", &json!([]));
    let nothing = PlanRequest::default();
    let two = plan_request(&list([daemon_set("a"), daemon_set("b")]), &[], &[]);
    let mut odd = daemon_set("agent");
    odd["spec"]["template"]["spec"]["tolerations"] = json!([{"key": []}]);
    let many = vec![json!({"kind": "Node"}); 20_001];
    let plans = [
        (nothing, Code::InvalidArgument, "daemon_set"),
        (two, Code::InvalidArgument, "daemon_set"),
        (
            plan_request(&a, &[], &[]),
            Code::InvalidArgument,
            "daemon_set.kind",
        ),
        (
            plan_request(&json!({}), &[], &[]),
            Code::InvalidArgument,
            "daemon_set.metadata.name",
        ),
        (
            plan_request(&odd, &[], &[]),
            Code::InvalidArgument,
            "daemon_set.spec.template.spec.tolerations[0].key",
        ),
        (
            plan_request(&daemon_set("agent"), &[list(many.clone())], &[]),
            Code::ResourceExhausted,
            "nodes",
        ),
    ];
    for (request, code, field) in plans {
        let status = soon(client.plan(request)).await.unwrap_err();
        assert_eq!(
            (status.code(), violation(&status).as_str()),
            (code, field),
            "{status}"
        );
    }
    let sets = vec![json!({"kind": "DaemonSet"}); 1_001];
    let explains = [
        (
            explain_request(&[], std::slice::from_ref(&a)),
            Code::InvalidArgument,
            "daemon_sets",
        ),
        (
            explain_request(&[daemon_set("agent")], &[]),
            Code::InvalidArgument,
            "nodes",
        ),
        (
            explain_request(&[list(sets.clone())], &[a]),
            Code::ResourceExhausted,
            "daemon_sets",
        ),
        (
            explain_request(&[daemon_set("agent")], &[list(many)]),
            Code::ResourceExhausted,
            "nodes",
        ),
        (
            explain_request(&[list(sets[..1_000].to_vec())], &vec![json!({}); 101]),
            Code::ResourceExhausted,
            "nodes",
        ),
    ];
    for (request, code, field) in explains {
        let status = soon(client.explain(request)).await.unwrap_err();
        assert_eq!(
            (status.code(), violation(&status).as_str()),
            (code, field),
            "{status}"
        );
    }
}

#[tokio::test]
async fn oversized_answer_is_refused_before_it_is_complete() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let taints: Vec<_> = (0..300)
        .map(|index| json!({"key": format!("taint-{index}"), "effect": "NoExecute"}))
        .collect();
    let nodes: Vec<_> = (0..1_000)
        .map(|index| node(&format!("node-{index}"), &json!(taints)))
        .collect();
    let sets: Vec<_> = (0..100)
        .map(|index| daemon_set(&format!("agent-{index}")))
        .collect();
    let explain = client.explain(explain_request(&sets, &nodes));
    let refused = soon(explain).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("ask for less at once"), "{refused}");
    let few = explain_request(&sets[..1], &nodes[..100]);
    let answer = soon(client.explain(few)).await.unwrap().into_inner();
    assert_eq!(answer.verdicts.len(), 100);
}
