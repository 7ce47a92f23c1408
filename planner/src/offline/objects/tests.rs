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
fn objects_are_sorted_by_kind_in_whatever_lists_they_come() {
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
    assert_eq!(found.beside(&Kind::ALL), None);
}

#[test]
fn items_of_a_list_of_one_kind_neednt_say_it() {
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
fn kinds_that_play_no_part_are_counted() {
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
        found.beside(&[Kind::Node]).unwrap(),
        "ConfigMap (2), Deployment of apps/v1 (1), Pod (1)"
    );
}

#[test]
fn another_groups_kind_of_the_same_name_is_another_kind() {
    let found = objects("{kind: DaemonSet, apiVersion: apps.kruise.io/v1beta1}").unwrap();
    assert!(found.of(Kind::DaemonSet).is_empty());
    assert_eq!(
        found.beside(&[]).unwrap(),
        "DaemonSet of apps.kruise.io/v1beta1 (1)"
    );
}

#[test]
fn what_is_no_object_is_refused_with_its_place() {
    for (text, words) in [
        ("just text", "file, document 1 (line 1): is no Kubernetes object"),
        ("a: {}\n", "file, document 1 (line 1): has no kind"),
        (
            "---\nkind: Node\n---\nkind: 7\n",
            "file, document 2 (line 4): has no kind",
        ),
        (
            "kind: List\nitems:\n- kind: Node\n- kind: List\n  items: [{kind: Node}, 7]\n",
            "file, document 1 (line 1): items[1].items[1]: is no Kubernetes object",
        ),
    ] {
        assert_eq!(objects(text).unwrap_err().to_string(), words);
    }
}
