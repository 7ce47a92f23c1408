//! Tests of `Explain`.

use everynode_proto::planner::v1::{
    ExplainRequest, FailedRequirement, NodeVerdict, ReasonCode, Taint, Toleration, UntoleratedTaint, Verdict,
    VerdictSummary, reason::Detail,
};
use serde_json::{Value, json};

use super::{
    Server,
    objects::{daemon_set, list, node, raw_struct},
    soon,
};

pub(crate) fn explain_request(daemon_sets: &[Value], nodes: &[Value]) -> ExplainRequest {
    ExplainRequest {
        daemon_sets: daemon_sets.iter().map(raw_struct).collect(),
        nodes: nodes.iter().map(raw_struct).collect(),
        ..ExplainRequest::default()
    }
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
async fn reason_has_a_typed_requirement_and_the_actual_value() {
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
    assert_eq!(problems, [("the 2nd DaemonSet", "metadata.name")]);
}

pub(crate) fn verdicts(verdicts: &[NodeVerdict]) -> Vec<(&str, &str, Verdict)> {
    let pair = |verdict| -> (&str, &str, Verdict) {
        let verdict: &NodeVerdict = verdict;
        (&verdict.daemon_set, &verdict.node, verdict.verdict())
    };
    verdicts.iter().map(pair).collect()
}
