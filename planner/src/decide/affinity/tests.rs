use super::*;
use crate::testing::{node, requirement, term};

fn by_fields(fields: &[Requirement]) -> Term {
    Term {
        expressions: Vec::new(),
        fields: fields.to_vec(),
    }
}

#[test]
fn p3_each_operator_matches_labels_as_documented() {
    #[track_caller]
    fn check(operator: &str, values: &[&str], label: Option<&str>, expected: bool) {
        let term = ParsedTerm::new(&term(&[requirement("key", operator, values)]));
        let label = label.map(|value| format!("key={value}"));
        let node = node("n", label.as_deref().as_slice(), &[]);
        assert_eq!(
            term.matches(&node),
            expected,
            "key {operator} {values:?} on {label:?}"
        );
        assert_eq!(
            term.mismatches(&node).is_empty(),
            expected,
            "failures of key {operator} {values:?} on {label:?}"
        );
    }
    check("In", &["a", "b"], Some("b"), true);
    check("In", &["a", "b"], Some("c"), false);
    check("In", &["a", "b"], None, false);
    check("In", &[""], Some(""), true);
    check("In", &[""], None, false);
    check("NotIn", &["a", "b"], Some("b"), false);
    check("NotIn", &["a", "b"], Some("c"), true);
    check("NotIn", &["a", "b"], None, true);
    check("Exists", &[], Some(""), true);
    check("Exists", &[], None, false);
    check("DoesNotExist", &[], Some("a"), false);
    check("DoesNotExist", &[], None, true);
    check("Gt", &["7"], Some("8"), true);
    check("Gt", &["7"], Some("7"), false);
    check("Gt", &["7"], Some("10"), true);
    check("Gt", &["7"], Some("many"), false);
    check("Gt", &["7"], None, false);
    check("Lt", &["7"], Some("6"), true);
    check("Lt", &["7"], Some("7"), false);
    check("Lt", &["7"], Some(""), false);
    check("Lt", &["7"], None, false);
    check("Lt", &["9223372036854775807"], Some("9223372036854775808"), false);
}

#[test]
fn p3_in_and_not_in_match_the_node_name() {
    #[track_caller]
    fn check(operator: &str, name: &str, expected: bool) {
        let term = ParsedTerm::new(&by_fields(&[requirement("metadata.name", operator, &[name])]));
        assert_eq!(
            term.matches(&node("n", &[], &[])),
            expected,
            "metadata.name {operator} {name}"
        );
    }
    check("In", "n", true);
    check("In", "m", false);
    check("NotIn", "n", false);
    check("NotIn", "m", true);
}

fn messages(failures: &[Mismatch]) -> Vec<&str> {
    failures.iter().map(|failure| failure.message.as_str()).collect()
}

#[test]
fn mismatch_has_the_written_requirement_and_the_actual_value() {
    for (operator, values, condition) in [
        ("In", &["x", "y"][..], "a In [x, y]"),
        ("NotIn", &["1"], "a NotIn [1]"),
        ("Exists", &[], "a Exists"),
        ("DoesNotExist", &[], "a DoesNotExist"),
        ("Gt", &["7"], "a Gt 7"),
        ("Lt", &["0"], "a Lt 0"),
    ] {
        let written = requirement("a", operator, values);
        let node = match operator {
            "Exists" => node("n", &[], &[]),
            _ => node("n", &["a=1"], &[]),
        };
        let failures = ParsedTerm::new(&term(std::slice::from_ref(&written))).mismatches(&node);
        let [failure] = failures.as_slice() else {
            panic!("{operator}: {failures:?}")
        };
        assert_eq!(failure.condition, condition);
        let (requirement, actual) = failure.requirement.as_ref().unwrap();
        assert_eq!(*requirement, written);
        assert_eq!(actual.as_deref(), (operator != "Exists").then_some("1"));
    }
}

#[test]
fn p3_requirements_are_anded_over_labels_and_fields() {
    let both = Term {
        expressions: vec![requirement("a", "Exists", &[]), requirement("b", "In", &["1"])],
        fields: vec![requirement("metadata.name", "In", &["n"])],
    };
    let both = ParsedTerm::new(&both);
    assert!(both.matches(&node("n", &["a=", "b=1"], &[])));
    assert!(!both.matches(&node("n", &["b=1"], &[])));
    assert!(!both.matches(&node("n", &["a=", "b=2"], &[])));
    assert!(!both.matches(&node("m", &["a=", "b=1"], &[])));
    let failures = both.mismatches(&node("m", &["b=2"], &[]));
    assert_eq!(
        messages(&failures),
        [
            "a Exists is required, the node has no label a",
            "b In [1] is required, the node has b=2",
            "metadata.name In [n] is required, the node has metadata.name=m",
        ]
    );
}

#[test]
fn p3_empty_term_matches_nothing() {
    let empty = ParsedTerm::new(&Term::default());
    assert_eq!(empty, ParsedTerm::Empty);
    assert!(!empty.matches(&node("n", &["a=1"], &[])));
    assert_eq!(
        messages(&empty.mismatches(&node("n", &[], &[]))),
        ["it is empty, which matches no node"]
    );
}

#[test]
fn p3_malformed_term_matches_nothing_and_names_its_field() {
    #[track_caller]
    fn check(term: &Term, fields: &[&str]) {
        let parsed = ParsedTerm::new(term);
        let ParsedTerm::Malformed(errors) = &parsed else {
            panic!("{term:?} was parsed: {parsed:?}")
        };
        let found: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(found, fields, "{term:?}");
        let bystander = node("n", &["a=1"], &[]);
        assert!(!parsed.matches(&bystander), "{term:?}");
        assert_eq!(parsed.mismatches(&bystander).len(), fields.len(), "{term:?}");
    }
    let one = |key, operator, values: &[&str]| term(&[requirement(key, operator, values)]);
    let long = "x".repeat(64);
    for operator in ["", "in", "Equals", "=="] {
        check(&one("a", operator, &["1"]), &["matchExpressions[0].operator"]);
    }
    for operator in ["In", "NotIn", "Gt", "Lt"] {
        check(&one("a", operator, &[]), &["matchExpressions[0].values"]);
    }
    for operator in ["Exists", "DoesNotExist"] {
        check(&one("a", operator, &["1"]), &["matchExpressions[0].values"]);
    }
    for operator in ["Gt", "Lt"] {
        check(&one("a", operator, &["1", "2"]), &["matchExpressions[0].values"]);
        for value in ["x", "", "1.5", "9223372036854775808"] {
            check(&one("a", operator, &[value]), &["matchExpressions[0].values[0]"]);
        }
        // A label value can't begin with a minus, so Kubernetes can't parse it either.
        check(&one("a", operator, &["-1"]), &["matchExpressions[0].values[0]"]);
    }
    for key in [
        "",
        "/a",
        "a/",
        "A/b/c",
        "-a",
        "a b",
        "UPPER.example/a",
        ".example/a",
        "ä",
        &long,
    ] {
        check(&one(key, "Exists", &[]), &["matchExpressions[0].key"]);
    }
    for value in ["-", "a b", "_a", &long] {
        check(
            &one("a", "In", &["fine", value]),
            &["matchExpressions[0].values[1]"],
        );
    }
    let fields = [
        requirement("metadata.name", "Exists", &[]),
        requirement("metadata.name", "In", &["a", "b"]),
        requirement("metadata.namespace", "In", &["a"]),
        requirement("metadata.name", "Gt", &["1"]),
    ];
    let names = [
        "matchFields[0].values",
        "matchFields[1].values",
        "matchFields[2].key",
        "matchFields[3].operator",
    ];
    check(&by_fields(&fields), &names);
    let mixed = Term {
        expressions: vec![requirement("a", "Exists", &[]), requirement("a", "Most", &[])],
        fields: vec![requirement("x", "In", &["a"])],
    };
    check(&mixed, &["matchExpressions[1].operator", "matchFields[0].key"]);
}

#[test]
fn p3_prefixed_keys_and_odd_but_valid_values_are_parsed() {
    for key in [
        "a",
        "example.com/a",
        "node.kubernetes.io/instance-type",
        "a.b_c-D9",
        &"x".repeat(63),
    ] {
        let parsed = ParsedTerm::new(&term(&[requirement(key, "In", &["", "a", "A-b_c.d"])]));
        assert!(matches!(parsed, ParsedTerm::All(_)), "{key}: {parsed:?}");
    }
}

#[test]
fn p3_terms_over_many_labels_match_as_each_term_alone() {
    let keys: Vec<_> = (0..12).map(|number| format!("k{number}")).collect();
    let terms: Vec<_> = keys
        .chunks(3)
        .map(|keys| {
            let requirements: Vec<_> = keys.iter().map(|key| requirement(key, "In", &["yes"])).collect();
            term(&requirements)
        })
        .collect();
    let parsed = Terms::new(&terms);
    assert!(!parsed.match_node(&node("n", &[], &[])));
    for (number, chunk) in keys.chunks(3).enumerate() {
        let labels: Vec<_> = chunk.iter().map(|key| format!("{key}=yes")).collect();
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        let fits = node("n", &labels, &[]);
        assert!(parsed.match_node(&fits), "by term {number}");
        let alone: Vec<_> = parsed.iter().map(|term| term.matches(&fits)).collect();
        assert_eq!(alone, [0, 1, 2, 3].map(|other| other == number));
        assert!(!parsed.match_node(&node("n", &labels[1..], &[])));
    }
}
