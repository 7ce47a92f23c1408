//! `RuntimeClass`es keep pods pending, but change no verdict.

use everynode_proto::planner::v1::{Reason, ReasonCode, Unbound, Verdict};
use serde_json::{Value, json};

use super::objects::{daemon_set, explained, fields, node, simulated, verdicts};

fn kata(spec: &Value) -> Value {
    let mut object = daemon_set("kata", spec);
    object["spec"]["template"]["spec"]["runtimeClassName"] = json!("kata");
    object
}

fn class(scheduling: &Value) -> Value {
    json!({"kind": "RuntimeClass", "metadata": {"name": "kata"}, "handler": "kata", "scheduling": scheduling})
}

fn nodes() -> [Value; 3] {
    [
        node("bare", &json!({"runtime": "kata"}), &json!([])),
        node("plain", &json!({}), &json!([])),
        node(
            "tainted",
            &json!({"runtime": "kata"}),
            &json!([{"key": "kata", "value": "yes", "effect": "NoSchedule"}]),
        ),
    ]
}

#[test]
fn explain_says_where_a_pod_stays_pending() {
    let scheduling = json!({
        "nodeSelector": {"runtime": "kata"},
        "tolerations": [{"key": "kata", "operator": "Exists"}],
    });
    let answer = explained(&[kata(&json!({}))], &nodes(), &[class(&scheduling)]);
    assert_eq!(verdicts(&answer), [Verdict::Run, Verdict::Run, Verdict::Keep]);
    let codes: Vec<Vec<_>> = answer
        .verdicts
        .iter()
        .map(|verdict| verdict.reasons.iter().map(Reason::code).collect())
        .collect();
    let (fits, pending) = (ReasonCode::Fits, ReasonCode::RuntimeClass);
    assert_eq!(
        codes,
        [
            vec![fits],
            vec![fits, pending],
            vec![ReasonCode::UntoleratedTaint]
        ]
    );
    assert_eq!(
        answer.verdicts[1].reasons[1].message,
        "the pod stays pending: its RuntimeClass kata wants runtime=kata, the node has no label runtime"
    );
    assert!(
        answer.verdicts[2].reasons[0]
            .message
            .contains("the RuntimeClass kata tolerates it")
    );
    let reasons = answer.summaries[0].reasons.iter();
    let counted: Vec<_> = reasons
        .map(|reason| (reason.condition.as_str(), reason.verdict(), reason.nodes))
        .collect();
    assert_eq!(
        counted,
        [
            ("RuntimeClass kata: runtime=kata", Verdict::Run, 1),
            ("taint kata=yes:NoSchedule", Verdict::Keep, 1),
        ]
    );
    assert_eq!(answer.problems, []);
}

#[test]
fn explain_without_the_class_stays_as_it_is() {
    let answer = explained(&[kata(&json!({}))], &nodes(), &[]);
    assert_eq!(verdicts(&answer), [Verdict::Run, Verdict::Run, Verdict::Keep]);
    assert!(answer.verdicts.iter().all(|verdict| verdict.reasons.len() == 1));
    assert_eq!(answer.problems, []);
}

#[test]
fn simulation_does_not_count_a_pod_that_stays_pending() {
    let set = kata(&json!({"containers": [{"resources": {"requests": {"cpu": "100m"}}}]}));
    let class = class(&json!({"nodeSelector": {"runtime": "kata"}}));
    let answer = simulated(
        std::slice::from_ref(&set),
        &nodes(),
        std::slice::from_ref(&class),
        &[],
    );
    let runs: Vec<_> = answer.nodes.iter().map(|node| node.daemon_sets.len()).collect();
    assert_eq!(runs, [1, 0, 0]);
    assert_eq!(answer.nodes[1].requests, [].into());
    let message =
        "the pod stays pending: its RuntimeClass kata wants runtime=kata, the node has no label runtime";
    assert_eq!(
        answer.nodes[1].unbound,
        [Unbound {
            daemon_set: "sys/kata".to_owned(),
            runtime_class: "kata".to_owned(),
            message: message.to_owned(),
        }]
    );
    assert_eq!(answer.problems, []);
    let answer = simulated(&[set], &nodes()[1..2], &[class], &["runtime"]);
    assert_eq!(answer.nodes[0].undecided[0].unknown_labels, ["runtime"]);
}

#[test]
fn missing_handler_is_a_problem_and_the_last_class_of_a_name_counts() {
    let without = json!({"kind": "RuntimeClass", "metadata": {"name": "kata"}});
    let full = class(&json!({"nodeSelector": {"runtime": "kata"}}));
    let answer = explained(&[kata(&json!({}))], &nodes(), std::slice::from_ref(&without));
    assert_eq!(fields(&answer.problems), [("runtimeclass kata", "handler")]);
    let answer = explained(&[kata(&json!({}))], &nodes(), &[without, full]);
    assert_eq!(fields(&answer.problems), [("runtimeclass kata", "metadata.name")]);
    assert_eq!(answer.verdicts[1].reasons.len(), 2);
}

#[test]
fn contradictions_and_invalid_fields_are_problems() {
    let set = kata(&json!({"nodeSelector": {"runtime": "runc"}}));
    let class = class(&json!({
        "nodeSelector": {"runtime": "kata", "a/b/c": "1"},
        "tolerations": [{"key": "a", "operator": "exists"}],
        "toleration": [],
    }));
    let answer = explained(&[set], &nodes(), &[class]);
    assert_eq!(
        fields(&answer.problems),
        [
            ("runtimeclass kata", "scheduling.nodeSelector"),
            ("runtimeclass kata", "scheduling.tolerations[0].operator"),
            ("daemonset sys/kata", "spec.template.spec.nodeSelector"),
        ]
    );
}
