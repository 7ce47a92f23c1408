use everynode_proto::facts::RawStruct;

use super::*;

fn objects(text: &str) -> Result<Objects, Error> {
    let mut objects = Objects::default();
    objects.add_all(documents::parse("file", text.as_bytes())?)?;
    Ok(objects)
}

fn names(objects: &Objects, kind: Kind) -> Vec<&str> {
    objects.of(kind).iter().map(Object::name).collect()
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
fn kinds_of_groups_that_others_define_are_other_kinds() {
    let found = objects(
        "
{kind: DaemonSet, apiVersion: apps.kruise.io/v1beta1}
---
{kind: Node, apiVersion: management.cattle.io/v3}
",
    )
    .unwrap();
    assert_eq!(found.of_any_version(Kind::DaemonSet).count(), 0);
    assert_eq!(found.of_any_version(Kind::Node).count(), 0);
    assert_eq!(
        found.count_others(&[]).unwrap(),
        "DaemonSet of apps.kruise.io/v1beta1 (1), Node of management.cattle.io/v3 (1)"
    );
}

#[test]
fn invalid_objects_are_refused_with_their_place_and_a_hint() {
    for (text, message) in [
        (
            "just text",
            "file:1: not a Kubernetes object, which has the fields apiVersion, kind and metadata",
        ),
        (
            "a: {}\n",
            "file:1: the object has no kind; if these are Helm values, render the chart first with `helm template`",
        ),
        (
            "---\nkind: Node\n---\nkind: 7\n",
            "file:4: the object has no kind; kind must be text",
        ),
        ("kind:\n", "file:1: the object has no kind; kind is empty"),
        (
            "apiVersion: apps/v1\nmetadata: {name: a}\n",
            "file:1: the object has no kind; add the field kind, such as kind: DaemonSet",
        ),
        ("kind: List\nitems: {}\n", "file:1: items must be a list"),
        (
            "Kind: Node\n",
            "file:1: the object has no kind; did you mean kind instead of Kind?",
        ),
        (
            "resources: [ds.yaml]\n",
            "file:1: the object has no kind; this looks like a kustomization: render it first with `kubectl kustomize`",
        ),
        (
            "kind: List\nitems:\n- kind: Node\n- kind: List\n  items: [{kind: Node}, 7]\n",
            "file:5, items[1].items[1]: not a Kubernetes object, which has the fields apiVersion, kind and metadata",
        ),
    ] {
        assert_eq!(objects(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn arrays_are_lists_and_items_that_are_null_are_skipped() {
    let found =
        objects("[{kind: Node, metadata: {name: a}}, null, [{kind: Node, metadata: {name: b}}]]").unwrap();
    assert_eq!(names(&found, Kind::Node), ["a", "b"]);
    let found =
        objects("{kind: NodeList, items: [{metadata: {name: a}}, null]}\n---\n{kind: PodList, items: null}")
            .unwrap();
    assert_eq!(names(&found, Kind::Node), ["a"]);
}

#[test]
fn last_of_objects_with_one_name_counts_in_the_place_of_the_first_with_a_note() {
    let found = objects(
        "
{kind: Node, metadata: {name: a, labels: {v: old}}}
---
{kind: Node, metadata: {name: b}}
---
{kind: Node, metadata: {name: a, labels: {v: new}}}
---
{kind: DaemonSet, metadata: {name: a}}
---
{kind: DaemonSet, metadata: {name: a, namespace: default}}
---
{kind: DaemonSet, metadata: {name: a, namespace: other}}
---
[{kind: Node, metadata: {}}, {kind: Node}]
",
    )
    .unwrap();
    assert_eq!(names(&found, Kind::Node), ["a", "b", "", ""]);
    assert_eq!(found.of(Kind::Node)[0].fields["metadata"]["labels"]["v"], "new");
    let keys: Vec<_> = found.of(Kind::DaemonSet).iter().map(Object::key).collect();
    assert_eq!(keys, ["default/a", "other/a"]);
    assert_eq!(
        found.notes(),
        [
            "of objects that occur more than once, the last one counts: Node a (file:2 and file:6), DaemonSet default/a (file:8 \
             and file:10)"
        ]
    );
}

#[test]
fn kinds_and_versions_that_api_servers_refuse_are_problems() {
    let found = objects(
        "
{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: right}}
---
{kind: DaemonSet, apiVersion: apps/v1beta2, metadata: {name: beta}}
---
kind: DaemonSet
apiVersion: extensions/v1beta1
metadata: {name: old, namespace: sys}
---
{kind: DaemonSet, apiVersion: v1}
---
{kind: Daemonset, apiVersion: apps/v1, metadata: {name: case}}
---
{kind: DaemonSetList, apiVersion: extensions/v1beta1, items: [{metadata: {name: item}}]}
---
{kind: RuntimeClass, apiVersion: node.k8s.io/v1beta1, metadata: {name: kata}}
",
    )
    .unwrap();
    assert_eq!(names(&found, Kind::DaemonSet), ["right", "beta"]);
    assert_eq!(names(&found, Kind::RuntimeClass), ["kata"]);
    assert_eq!(found.notes(), Vec::<String>::new());
    let problems: Vec<_> = found
        .problems(&[Kind::DaemonSet])
        .map(|(place, problem)| {
            let Problem {
                object,
                field,
                message,
                ..
            } = problem;
            let is_read = problem.code() == ProblemCode::Invalid;
            (
                place.field(field).to_string(),
                format!("{object}: {field}: {message}"),
                is_read,
            )
        })
        .collect();
    let expected = [
        (
            "file:4",
            "daemonset default/beta: apiVersion: API servers don't serve the kind DaemonSet in apps/v1beta2; change \
             apiVersion to apps/v1",
            true,
        ),
        (
            "file:7",
            "daemonset sys/old: apiVersion: API servers don't serve the kind DaemonSet in extensions/v1beta1; change \
             apiVersion to apps/v1",
            false,
        ),
        (
            "file:10",
            "the 2nd DaemonSet: apiVersion: API servers don't serve the kind DaemonSet in v1; change apiVersion to apps/v1",
            false,
        ),
        (
            "file:12",
            "daemonset default/case: kind: there is no kind Daemonset; did you mean DaemonSet?",
            false,
        ),
        (
            "file:14, items[0]",
            "daemonset default/item: apiVersion: API servers don't serve the kind DaemonSet in extensions/v1beta1; change \
             apiVersion to apps/v1",
            false,
        ),
    ];
    let expected = expected.map(|(place, text, is_read)| (place.to_owned(), text.to_owned(), is_read));
    assert_eq!(problems, expected);
    assert_eq!(found.problems(&[Kind::RuntimeClass]).count(), 1);
    assert_eq!(found.problems(&[Kind::Node]).count(), 0);
    assert_eq!(
        found.count_others(&[Kind::RuntimeClass]).unwrap(),
        "DaemonSet (6)",
        "a command that uses no DaemonSet"
    );
}

#[test]
fn one_daemonset_and_one_node_are_read_from_many_forms() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let expected = Objects::read(&[folder.join("forms.json").display().to_string()], false, false).unwrap();
    let fields = |objects: &Objects, kind| {
        let objects = objects.of(kind).iter();
        // A float without a fraction is equal to an integer after this.
        let fields = objects.map(|object| RawStruct::from(&object.fields));
        fields.collect::<Vec<_>>()
    };
    let mut count = 0;
    for entry in std::fs::read_dir(folder.join("forms")).unwrap() {
        let path = entry.unwrap().path().display().to_string();
        let found = Objects::read(std::slice::from_ref(&path), false, false)
            .unwrap_or_else(|error| panic!("{error}"));
        for kind in [Kind::DaemonSet, Kind::Node] {
            assert_eq!(fields(&found, kind), fields(&expected, kind), "{path}");
        }
        count += 1;
    }
    assert!(count >= 60, "{count}");
}
