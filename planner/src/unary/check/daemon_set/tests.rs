use serde_json::{Value, json};

use super::*;

/// Each problem as `field: message`, of a `DaemonSet` with this spec. The spec is added to a valid one.
fn problems_of(spec: &Value) -> Vec<String> {
    let mut object = json!({
        "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "agent"}]}},
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    let daemon_set: facts::DaemonSet = serde_json::from_value(object.clone()).unwrap();
    let checked: CheckedDaemonSet = serde_json::from_value(object).unwrap();
    problems(&daemon_set, &checked)
        .into_iter()
        .map(|Problem { field, message, .. }| format!("{field}: {message}"))
        .collect()
}

#[track_caller]
fn check(spec: &Value, expected: &[&str]) {
    assert_eq!(problems_of(spec), expected, "{spec}");
}

fn rolling(max_unavailable: &Value, max_surge: &Value) -> Value {
    let rolling = json!({"maxUnavailable": max_unavailable, "maxSurge": max_surge});
    json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}})
}

#[test]
fn valid_daemon_set_has_no_problems() {
    check(&json!({}), &[]);
    check(&json!({"updateStrategy": null, "revisionHistoryLimit": 0}), &[]);
    check(&json!({"updateStrategy": {"type": "OnDelete"}}), &[]);
    check(&json!({"updateStrategy": {"rollingUpdate": {}}}), &[]);
    check(&rolling(&json!(1), &json!(0)), &[]);
    check(&rolling(&json!("100%"), &Value::Null), &[]);
    check(&rolling(&json!(0), &json!("10%")), &[]);
    check(&rolling(&json!("0%"), &json!(3)), &[]);
}

#[test]
fn selector_must_match_the_labels_of_the_template() {
    let refused = "spec.selector: doesn't match the template, so the API server refuses the DaemonSet; \
                   spec.template.metadata.labels must meet";
    check(
        &json!({"selector": {"matchLabels": {"app": "agent", "name": "agent"}}}),
        &[&format!("{refused} name=agent")],
    );
    check(
        &json!({"selector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["agent"]}]}}),
        &[&format!("{refused} app NotIn [agent]")],
    );
    let many: serde_json::Map<_, _> = (0..9).map(|number| (format!("k{number}"), json!("v"))).collect();
    check(
        &json!({"selector": {"matchLabels": many}}),
        &[&format!("{refused} k0=v, k1=v, k2=v, k3=v, k4=v and 4 more")],
    );
    // The placement reports these.
    check(&json!({"selector": null}), &[]);
    check(&json!({"selector": {}}), &[]);
}

#[test]
fn selector_and_labels_must_be_valid() {
    check(
        &json!({"selector": {"matchExpressions": [{"key": "app", "operator": "exists"}]}}),
        &[
            "spec.selector.matchExpressions[0].operator: must be one of In, NotIn, Exists, DoesNotExist; did you mean \
           Exists?",
        ],
    );
    let labels = json!({"app": "agent", "a/b/c": "1"});
    let message = "\"a/b/c\" is not a valid label key: it has more than one slash; did you mean a.b/c?";
    check(
        &json!({
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{}]}},
        }),
        &[
            &format!("spec.selector.matchLabels: {message}"),
            &format!("spec.template.metadata.labels: {message}"),
        ],
    );
}

#[test]
fn template_must_have_labels_and_containers() {
    for template in [Value::Null, json!({}), json!({"spec": {"containers": []}})] {
        check(
            &json!({"template": template}),
            &[
                "spec.selector: doesn't match the template, so the API server refuses the DaemonSet; \
                 spec.template.metadata.labels must meet app=agent",
                "spec.template.spec.containers: must have at least one container",
            ],
        );
    }
}

#[test]
fn keys_and_values_of_expressions_must_be_valid() {
    let message = "\"a b\" is not a valid label value: it must consist of letters, digits, '-', '_' and '.', with a \
                   letter or digit at both ends";
    check(
        &json!({"selector": {"matchExpressions": [
            {"key": "app", "operator": "In", "values": ["agent", "a b"]},
        ]}}),
        &[&format!("spec.selector.matchExpressions[0].values[1]: {message}")],
    );
    check(
        &json!({"selector": {"matchExpressions": [{"key": "a/b/c", "operator": "DoesNotExist"}]}}),
        &[
            "spec.selector.matchExpressions[0].key: \"a/b/c\" is not a valid label key: it has more than one slash; did \
             you mean a.b/c?",
        ],
    );
}

#[test]
fn many_problems_are_cut() {
    let labels: serde_json::Map<_, _> = (0..1_000)
        .map(|number| (format!("k{number}"), json!("a b")))
        .collect();
    let found = problems_of(&json!({"selector": {"matchLabels": labels}}));
    assert_eq!(found.len(), MAX_SHOWN + 1);
}

#[test]
fn update_strategy_must_be_one_of_daemon_sets() {
    for (kind, hint) in [
        ("Recreate", "it must be RollingUpdate or OnDelete"),
        ("rollingUpdate", "did you mean RollingUpdate?"),
        ("onDelete", "did you mean OnDelete?"),
    ] {
        let message = format!(
            "spec.updateStrategy.type: {kind:?} is not an update strategy of DaemonSets, so RollingUpdate is assumed; {hint}"
        );
        check(&json!({"updateStrategy": {"type": kind}}), &[&message]);
    }
}

#[test]
fn exactly_one_budget_of_a_rolling_update_may_be_zero() {
    let field = "spec.updateStrategy.rollingUpdate";
    check(
        &rolling(&json!(0), &json!(0)),
        &[&format!(
            "{field}.maxUnavailable: must not be 0 while maxSurge is 0; it counts as 1"
        )],
    );
    check(
        &rolling(&json!("0%"), &Value::Null),
        &[&format!(
            "{field}.maxUnavailable: must not be 0 while maxSurge is 0; it counts as 1"
        )],
    );
    check(
        &rolling(&json!(1), &json!(1)),
        &[&format!("{field}.maxSurge: must be 0 unless maxUnavailable is 0")],
    );
    check(
        &rolling(&Value::Null, &json!("20%")),
        &[&format!(
            "{field}.maxSurge: must be 0 unless maxUnavailable is 0, which is 1 by default; set maxUnavailable: 0"
        )],
    );
}

#[test]
fn budgets_must_be_between_zero_and_all_pods() {
    let field = "spec.updateStrategy.rollingUpdate";
    check(
        &rolling(&json!(-1), &Value::Null),
        &[&format!(
            "{field}.maxUnavailable: must not be negative, found -1; it counts as 0"
        )],
    );
    check(
        &rolling(&json!(0), &json!("150%")),
        &[&format!(
            "{field}.maxSurge: must not be more than 100%, found 150%"
        )],
    );
    check(
        &rolling(&json!("-5%"), &Value::Null),
        &[&format!(
            "{field}.maxUnavailable: must not be negative, found -5%; it counts as 0"
        )],
    );
    // The conversion to facts reports this.
    check(&rolling(&json!("some"), &json!(1)), &[]);
}

#[test]
fn values_that_suit_no_daemon_are_problems() {
    check(
        &json!({"revisionHistoryLimit": -1}),
        &["spec.revisionHistoryLimit: must not be negative"],
    );
    check(
        &json!({"minReadySeconds": -1}),
        &["spec.minReadySeconds: must not be negative, found -1; it counts as 0"],
    );
    let template = |spec: &Value| {
        let mut spec = spec.clone();
        spec["containers"] = json!([null]);
        json!({"template": {"metadata": {"labels": {"app": "agent"}}, "spec": spec}})
    };
    check(
        &template(&json!({"restartPolicy": "Never", "activeDeadlineSeconds": 60})),
        &[
            "spec.template.spec.restartPolicy: must be Always, found \"Never\"; daemon pods always restart",
            "spec.template.spec.activeDeadlineSeconds: must not be set, because daemon pods have no deadline",
        ],
    );
    check(&template(&json!({"restartPolicy": "Always"})), &[]);
    let tolerations = json!([
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
        {"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 60},
        {"key": "a", "operator": "Exists", "tolerationSeconds": null},
    ]);
    check(
        &template(&json!({"tolerations": tolerations})),
        &["spec.template.spec.tolerations[1].effect: must be NoExecute if tolerationSeconds is set"],
    );
}
