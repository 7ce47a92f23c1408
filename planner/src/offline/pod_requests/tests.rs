use serde_json::json;

use super::*;
use crate::offline::documents;

fn daemon_set(resources: &Value) -> Value {
    json!({
        "kind": "DaemonSet",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": "agent",
            "namespace": "sys",
            "annotations": {TEMPLATE_GENERATION: "2"},
        },
        "spec": {"template": {"spec": {"containers": [{"name": "c", "resources": resources}]}}},
    })
}

fn pod(name: &str, created: &str, generation: &str, containers: &Value) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "sys",
            "creationTimestamp": created,
            "labels": {POD_TEMPLATE_GENERATION: generation},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "u1", "controller": true},
            ],
        },
        "spec": {"containers": containers},
    })
}

/// Returns the `DaemonSet`s that change, and the containers of the first one.
fn replaced(items: &[Value]) -> (Vec<(String, String)>, Value) {
    let mut objects = Objects::default();
    let list = json!({"kind": "List", "items": items}).to_string();
    objects
        .add_all(documents::parse("file", list.as_bytes()).unwrap())
        .unwrap();
    let changed = replace(&mut objects);
    let daemon_set = &objects.of(Kind::DaemonSet)[0];
    (
        changed,
        daemon_set["spec"]["template"]["spec"]["containers"].clone(),
    )
}

fn requesting(cpu: &str) -> Value {
    json!([{"name": "c", "image": "a", "resources": {"requests": {"cpu": cpu}}}])
}

#[test]
fn requests_are_those_of_the_newest_pod_of_the_current_template() {
    let (changed, containers) = replaced(&[
        daemon_set(&json!({"requests": {"cpu": "100m"}})),
        pod("agent-old", "2026-01-01T00:00:00Z", "2", &requesting("200m")),
        pod("agent-new", "2026-01-03T00:00:00Z", "2", &requesting("300m")),
        pod("agent-newest", "2026-01-04T00:00:00Z", "1", &requesting("400m")),
    ]);
    assert_eq!(changed, [("sys/agent".to_owned(), "agent-new".to_owned())]);
    let expected = json!([{"name": "c", "resources": {"requests": {"cpu": "300m"}}}]);
    assert_eq!(containers, expected);
    assert_eq!(
        note(&changed).unwrap(),
        "requests are those of the newest pod, which differ from the template's: sys/agent (pod agent-new)"
    );
}

#[test]
fn resources_and_containers_that_webhooks_add_count() {
    let containers = json!([
        {"name": "c", "resources": {"limits": {"memory": "1Gi"}}},
        {"name": "proxy", "resources": {"requests": {"cpu": "50m"}}},
    ]);
    let (changed, found) = replaced(&[
        daemon_set(&Value::Null),
        pod("agent-x", "2026-01-01T00:00:00Z", "2", &containers),
    ]);
    assert_eq!(changed.len(), 1);
    assert_eq!(found, containers);
}

#[test]
fn same_amounts_in_another_notation_are_no_change() {
    let containers = json!([{"name": "c", "resources": {
        "requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"},
    }}]);
    let (changed, _) = replaced(&[
        daemon_set(&json!({"requests": {"cpu": " 0.1"}, "limits": {"memory": "1024Mi"}})),
        pod("agent-x", "2026-01-01T00:00:00Z", "2", &containers),
    ]);
    assert_eq!(changed, []);
    assert_eq!(note(&changed), None);
}

#[test]
fn pods_of_other_owners_are_ignored() {
    let mut other_kind = pod("a", "2026-01-01T00:00:00Z", "2", &requesting("200m"));
    other_kind["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet");
    let mut no_controller = pod("b", "2026-01-01T00:00:00Z", "2", &requesting("200m"));
    no_controller["metadata"]["ownerReferences"][0]["controller"] = Value::Null;
    let mut other_namespace = pod("c", "2026-01-01T00:00:00Z", "2", &requesting("200m"));
    other_namespace["metadata"]["namespace"] = json!("default");
    let mut no_spec = pod("d", "2026-01-01T00:00:00Z", "2", &requesting("200m"));
    no_spec["spec"] = Value::Null;
    let (changed, containers) = replaced(&[
        daemon_set(&json!({"requests": {"cpu": "100m"}})),
        other_kind,
        no_controller,
        other_namespace,
        no_spec,
    ]);
    assert_eq!(changed, []);
    let expected = json!([{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]);
    assert_eq!(containers, expected);
}

#[test]
fn pods_of_an_earlier_daemon_set_of_the_name_are_ignored() {
    let mut recreated = daemon_set(&json!({"requests": {"cpu": "100m"}}));
    recreated["metadata"]["uid"] = json!("u2");
    let old = pod("a", "2026-01-01T00:00:00Z", "2", &requesting("200m"));
    let (changed, _) = replaced(&[recreated.clone(), old.clone()]);
    assert_eq!(changed, []);
    recreated["metadata"]["uid"] = json!("u1");
    let (changed, _) = replaced(&[recreated, old]);
    assert_eq!(changed.len(), 1);
}

#[test]
fn pods_without_resources_leave_the_template_unchanged() {
    for containers in [json!([{"name": "c"}]), json!([]), Value::Null] {
        let (changed, found) = replaced(&[
            daemon_set(&json!({"requests": {"cpu": "100m"}})),
            pod("a", "2026-01-01T00:00:00Z", "2", &containers),
        ]);
        assert_eq!(changed, []);
        let expected = json!([{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]);
        assert_eq!(found, expected);
    }
}

#[test]
fn note_lists_only_a_few_daemon_sets() {
    let changed: Vec<_> = (0..7)
        .map(|number| (format!("a/{number}"), format!("p{number}")))
        .collect();
    let note = note(&changed).unwrap();
    assert!(note.ends_with("a/4 (pod p4), and 2 more"), "{note}");
}

#[test]
fn pods_of_a_revision_that_requests_something_else_and_broken_pods_do_not_count() {
    let revision = |cpu: &str| {
        let mut revision = pod("agent-r1", "2026-01-01T00:00:00Z", "", &json!([]));
        revision["kind"] = json!("ControllerRevision");
        revision["apiVersion"] = json!("apps/v1");
        revision["metadata"]["labels"] = json!({REVISION_LABEL: "r1"});
        revision["data"] = json!({"spec": {"template": {"spec": {"containers": requesting(cpu)}}}});
        revision
    };
    let mut manifest = daemon_set(&json!({"requests": {"cpu": "2"}}));
    manifest["metadata"]["annotations"] = json!({});
    let mut old = pod("agent-old", "2026-01-02T00:00:00Z", "2", &requesting("300m"));
    old["metadata"]["labels"][REVISION_LABEL] = json!("r1");
    for (revision, count) in [(revision("100m"), 0), (revision("2000m"), 1)] {
        let (changed, _) = replaced(&[manifest.clone(), old.clone(), revision]);
        assert_eq!(changed.len(), count, "{changed:?}");
    }
    let broken = pod("agent-broken", "2026-01-02T00:00:00Z", "2", &requesting("lots"));
    let (changed, containers) = replaced(&[manifest, broken]);
    assert!(changed.is_empty(), "{changed:?}");
    assert_eq!(containers[0]["resources"], json!({"requests": {"cpu": "2"}}));
}
