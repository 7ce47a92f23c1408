use serde_json::json;

use super::*;

#[test]
fn page_whose_items_are_null_is_empty() {
    let body = json!({"metadata": {"resourceVersion": "7", "continue": null}, "items": null});
    let page: Page<facts::Node> = page(&body.to_string().into(), Encoding::Json).unwrap();
    assert_eq!(page.metadata.resource_version, "7");
    assert!(page.metadata.r#continue.is_empty() && page.items.is_empty());
}

#[test]
fn nulls_in_a_watched_object_are_read_as_absent() {
    fn changed<T: Watched>(object: &serde_json::Value) -> T {
        let frame = format!(r#"{{"type":"ADDED","object":{object}}}"#);
        match event(frame.into(), Encoding::Json).unwrap() {
            WatchEvent::Changed(object) => object,
            other => panic!("{other:?}"),
        }
    }
    let metadata = json!({
        "name": "a", "namespace": null, "generation": null, "labels": {"b": null}, "annotations": {"c": null},
        "ownerReferences": [null],
    });
    let spec = json!({"selector": null, "template": null, "updateStrategy": null, "minReadySeconds": null});
    let daemon_set: DaemonSet =
        changed(&json!({"metadata": metadata, "spec": spec, "status": {"numberReady": null}}));
    assert_eq!(daemon_set.key(), "/a");
    assert_eq!(daemon_set.metadata.labels["b"], "");
    assert_eq!(daemon_set.metadata.annotations["c"], "");
    assert!(daemon_set.spec.template.is_none());
    let spec = json!({"template": {"spec": {"nodeSelector": null}}});
    let daemon_set: DaemonSet = changed(&json!({"spec": spec}));
    assert_eq!(
        daemon_set.spec.template.unwrap().get(),
        r#"{"spec":{"nodeSelector":null}}"#
    );
    let revision: Revision = changed(&json!({"metadata": metadata, "revision": null, "data": null}));
    assert_eq!((revision.metadata.name.as_str(), revision.revision), ("a", 0));
    let node: facts::Node = changed(&json!({"metadata": metadata, "spec": {"taints": null}}));
    assert_eq!(node.metadata.labels["b"], "");
    let bookmark =
        json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7", "annotations": null}}});
    let bookmark = event::<facts::Node>(bookmark.to_string().into(), Encoding::Json).unwrap();
    assert!(matches!(bookmark, WatchEvent::Bookmark { ends_list: false, .. }));
}
