use super::*;
use crate::offline::documents;

fn objects() -> Objects {
    let mut objects = Objects::default();
    let text = "
{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: x, namespace: a, labels: {tier: test}}}
---
{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: x, namespace: b, labels: {tier: prod}}}
---
{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: v, namespace: b, labels: {tier: null}}}
---
{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: z}}
---
{kind: Node, metadata: {name: worker-1}}
---
{kind: Node, metadata: {name: worker-2}}
---
{kind: Node, metadata: {name: control}}
";
    objects
        .add_all(documents::parse("file", text.as_bytes()).unwrap())
        .unwrap();
    objects
}

fn selected(filter: &FilterArgs) -> Result<Vec<String>, String> {
    let mut objects = objects();
    daemon_sets(&mut objects, filter).map_err(|error| error.to_string())?;
    nodes(&mut objects, filter).map_err(|error| error.to_string())?;
    let daemon_sets = objects.of(Kind::DaemonSet).iter().map(Object::key);
    let nodes = objects.of(Kind::Node).iter().map(|node| node.name().to_owned());
    Ok(if filter.nodes.is_empty() {
        daemon_sets.collect()
    } else {
        nodes.collect()
    })
}

fn named(names: &[&str]) -> FilterArgs {
    FilterArgs {
        daemon_sets: names.iter().map(|name| (*name).to_owned()).collect(),
        ..FilterArgs::default()
    }
}

fn on_nodes(patterns: &[&str]) -> FilterArgs {
    FilterArgs {
        nodes: patterns.iter().map(|name| (*name).to_owned()).collect(),
        ..FilterArgs::default()
    }
}

fn labeled(namespace: Option<&str>, selector: &str) -> FilterArgs {
    FilterArgs {
        namespace: namespace.map(str::to_owned),
        selector: Some(selector.parse().unwrap()),
        ..FilterArgs::default()
    }
}

#[test]
fn without_flags_everything_is_selected() {
    let all = ["a/x", "b/x", "b/v", "default/z"].map(str::to_owned).to_vec();
    assert_eq!(selected(&FilterArgs::default()), Ok(all));
}

#[test]
fn daemonsets_are_chosen_by_name_in_any_namespace() {
    for (names, expected) in [
        (&["v"][..], &["b/v"][..]),
        (&["b/x"], &["b/x"]),
        (&["z", "a/x"], &["a/x", "default/z"]),
        (&["default/z"], &["default/z"]),
        (&["v", "v"], &["b/v"]),
        (&["ds/v"], &["b/v"]),
        (&["daemonset/b/x"], &["b/x"]),
    ] {
        let expected = expected.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(selected(&named(names)), Ok(expected), "{names:?}");
    }
    let within = FilterArgs {
        namespace: Some("b".to_owned()),
        ..named(&["x"])
    };
    assert_eq!(selected(&within), Ok(vec!["b/x".to_owned()]));
}

#[test]
fn only_candidates_of_an_ambiguous_name_are_listed() {
    assert_eq!(
        selected(&named(&["x"])).unwrap_err(),
        "--daemon-set x: the input has several DaemonSets of this name; choose one of a/x, b/x"
    );
    assert_eq!(
        selected(&named(&["w"])).unwrap_err(),
        "--daemon-set w: the input has no such DaemonSet, only a/x, b/x, b/v, default/z"
    );
}

#[test]
fn daemonsets_are_selected_by_namespace_and_labels() {
    for (filter, expected) in [
        (labeled(None, "tier"), &["a/x", "b/x", "b/v"][..]),
        (labeled(None, "tier!=test"), &["b/x", "b/v", "default/z"]),
        (labeled(Some("b"), "tier="), &["b/v"]),
        (labeled(Some("default"), ""), &["default/z"]),
    ] {
        let expected = expected.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(selected(&filter), Ok(expected), "{filter:?}");
    }
    assert_eq!(
        selected(&labeled(Some("a"), "tier=prod")).unwrap_err(),
        "no DaemonSet in the input matches --namespace a --selector tier=prod"
    );
}

#[test]
fn nodes_are_selected_by_names_and_wildcards() {
    for (patterns, expected) in [
        (&["worker-*"][..], &["worker-1", "worker-2"][..]),
        (&["control", "*-2"], &["worker-2", "control"]),
    ] {
        let expected = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(selected(&on_nodes(patterns)), Ok(expected), "{patterns:?}");
    }
    assert_eq!(
        selected(&on_nodes(&["worker-1", "worker-9"])).unwrap_err(),
        "--node worker-9: the input has no such node, only worker-1, worker-2, control"
    );
}
