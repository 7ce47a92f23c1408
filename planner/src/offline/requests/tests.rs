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
fn of_several_daemonsets_one_is_chosen_by_name() {
    let several = daemon_sets(&[("a", "x"), ("b", "x"), ("b", "y")]);
    assert_eq!(key(choose(&several, Some("y")).unwrap()), "b/y");
    assert_eq!(key(choose(&several, Some("b/x")).unwrap()), "b/x");
    let words = |wanted| choose(&several, wanted).unwrap_err().to_string();
    assert_eq!(
        words(None),
        "there are several DaemonSets in the input; choose one with --daemon-set: a/x, b/x, b/y"
    );
    assert_eq!(words(Some("x")), words(None));
    assert_eq!(
        words(Some("z")),
        "--daemon-set z: there is no such DaemonSet in the input, but a/x, b/x, b/y"
    );
}

#[test]
fn a_single_daemonset_neednt_be_chosen_and_its_namespace_neednt_be_said() {
    let one = daemon_sets(&[("", "x")]);
    assert_eq!(key(choose(&one, None).unwrap()), "default/x");
    assert!(choose(&one, Some("default/x")).is_ok());
    let words = choose(&[], None).unwrap_err().to_string();
    assert!(
        words.starts_with("there is no DaemonSet in the input; "),
        "{words}"
    );
}

#[test]
fn with_unknown_labels_nodes_become_templates_without_those() {
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
    let wanted = [("cpu", "2"), ("pods", "110")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(template.capacity, wanted.into());
}

#[test]
fn a_template_that_cant_be_read_is_named_with_its_field() {
    let node = object(&json!({"kind": "Node", "metadata": {"name": "a", "labels": {"zone": 7}}}));
    let words = template(&node, &["disk".to_owned()]).unwrap_err().to_string();
    assert!(words.starts_with("node a: metadata.labels.zone: "), "{words}");
}

#[test]
fn the_capacity_is_what_is_allocatable_or_else_the_whole() {
    let node = object(&json!({"status": {"capacity": {"cpu": 4}}}));
    assert_eq!(capacity(&node), [("cpu".to_owned(), "4".to_owned())].into());
    assert!(capacity(&object(&json!({}))).is_empty());
}

#[test]
fn what_a_question_cant_do_without_is_missed_with_a_remedy() {
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
        "there is no Node in the input; kubectl get nodes -o json prints those of a cluster"
    );
}
