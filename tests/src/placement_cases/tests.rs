use std::collections::BTreeMap;

use super::*;

type Counts = BTreeMap<String, usize>;

fn shape(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Array(items)) => format!("list of {}", items.len()),
        Some(Value::Object(fields)) => format!("object of {}", fields.len()),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(_)) => "set".to_owned(),
        Some(other) => other.to_string(),
    }
}

fn items<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    object[field].as_array().into_iter().flatten()
}

fn shapes(found: &mut Vec<String>, object: &Value, fields: &[&str]) {
    found.extend(
        fields
            .iter()
            .map(|field| format!("{field} {}", shape(object.get(field)))),
    );
}

fn in_template(spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let fields = [
        "nodeName",
        "nodeSelector",
        "affinity",
        "hostNetwork",
        "tolerations",
    ];
    shapes(&mut found, spec, &fields);
    let (required, preferred) = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    );
    shapes(&mut found, &spec["affinity"], &["nodeAffinity"]);
    let affinity = &spec["affinity"]["nodeAffinity"];
    shapes(&mut found, affinity, &[required, preferred]);
    shapes(&mut found, &affinity[required], &["nodeSelectorTerms"]);
    for term in items(&affinity[required], "nodeSelectorTerms") {
        found.push(format!("term: {}", shape(Some(term))));
        for parts in ["matchExpressions", "matchFields"] {
            shapes(&mut found, term, &[parts]);
            for requirement in items(term, parts) {
                let (key, operator) = (&requirement["key"], &requirement["operator"]);
                let values = shape(requirement.get("values"));
                found.push(format!("{parts} {operator} {values}"));
                found.push(format!("{parts} key {key}"));
                for value in items(requirement, "values") {
                    found.push(format!("{parts} {operator} value {value}"));
                }
            }
        }
    }
    for toleration in items(spec, "tolerations") {
        let (key, value) = (toleration["key"].as_str(), toleration["value"].as_str());
        found.push(format!(
            "toleration of a key: {}, operator {}, of a value: {}, effect {}",
            key.is_some_and(|key| !key.is_empty()),
            toleration["operator"].as_str().unwrap_or_default(),
            value.is_some_and(|value| !value.is_empty()),
            toleration["effect"].as_str().unwrap_or_default(),
        ));
        shapes(&mut found, toleration, &["tolerationSeconds"]);
    }
    found
}

fn in_node(node: &Value) -> Vec<String> {
    let mut found = Vec::new();
    shapes(&mut found, &node["metadata"], &["labels"]);
    shapes(&mut found, &node["spec"], &["taints", "unschedulable"]);
    for (key, value) in node["metadata"]["labels"].as_object().into_iter().flatten() {
        found.push(format!("label {key}={value}"));
    }
    for condition in items(&node["status"], "conditions") {
        found.push(format!("ready {}", condition["status"]));
    }
    for taint in items(&node["spec"], "taints") {
        found.push(format!("taint {}:{}", taint["key"], taint["effect"]));
        found.push(format!("taint value {}", shape(taint.get("value"))));
    }
    found
}

fn counts(cases: &[PlacementCase]) -> Counts {
    let mut counts = Counts::new();
    for case in cases {
        let specs = case
            .daemon_sets
            .iter()
            .map(|set| &set["spec"]["template"]["spec"]);
        let found = specs
            .flat_map(in_template)
            .chain(case.nodes.iter().flat_map(in_node));
        for found in found {
            *counts.entry(found).or_default() += 1;
        }
    }
    counts
}

/// Corner cases that both the sample and the many cases must cover.
const CORNERS: &[&str] = &[
    "nodeName absent",
    "nodeName null",
    "nodeName empty",
    "nodeName set",
    "nodeSelector absent",
    "nodeSelector null",
    "nodeSelector object of 0",
    "nodeSelector object of 1",
    "nodeSelector object of 2",
    "affinity absent",
    "affinity null",
    "affinity object of 0",
    "nodeAffinity null",
    "nodeAffinity object of 0",
    "requiredDuringSchedulingIgnoredDuringExecution absent",
    "requiredDuringSchedulingIgnoredDuringExecution null",
    "requiredDuringSchedulingIgnoredDuringExecution object of 0",
    "preferredDuringSchedulingIgnoredDuringExecution list of 1",
    "nodeSelectorTerms list of 0",
    "nodeSelectorTerms list of 1",
    "nodeSelectorTerms list of 3",
    "term: object of 0",
    "matchExpressions list of 0",
    "matchExpressions null",
    "matchFields list of 0",
    "matchFields list of 2",
    "matchFields null",
    "matchExpressions \"In\" list of 1",
    "matchExpressions \"In\" list of 3",
    "matchExpressions \"In\" value \"\"",
    "matchExpressions \"NotIn\" list of 2",
    "matchExpressions \"Exists\" absent",
    "matchExpressions \"Exists\" list of 0",
    "matchExpressions \"Exists\" list of 1",
    "matchExpressions \"DoesNotExist\" absent",
    "matchExpressions \"Gt\" list of 1",
    "matchExpressions \"Lt\" list of 1",
    "matchExpressions key \"example.com/zone\"",
    "matchFields \"In\" list of 1",
    "matchFields \"NotIn\" list of 1",
    "hostNetwork absent",
    "hostNetwork true",
    "hostNetwork false",
    "tolerations absent",
    "tolerations null",
    "tolerations list of 0",
    "tolerations list of 3",
    "tolerationSeconds -1",
    "tolerationSeconds null",
    "labels absent",
    "labels null",
    "labels object of 0",
    "label disk=\"\"",
    "label example.com/zone=\"a\"",
    "label size=\"007\"",
    "label size=\"1.5\"",
    "label size=\"9223372036854775808\"",
    "taints absent",
    "taints null",
    "taints list of 0",
    "taints list of 3",
    "taint value absent",
    "taint value empty",
    "taint value set",
    "taint value null",
    "unschedulable true",
    "ready \"True\"",
    "ready \"False\"",
    "matchFields \"In\" list of 2",
    "nodeSelectorTerms absent",
    "nodeSelectorTerms null",
    "matchExpressions \"In\" absent",
    "matchExpressions \"In\" list of 0",
    "matchExpressions \"NotIn\" list of 0",
    "matchExpressions \"Gt\" list of 0",
    "matchExpressions \"Gt\" list of 2",
    "matchExpressions \"Lt\" list of 2",
    "matchExpressions \"DoesNotExist\" list of 1",
    "matchExpressions \"==\" list of 1",
    "matchExpressions \"\" list of 1",
    "matchExpressions null list of 1",
    "matchExpressions null absent",
    "matchExpressions key null",
    "matchExpressions key \"\"",
    "matchExpressions key \"a b\"",
    "matchFields \"In\" absent",
    "matchFields \"In\" value \"\"",
    "matchFields \"Exists\" list of 1",
    "matchFields null list of 1",
    "matchFields key \"metadata.namespace\"",
    "matchFields key \"\"",
    "label a b=\"a\"",
    "label zone=\"-\"",
    "taint null:\"NoSchedule\"",
    "taint \"\":\"NoExecute\"",
    "taint \"gpu\":null",
    "taint \"gpu\":\"Unheard\"",
];

/// Corner cases that only the many cases must cover.
const RARE_CORNERS: &[&str] = &[
    "matchExpressions key \"Example.com/zone\"",
    "matchFields \"Gt\" list of 1",
];

#[track_caller]
fn check(counts: &Counts, corners: impl IntoIterator<Item = String>, least: usize) {
    let rare = corners.into_iter().filter_map(|corner| {
        let count = counts.get(&corner).copied().unwrap_or_default();
        (count < least).then_some((corner, count))
    });
    let rare: Vec<_> = rare.collect();
    assert!(rare.is_empty(), "fewer than {least}: {rare:#?}");
}

fn owned(corners: &[&str]) -> impl Iterator<Item = String> {
    corners.iter().map(|corner| (*corner).to_owned())
}

#[test]
fn same_seed_generates_the_same_cases() {
    let two = |seed| generate(Generator::new(seed, 50), 2, 4, 4);
    assert_eq!(two(3), two(3));
    assert_ne!(two(3), two(4));
}

#[test]
fn many_cases_cover_every_corner() {
    let counts = counts(&many());
    check(&counts, owned(CORNERS), 3);
    check(&counts, owned(RARE_CORNERS), 3);
}

#[test]
fn many_cases_compare_with_every_number() {
    let counts = counts(&many());
    for number in NUMBERS.iter().chain(&ODD_NUMBERS) {
        let wanted = ["Gt", "Lt"].map(|operator| format!("matchExpressions \"{operator}\" value {number:?}"));
        check(&counts, wanted, 3);
        check(&counts, [format!("label size={number:?}")], 3);
    }
}

#[test]
fn many_cases_contain_every_kind_of_toleration() {
    check(&counts(&many()), every_toleration(), 1);
}

fn every_toleration() -> Vec<String> {
    let mut wanted = Vec::new();
    for key in [true, false] {
        for operator in ["", "Equal", "Exists", "Gt", "Lt", "Unheard"] {
            for value in [true, false] {
                for effect in ["", "NoSchedule", "NoExecute", "PreferNoSchedule"] {
                    wanted.push(format!(
                        "toleration of a key: {key}, operator {operator}, of a value: {value}, effect {effect}"
                    ));
                }
            }
        }
    }
    wanted
}

#[test]
fn many_cases_contain_every_node_condition_taint_with_every_effect() {
    let mut wanted = Vec::new();
    for condition in [
        "not-ready",
        "unreachable",
        "disk-pressure",
        "memory-pressure",
        "pid-pressure",
        "unschedulable",
        "network-unavailable",
    ] {
        for effect in ["NoSchedule", "NoExecute", "PreferNoSchedule"] {
            wanted.push(format!("taint \"node.kubernetes.io/{condition}\":\"{effect}\""));
        }
    }
    check(&counts(&many()), wanted, 20);
}

#[test]
fn sample_is_small_but_covers_the_corners() {
    let sample = sample();
    check(&counts(&sample), owned(CORNERS), 1);
    let pairs = |case: &PlacementCase| case.daemon_sets.len() * case.nodes.len();
    let pairs: usize = sample.iter().map(pairs).sum();
    assert!((2_000..=3_000).contains(&pairs), "{pairs}");
}

#[test]
fn unknown_field_counts_only_if_it_matches_every_node() {
    let check = |key: &str, operator: &str, value: &str, expected: bool| {
        let field = json!({"key": key, "operator": operator, "values": [value]});
        let required = json!({"nodeSelectorTerms": [{"matchFields": []}, {"matchFields": [field]}]});
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
        let daemon_set = json!({"spec": {"template": {"spec": {"affinity": affinity}}}});
        assert_eq!(has_unknown_field_matching_all(&daemon_set), expected, "{field}");
    };
    check("metadata.name", "NotIn", "a", false);
    check("metadata.name", "In", "", false);
    check("metadata.nam", "NotIn", "a", true);
    check("metadata.nam", "NotIn", "", false);
    check("metadata.nam", "In", "a", false);
    check("metadata.nam", "In", "", true);
    assert!(!has_unknown_field_matching_all(&json!({})));
}
