use everynode_proto::planner::v1::{
    Action, DaemonSetStatus, ExplainRequest, FailedRequirement, GetInfoRequest, Limits, NodeVerdict,
    PlanRequest, PlanResponse, ProblemCode, ReasonCode, Taint, Toleration, UntoleratedTaint, Verdict,
    VerdictSummary, action, reason::Detail,
};
use prost_types::{Duration, Timestamp};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    Server,
    objects::{daemon_set, list, node, pod, unread},
    soon, violation,
};

fn plan_request(daemon_set: &Value, nodes: &[Value], pods: &[Value]) -> PlanRequest {
    PlanRequest {
        daemon_set: Some(unread(daemon_set)),
        nodes: nodes.iter().map(unread).collect(),
        pods: pods.iter().map(unread).collect(),
        update_revision: None,
        now: None,
    }
}

fn explain_request(daemon_sets: &[Value], nodes: &[Value]) -> ExplainRequest {
    ExplainRequest {
        daemon_sets: daemon_sets.iter().map(unread).collect(),
        nodes: nodes.iter().map(unread).collect(),
    }
}

async fn plan(request: PlanRequest) -> PlanResponse {
    let server = Server::start().await;
    let mut client = server.client().await;
    soon(client.plan(request)).await.unwrap().into_inner()
}

fn brief(actions: &[Action]) -> Vec<String> {
    let text = |action: &Action| match action.action.as_ref().unwrap() {
        action::Action::Create(create) => format!("create {} after {:?}", create.node, create.succeeds_uid),
        action::Action::Delete(delete) => format!("delete {}: {}", delete.pod, delete.reason().as_str_name()),
    };
    actions.iter().map(text).collect()
}

fn verdicts(verdicts: &[NodeVerdict]) -> Vec<(&str, &str, Verdict)> {
    let pair = |verdict| -> (&str, &str, Verdict) {
        let verdict: &NodeVerdict = verdict;
        (&verdict.daemon_set, &verdict.node, verdict.verdict())
    };
    verdicts.iter().map(pair).collect()
}

#[tokio::test]
async fn get_info_says_what_this_planner_can_do_and_how_much_it_takes() {
    let server = Server::start().await;
    let info = soon(server.client().await.get_info(GetInfoRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert!(!info.rules_version.is_empty());
    assert_eq!(
        info.capabilities,
        ["plan", "explain", "simulate_nodes", "session"]
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
async fn plan_decides_from_what_kubectl_prints() {
    let cordoned = json!([{"effect": "NoSchedule", "key": "node.kubernetes.io/unschedulable", "timeAdded": "2026-01-02T03:04:05Z"}]);
    let reserved = json!([{"effect": "NoExecute", "key": "reserved", "value": "gpu"}]);
    let nodes = list([
        node("d", &reserved),
        node("c", &cordoned),
        node("b", &Value::Null),
        node("a", &json!([])),
    ]);
    let pods = list([
        pod("agent", "agent-b", "b", "1", "2026-01-02T03:06:00Z"),
        pod("agent", "agent-c", "c", "2", "2026-01-02T04:00:00Z"),
        pod("agent", "agent-d", "d", "1", "2026-01-02T03:06:00Z"),
        pod("other", "other-a", "a", "1", "2026-01-02T03:06:00Z"),
    ]);
    let response = plan(plan_request(&daemon_set("agent"), &[nodes], &[pods])).await;
    assert_eq!(response.problems, []);
    // Half of three, rounded up, may be unavailable: a has none, and c was ready for no time at the latest time that is
    // mentioned, so that budget is spent.
    let expected = ["create a after \"\"", "delete agent-d: DELETE_REASON_EXCLUDED"];
    assert_eq!(brief(&response.actions), expected);
    assert!(response.actions.iter().all(|action| action.id == 0));
    let status = DaemonSetStatus {
        observed_generation: 2,
        desired_number_scheduled: 3,
        current_number_scheduled: 2,
        number_misscheduled: 1,
        number_ready: 2,
        updated_number_scheduled: 1,
        number_available: 1,
        number_unavailable: 2,
    };
    assert_eq!(response.status, Some(status));
    assert_eq!(
        response.reconsider_after,
        Some(Duration {
            seconds: 30,
            nanos: 0
        })
    );
    assert_eq!(
        verdicts(&response.verdicts),
        [
            ("monitoring/agent", "a", Verdict::Run),
            ("monitoring/agent", "b", Verdict::Run),
            ("monitoring/agent", "c", Verdict::Run),
            ("monitoring/agent", "d", Verdict::Exclude),
        ]
    );
}

#[tokio::test]
async fn plan_takes_the_time_and_the_revision_of_the_request() {
    let nodes = [node("a", &json!([])), node("b", &json!([]))];
    let pods = [
        pod("agent", "agent-a", "a", "2", "2026-01-02T04:00:00Z"),
        pod("agent", "agent-b", "b", "1", "2026-01-02T03:06:00Z"),
    ];
    let mut request = plan_request(&daemon_set("agent"), &nodes, &pods);
    request.now = Some(Timestamp {
        seconds: 1_767_326_400 + 60,
        nanos: 0,
    });
    let response = plan(request.clone()).await;
    assert_eq!(brief(&response.actions), ["delete agent-b: DELETE_REASON_UPDATE"]);
    assert_eq!(
        (
            response.status.unwrap().number_available,
            response.reconsider_after
        ),
        (2, None)
    );

    request.daemon_set = Some(unread(&{
        let mut bare = daemon_set("agent");
        bare["metadata"]["annotations"] = Value::Null;
        bare
    }));
    let response = plan(request.clone()).await;
    assert_eq!(brief(&response.actions), Vec::<String>::new());
    assert_eq!(
        response.problems[0].code(),
        ProblemCode::UnknownRevision,
        "all pods count as current"
    );
    request.update_revision = Some("hash-1".to_owned());
    let response = plan(request).await;
    assert_eq!(brief(&response.actions), ["delete agent-a: DELETE_REASON_UPDATE"]);
}

#[tokio::test]
async fn plan_says_what_it_passes_over() {
    let mut odd_pod = pod("agent", "agent-a", "a", "2", "2026-01-02T03:06:00Z");
    odd_pod["status"]["conditions"] = json!("ready");
    let mut nameless = pod("agent", "agent-b", "a", "2", "2026-01-02T03:06:00Z");
    nameless["metadata"]["uid"] = json!("");
    let mut odd_node = node("z", &json!([]));
    odd_node["spec"]["taints"] = json!([{"key": "a", "effect": "NoSchedule"}, {"key": 7}]);
    let nodes = [
        node("a", &json!([])),
        odd_node,
        node("", &json!([])),
        json!({"kind": "Service"}),
    ];
    let mut set = daemon_set("agent");
    set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = json!("some");
    let response = plan(plan_request(&set, &nodes, &[odd_pod, nameless])).await;
    let mut found: Vec<_> = response
        .problems
        .iter()
        .map(|problem| (problem.object.as_str(), problem.field.as_str()))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (
                "daemonset monitoring/agent",
                "spec.updateStrategy.rollingUpdate.maxUnavailable"
            ),
            ("node #2", "metadata.name"),
            ("node #3", "kind"),
            ("node z", "spec.taints[1].key"),
            ("pod monitoring/agent-a", "status.conditions"),
            ("pod monitoring/agent-b", "metadata.uid"),
        ]
    );
    assert_eq!(brief(&response.actions), ["create a after \"\""]);
}

#[tokio::test]
async fn a4_a_daemon_set_that_is_being_deleted_gets_no_plan() {
    let mut deleted = daemon_set("agent");
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-02T05:00:00Z");
    let response = plan(plan_request(&deleted, &[node("a", &json!([]))], &[])).await;
    assert_eq!(
        (response.actions.len(), response.status, response.verdicts.len()),
        (0, None, 1)
    );
}

#[tokio::test]
async fn p6_a_daemon_set_that_selects_everything_gets_no_plan() {
    let mut all = daemon_set("agent");
    all["spec"]["selector"] = json!({});
    let response = plan(plan_request(&all, &[node("a", &json!([]))], &[])).await;
    assert_eq!((response.actions.len(), response.status), (0, None));
    assert_eq!(response.problems[0].code(), ProblemCode::SelectsEverything);
    assert_eq!(response.verdicts[0].verdict(), Verdict::Exclude);
}

#[tokio::test]
async fn explain_answers_every_pair_in_order_and_with_every_reason() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let taints =
        json!([{"effect": "NoSchedule", "key": "a"}, {"effect": "NoExecute", "key": "b", "value": "1"}]);
    let mut windows = daemon_set("windows");
    windows["spec"]["template"]["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"});
    let nodes = list([node("z", &taints), node("a", &json!([]))]);
    let request = explain_request(&[daemon_set("agent"), windows], &[nodes]);
    let response = soon(client.explain(request)).await.unwrap().into_inner();
    assert_eq!(
        verdicts(&response.verdicts),
        [
            ("monitoring/agent", "a", Verdict::Run),
            ("monitoring/agent", "z", Verdict::Exclude),
            ("monitoring/windows", "a", Verdict::Exclude),
            ("monitoring/windows", "z", Verdict::Exclude),
        ]
    );
    let codes: Vec<Vec<_>> = response
        .verdicts
        .iter()
        .map(|verdict| {
            verdict
                .reasons
                .iter()
                .map(everynode_proto::planner::v1::Reason::code)
                .collect()
        })
        .collect();
    let taint = ReasonCode::UntoleratedTaint;
    let selector = ReasonCode::NodeSelector;
    assert_eq!(
        codes,
        [
            vec![ReasonCode::Fits],
            vec![taint, taint],
            vec![selector],
            vec![selector, taint, taint]
        ]
    );
    assert_eq!(response.problems, []);
    let counts = response.summaries.iter().map(|summary| {
        let VerdictSummary {
            daemon_set,
            run_nodes,
            keep_nodes,
            exclude_nodes,
            reasons,
        } = summary;
        let conditions: Vec<_> = reasons
            .iter()
            .map(|reason| (reason.condition.as_str(), reason.nodes))
            .collect();
        (
            daemon_set.as_str(),
            [*run_nodes, *keep_nodes, *exclude_nodes],
            conditions,
        )
    });
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [
            (
                "monitoring/agent",
                [1, 0, 1],
                vec![("taint a:NoSchedule", 1), ("taint b=1:NoExecute", 1)]
            ),
            (
                "monitoring/windows",
                [0, 0, 2],
                vec![
                    ("nodeSelector kubernetes.io/os=windows", 2),
                    ("taint a:NoSchedule", 1),
                    ("taint b=1:NoExecute", 1),
                ]
            ),
        ]
    );
}

#[tokio::test]
async fn a_reason_says_for_programs_what_is_wanted_and_what_the_node_has() {
    let server = Server::start().await;
    let mut object = daemon_set("agent");
    object["spec"]["template"]["spec"] = json!({
        "nodeSelector": {"kubernetes.io/os": "windows"},
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]},
        ]}}},
    });
    let tainted = node(
        "n",
        &json!([{"effect": "NoSchedule", "key": "dedicated", "value": "db"}]),
    );
    let request = explain_request(&[object], &[tainted]);
    let response = soon(server.client().await.explain(request))
        .await
        .unwrap()
        .into_inner();
    let details = response.verdicts[0]
        .reasons
        .iter()
        .map(|reason| reason.detail.clone().unwrap());
    let wanted = |term, key: &str, values: &[&str], actual: Option<&str>| {
        Detail::Requirement(FailedRequirement {
            term,
            key: key.to_owned(),
            operator: "In".to_owned(),
            values: values.iter().map(ToString::to_string).collect(),
            actual: actual.map(str::to_owned),
        })
    };
    let text = str::to_owned;
    assert_eq!(
        details.collect::<Vec<_>>(),
        [
            wanted(0, "kubernetes.io/os", &["windows"], Some("linux")),
            wanted(1, "zone", &["a", "b"], None),
            Detail::Taint(UntoleratedTaint {
                taint: Some(Taint {
                    key: text("dedicated"),
                    value: text("db"),
                    effect: text("NoSchedule"),
                }),
                admitted_by: Some(Toleration {
                    key: text("dedicated"),
                    operator: text("Exists"),
                    value: String::new(),
                    effect: text("NoSchedule"),
                }),
            }),
        ]
    );
}

#[tokio::test]
async fn explain_answers_for_a_manifest_that_was_never_applied() {
    let server = Server::start().await;
    let manifest = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "agent", "image": "agent"}]}}
        }
    });
    let request = explain_request(
        &[manifest, json!({"kind": "DaemonSet"})],
        &[node("a", &json!([]))],
    );
    let response = soon(server.client().await.explain(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        verdicts(&response.verdicts),
        [("default/agent", "a", Verdict::Run)]
    );
    let problems: Vec<_> = response
        .problems
        .iter()
        .map(|problem| (problem.object.as_str(), problem.field.as_str()))
        .collect();
    assert_eq!(problems, [("daemonset #1", "metadata.name")]);
}

#[tokio::test]
async fn bad_input_is_refused_and_names_the_field() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let a = node("a", &json!([]));
    let nothing = PlanRequest::default();
    let two = plan_request(&list([daemon_set("a"), daemon_set("b")]), &[], &[]);
    let mut negative = daemon_set("agent");
    negative["spec"]["minReadySeconds"] = json!(-1);
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
            plan_request(&negative, &[], &[]),
            Code::InvalidArgument,
            "daemon_set.spec.minReadySeconds",
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
async fn an_answer_that_would_be_too_large_is_refused_and_not_made_to_its_end() {
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
