use serde_json::json;

use super::*;
use crate::offline::documents;

fn object(value: &Value) -> Object {
    value.as_object().unwrap().clone()
}

fn daemon_sets(names: &[(&str, &str)]) -> Vec<Object> {
    let daemon_set = |(namespace, name): &(&str, &str)| {
        object(&json!({"kind": "DaemonSet", "metadata": {"namespace": namespace, "name": name}}))
    };
    names.iter().map(daemon_set).collect()
}

#[test]
fn one_of_several_daemonsets_is_chosen_by_name() {
    let several = daemon_sets(&[("a", "x"), ("b", "x"), ("b", "y")]);
    assert_eq!(key(choose(&several, Some("y")).unwrap()), "b/y");
    assert_eq!(key(choose(&several, Some("b/x")).unwrap()), "b/x");
    let message = |name| choose(&several, name).unwrap_err().to_string();
    assert_eq!(
        message(None),
        "the input has several DaemonSets; choose one with --daemon-set: a/x, b/x, b/y"
    );
    assert_eq!(message(Some("x")), message(None));
    assert_eq!(
        message(Some("z")),
        "--daemon-set z: the input has no such DaemonSet, only a/x, b/x, b/y"
    );
}

#[test]
fn single_daemonset_needs_no_name_and_no_namespace() {
    let one = daemon_sets(&[("", "x")]);
    assert_eq!(key(choose(&one, None).unwrap()), "default/x");
    assert!(choose(&one, Some("default/x")).is_ok());
    let message = choose(&[], None).unwrap_err().to_string();
    assert!(message.starts_with("the input has no DaemonSet; "), "{message}");
}

#[test]
fn nodes_become_templates_without_the_unknown_labels() {
    let node = object(&json!({
        "kind": "Node",
        "metadata": {"name": "a", "labels": {"zone": "z1", "disk": "ssd"}},
        "spec": {"taints": [{"key": "t", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "2", "pods": 110}, "capacity": {"cpu": "4"}},
    }));
    let template = template(&node, &["zone".to_owned()]).unwrap();
    assert_eq!(template.name, "a");
    assert_eq!(template.labels, [("disk".to_owned(), "ssd".to_owned())].into());
    assert_eq!(template.taints.len(), 1);
    assert_eq!(template.unknown_labels, ["zone"]);
    let expected = [("cpu", "2"), ("pods", "110")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(template.capacity, expected.into());
}

#[test]
fn invalid_template_is_named_with_its_field() {
    let node = object(&json!({"kind": "Node", "metadata": {"name": "a", "labels": {"zone": 7}}}));
    let message = template(&node, &["disk".to_owned()]).unwrap_err().to_string();
    assert!(message.starts_with("node a: metadata.labels.zone: "), "{message}");
}

#[test]
fn capacity_is_allocatable_or_else_the_whole_capacity() {
    let node = object(&json!({"status": {"capacity": {"cpu": 4}}}));
    assert_eq!(capacity(&node), [("cpu".to_owned(), "4".to_owned())].into());
    assert!(capacity(&object(&json!({}))).is_empty());
}

#[test]
fn missing_objects_are_reported_with_a_remedy() {
    let mut objects = Objects::default();
    assert!(
        explain(&objects)
            .unwrap_err()
            .to_string()
            .contains("no DaemonSet")
    );
    let documents = documents::parse("file", "{kind: DaemonSet}").unwrap();
    objects.add_all(documents).unwrap();
    assert_eq!(
        explain(&objects).unwrap_err().to_string(),
        "the input has no Node; `kubectl get nodes -o json` prints those of a cluster"
    );
}
