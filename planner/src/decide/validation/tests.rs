use super::*;
use crate::testing;

/// Each problem as `field: message`.
fn texts(problems: impl Iterator<Item = Problem>) -> Vec<String> {
    problems
        .map(|Problem { field, message, .. }| format!("{field}: {message}"))
        .collect()
}

#[track_caller]
fn check_node(labels: &[&str], taints: &[&str], expected: &[&str]) {
    assert_eq!(texts(node(&testing::node("n", labels, taints))), expected);
}

#[track_caller]
fn check_toleration(toleration: [&str; 4], expected: &[&str]) {
    let good = testing::toleration(["", "Exists", "", ""]);
    let list = [good, testing::toleration(toleration)];
    assert_eq!(texts(tolerations("t", &list)), expected, "{toleration:?}");
}

#[test]
fn valid_nodes_have_no_problems() {
    check_node(
        &["a=", "example.com/zone=a-1", "node-role.kubernetes.io/worker="],
        &["a=1:NoSchedule", "a:NoExecute", "example.com/b:PreferNoSchedule"],
        &[],
    );
}

#[test]
fn unknown_and_missing_effects_of_taints_are_problems_with_a_suggestion() {
    check_node(
        &[],
        &["a=gpu:NO_SCHEDULE", "b:Noschedule", "c:Never", "d:", ":NoExecute"],
        &[
            "spec.taints[0].effect: \"NO_SCHEDULE\" is not a taint effect, so the taint is ignored; did you mean \
             NoSchedule?",
            "spec.taints[1].effect: \"Noschedule\" is not a taint effect, so the taint is ignored; did you mean \
             NoSchedule?",
            "spec.taints[2].effect: \"Never\" is not a taint effect, so the taint is ignored; it must be NoSchedule, \
             PreferNoSchedule or NoExecute",
            "spec.taints[3].effect: must be NoSchedule, PreferNoSchedule or NoExecute; the taint is ignored",
            "spec.taints[4].key: must not be empty",
        ],
    );
}

#[test]
fn invalid_labels_and_taints_that_occur_twice_are_problems() {
    check_node(
        &["a/b/c=", "ok=a b"],
        &["a:NoSchedule", "a=1:NoSchedule", "x y:NoSchedule"],
        &[
            "metadata.labels: \"a/b/c\" is not a valid label key: it has more than one slash; did you mean a.b/c?",
            "metadata.labels: ok: \"a b\" is not a valid label value: it must consist of letters, digits, '-', '_' and \
             '.', with a letter or digit at both ends",
            "spec.taints[1]: the node has another taint with the key and effect a:NoSchedule",
            "spec.taints[2].key: \"x y\" is not a valid label key: it must consist of letters, digits, '-', '_' and \
             '.', with a letter or digit at both ends",
        ],
    );
    let template = testing::node("n", &[], &["a:no-execute"]);
    assert_eq!(
        texts(node_template(&template)),
        [
            "taints[0].effect: \"no-execute\" is not a taint effect, so the taint is ignored; did you mean NoExecute?"
        ]
    );
}

#[test]
fn operators_of_tolerations_must_be_known() {
    for operator in ["", "Equal"] {
        check_toleration(["a", operator, "1", "NoSchedule"], &[]);
    }
    check_toleration(["a", "Exists", "", ""], &[]);
    check_toleration(
        ["a", "exists", "", ""],
        &[
            "t[1].operator: \"exists\" is not an operator of tolerations, so the toleration tolerates nothing; did you mean \
           Exists?",
        ],
    );
    check_toleration(
        ["a", "In", "1", ""],
        &[
            "t[1].operator: \"In\" is not an operator of tolerations, so the toleration tolerates nothing; it must be Equal \
           or Exists",
        ],
    );
    check_toleration(
        ["a", "Gt", "900", "NoSchedule"],
        &[
            "t[1].operator: this planner doesn't know the operator Gt of the feature gate \
           TaintTolerationComparisonOperators, so the toleration tolerates nothing",
        ],
    );
}

#[test]
fn key_value_and_effect_of_tolerations_must_suit_the_operator() {
    for operator in ["", "Equal"] {
        check_toleration(
            ["", operator, "1", ""],
            &["t[1].operator: must be Exists if there is no key; {operator: Exists} tolerates every taint"],
        );
    }
    check_toleration(
        ["a", "Exists", "1", ""],
        &["t[1].value: must be empty for operator Exists, which tolerates every value"],
    );
    check_toleration(
        ["a/b/c", "Equal", "a b", "NO_EXECUTE"],
        &[
            "t[1].key: \"a/b/c\" is not a valid label key: it has more than one slash; did you mean a.b/c?",
            "t[1].value: \"a b\" is not a valid label value: it must consist of letters, digits, '-', '_' and '.', with a \
             letter or digit at both ends",
            "t[1].effect: \"NO_EXECUTE\" is not a taint effect, so the toleration tolerates nothing; did you mean \
             NoExecute?",
        ],
    );
}

#[test]
fn invalid_names_are_problems_with_a_suggestion() {
    let parts = "it must consist of lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each \
                 part";
    let letters = "it must consist of at most 63 lower-case letters, digits and '-', with a letter or digit at both ends";
    let long = "a".repeat(64);
    for (text, kind, message) in [
        ("ip-10-0-1-7.internal", NameKind::Subdomain, None),
        ("123", NameKind::Label, None),
        ("", NameKind::Label, None),
        (long.as_str(), NameKind::Subdomain, None),
        (
            "Node_1",
            NameKind::Subdomain,
            Some(format!(
                "\"Node_1\" is not a valid name: {parts}; did you mean node-1?"
            )),
        ),
        (
            "a..b",
            NameKind::Subdomain,
            Some(format!("\"a..b\" is not a valid name: {parts}")),
        ),
        (
            "a.b",
            NameKind::Label,
            Some(format!("\"a.b\" is not a valid name: {letters}")),
        ),
        (
            long.as_str(),
            NameKind::Label,
            Some(format!("{long:?} is not a valid name: {letters}")),
        ),
        (
            "{{ .Release.Name }}-a",
            NameKind::Subdomain,
            Some(format!(
                "\"{{{{ .Release.Name }}}}-a\" is not a valid name: {parts}; the input looks like a template, which must \
                 be rendered first"
            )),
        ),
    ] {
        let problem = name("metadata.name", text, kind);
        assert_eq!(problem.map(|problem| problem.message), message, "{text}");
    }
}
