use super::*;

fn objects(text: &str) -> Result<Objects, Error> {
    let mut objects = Objects::default();
    objects.add_all(documents::parse("file", text)?)?;
    Ok(objects)
}

fn names(objects: &Objects, kind: Kind) -> Vec<&str> {
    objects
        .of(kind)
        .iter()
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[test]
fn objects_are_sorted_by_kind_from_any_nesting_of_lists() {
    let found = objects(
        "
apiVersion: v1
kind: List
items:
- {kind: Node, metadata: {name: a}}
- {kind: DaemonSet, apiVersion: apps/v1, metadata: {name: x}}
- kind: List
  items:
  - {kind: Pod, metadata: {name: p}}
  - {kind: Node, metadata: {name: b}}
---
{kind: RuntimeClass, apiVersion: node.k8s.io/v1, metadata: {name: r}}
---
{items: [{kind: Node, metadata: {name: c}}]}
",
    )
    .unwrap();
    assert_eq!(names(&found, Kind::Node), ["a", "b", "c"]);
    assert_eq!(names(&found, Kind::DaemonSet), ["x"]);
    assert_eq!(names(&found, Kind::Pod), ["p"]);
    assert_eq!(names(&found, Kind::RuntimeClass), ["r"]);
    assert_eq!(found.count_others(&Kind::ALL), None);
}

#[test]
fn items_of_a_typed_list_need_no_kind() {
    let found = objects(
        "
{apiVersion: v1, kind: NodeList, items: [{metadata: {name: a}}]}
---
{apiVersion: apps/v1, kind: DaemonSetList, items: [{metadata: {name: x}}]}
",
    )
    .unwrap();
    assert_eq!(names(&found, Kind::Node), ["a"]);
    assert_eq!(names(&found, Kind::DaemonSet), ["x"]);
}

#[test]
fn other_kinds_are_counted() {
    let found = objects(
        "
{kind: ConfigMap, apiVersion: v1}
---
{kind: ConfigMap, apiVersion: v1}
---
{kind: Deployment, apiVersion: apps/v1}
---
{kind: Pod, apiVersion: v1}
---
{kind: EmptyList, items: []}
",
    )
    .unwrap();
    assert_eq!(
        found.count_others(&[Kind::Node]).unwrap(),
        "ConfigMap (2), Deployment of apps/v1 (1), Pod (1)"
    );
}

#[test]
fn kind_of_another_group_is_another_kind() {
    let found = objects("{kind: DaemonSet, apiVersion: apps.kruise.io/v1beta1}").unwrap();
    assert!(found.of(Kind::DaemonSet).is_empty());
    assert_eq!(
        found.count_others(&[]).unwrap(),
        "DaemonSet of apps.kruise.io/v1beta1 (1)"
    );
}

#[test]
fn invalid_objects_are_refused_with_their_place() {
    for (text, message) in [
        (
            "just text",
            "file, document 1 (line 1): isn't a Kubernetes object",
        ),
        ("a: {}\n", "file, document 1 (line 1): has no kind"),
        (
            "---\nkind: Node\n---\nkind: 7\n",
            "file, document 2 (line 4): has no kind",
        ),
        (
            "kind: List\nitems:\n- kind: Node\n- kind: List\n  items: [{kind: Node}, 7]\n",
            "file, document 1 (line 1): items[1].items[1]: isn't a Kubernetes object",
        ),
    ] {
        assert_eq!(objects(text).unwrap_err().to_string(), message);
    }
}
