use serde_json::json;

use super::{
    messages::{
        Affinity, BookmarkMeta, ListMeta, NodeSelector, NodeSpec, NodeStatus, PodSpec, PodStatus,
        RawExtension, StatusCause, StatusDetails,
    },
    *,
};

/// Wraps an object as the API server does. Also sets a field that Everynode doesn't read, because real objects have
/// many such fields.
fn wrapped(object: &impl Message) -> Bytes {
    let unknown = Unknown {
        raw: object.encode_to_vec().into(),
    };
    let type_meta: &[u8] = &[0x0a, 0x04, 0x0a, 0x02, b'v', b'1'];
    [MAGIC, type_meta, &unknown.encode_to_vec()].concat().into()
}

fn meta_message() -> ObjectMeta {
    ObjectMeta {
        name: "agent-1".to_owned(),
        namespace: "default".to_owned(),
        uid: "u1".to_owned(),
        resource_version: "7".to_owned(),
        generation: 2,
        creation_timestamp: Some(Time {
            seconds: 1_767_225_600,
            nanos: 0,
        }),
        deletion_timestamp: None,
        labels: [("app".to_owned(), "agent".to_owned())].into(),
        owner_references: vec![OwnerReference {
            kind: "DaemonSet".to_owned(),
            name: "agent".to_owned(),
            uid: "ds-1".to_owned(),
            api_version: "apps/v1".to_owned(),
            controller: true,
        }],
    }
}

fn meta_json() -> serde_json::Value {
    json!({
        "name": "agent-1", "namespace": "default", "uid": "u1", "resourceVersion": "7", "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "agent"},
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "ds-1", "controller": true,
        }],
    })
}

#[test]
fn pod_is_the_same_as_from_json() {
    let requirement = Requirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: vec!["n1".to_owned()],
    };
    let term = NodeSelectorTerm {
        match_expressions: Vec::new(),
        match_fields: vec![requirement],
    };
    let message = Pod {
        metadata: Some(meta_message()),
        spec: Some(PodSpec {
            node_name: "n1".to_owned(),
            affinity: Some(Affinity {
                node_affinity: Some(NodeAffinity {
                    required: Some(NodeSelector { terms: vec![term] }),
                }),
            }),
        }),
        status: Some(PodStatus {
            phase: "Running".to_owned(),
            conditions: vec![Condition {
                r#type: "Ready".to_owned(),
                status: "True".to_owned(),
                last_transition_time: Some(Time {
                    seconds: 1_767_225_601,
                    nanos: 0,
                }),
            }],
        }),
    };
    let json = json!({
        "metadata": meta_json(),
        "spec": {"nodeName": "n1", "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}],
        }}}},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
        ]},
    });
    let read = decode_pod(unwrap_object(&wrapped(&message)).unwrap()).unwrap();
    let expected: object::Pod = serde_json::from_value(json).unwrap();
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
}

#[test]
fn node_is_the_same_as_from_json() {
    let message = Node {
        metadata: Some(meta_message()),
        spec: Some(NodeSpec {
            taints: vec![Taint {
                key: "k".to_owned(),
                value: "v".to_owned(),
                effect: "NoSchedule".to_owned(),
            }],
        }),
        status: Some(NodeStatus {
            conditions: [
                ("MemoryPressure", "False"),
                ("Drained", "True"),
                ("Ready", "Unknown"),
            ]
            .map(|(kind, status)| NodeCondition {
                r#type: kind.to_owned(),
                status: status.to_owned(),
            })
            .into(),
        }),
    };
    let json = json!({
        "metadata": meta_json(), "spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]},
        "status": {"conditions": [
            {"type": "MemoryPressure", "status": "False"}, {"type": "Drained", "status": "True"},
            {"type": "Ready", "status": "Unknown"},
        ]},
    });
    let read = decode_node(unwrap_object(&wrapped(&message)).unwrap()).unwrap();
    let expected: object::Node = serde_json::from_value(json).unwrap();
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
}

#[test]
fn controller_reference_identifies_the_daemon_set_whatever_its_api_version() {
    for api_version in ["apps/v1", "apps/v1beta2", "extensions/v1beta1", ""] {
        let mut metadata = meta_message();
        metadata.owner_references[0].api_version = api_version.to_owned();
        let message = Pod {
            metadata: Some(metadata),
            spec: None,
            status: None,
        };
        let pod = decode_pod(message.encode_to_vec().into()).unwrap();
        let owner = pod.metadata.controlling_daemon_set().unwrap();
        assert_eq!(
            (owner.namespace, owner.name, owner.uid),
            ("default", "agent", "ds-1")
        );
        assert_eq!(pod.facts().unwrap().daemon_set_uid, "ds-1");
    }
}

#[test]
fn unset_time_is_none() {
    assert_eq!(time(None), None);
    assert_eq!(time(Some(Time::default())), None);
    // Go's zero time, January 1 of year 1.
    assert_eq!(
        time(Some(Time {
            seconds: -62_135_596_800,
            nanos: 0
        })),
        None
    );
}

#[test]
fn watch_event_is_decoded_to_its_type_and_its_object() {
    let event = WatchEvent {
        r#type: "BOOKMARK".to_owned(),
        object: Some(RawExtension {
            raw: wrapped(&Bookmark {
                metadata: Some(BookmarkMeta {
                    resource_version: "9".to_owned(),
                    annotations: [("k8s.io/initial-events-end".to_owned(), "true".to_owned())].into(),
                }),
            }),
        }),
    };
    let (kind, object) = decode_watch_event(event.encode_to_vec().into()).unwrap();
    let (version, annotations) = decode_bookmark(object).unwrap();
    assert_eq!((kind.as_str(), version.as_str()), ("BOOKMARK", "9"));
    assert_eq!(annotations.get("k8s.io/initial-events-end").unwrap(), "true");
}

#[test]
fn page_is_decoded_to_its_items_and_its_continue_token() {
    let list = List {
        metadata: Some(ListMeta {
            resource_version: "12".to_owned(),
            r#continue: "next".to_owned(),
        }),
        items: vec![
            Node {
                metadata: Some(meta_message()),
                spec: None,
                status: None,
            }
            .encode_to_vec()
            .into(),
        ],
    };
    let page = decode_page(&wrapped(&list)).unwrap();
    assert_eq!(
        (page.resource_version.as_str(), page.r#continue.as_str()),
        ("12", "next")
    );
    assert_eq!(
        decode_node(page.items[0].clone()).unwrap().metadata.name,
        "agent-1"
    );
}

#[test]
fn status_is_the_same_as_in_json() {
    let message = Status {
        outcome: "Failure".to_owned(),
        message: "being terminated".to_owned(),
        reason: "Forbidden".to_owned(),
        details: Some(StatusDetails {
            name: "agent".to_owned(),
            group: "apps".to_owned(),
            kind: "daemonsets".to_owned(),
            causes: vec![StatusCause {
                reason: "NamespaceTerminating".to_owned(),
                message: "namespace default is being terminated".to_owned(),
                field: "metadata.namespace".to_owned(),
            }],
            retry_after_seconds: 3,
            uid: "ds-1".to_owned(),
        }),
        code: 403,
    };
    let json = json!({
        "status": "Failure",
        "message": "being terminated",
        "reason": "Forbidden",
        "details": {
            "name": "agent",
            "group": "apps",
            "kind": "daemonsets",
            "uid": "ds-1",
            "causes": [{
                "reason": "NamespaceTerminating",
                "message": "namespace default is being terminated",
                "field": "metadata.namespace",
            }],
            "retryAfterSeconds": 3,
        },
        "code": 403,
    });
    let read = decode_status(unwrap_object(&wrapped(&message)).unwrap()).unwrap();
    assert_eq!(read, json);
}

#[test]
fn malformed_objects_are_errors() {
    assert!(unwrap_object(&Bytes::from_static(b"<html>")).is_err());
    assert!(decode_watch_event(Bytes::from_static(b"\xff\xff")).is_err());
    assert!(decode_pod(Bytes::from_static(b"\x0a\x7f")).is_err());
}
