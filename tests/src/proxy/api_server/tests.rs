use super::events::{Events, is_bookmark};
use super::*;

fn headers(kind: &'static str) -> http::HeaderMap {
    http::HeaderMap::from_iter([(header::CONTENT_TYPE, header::HeaderValue::from_static(kind))])
}

#[test]
fn call_has_its_resource_and_whether_it_is_a_watch() {
    for (path, resource, is_watch) in [
        (
            "/api/v1/namespaces/test-1/pods?fieldValidation=Ignore",
            "pods",
            false,
        ),
        ("/api/v1/namespaces/test-1/pods/agent-1", "pods", false),
        ("/api/v1/pods?watch=true&timeoutSeconds=300", "pods", true),
        (
            "/apis/apps/v1/namespaces/test-1/daemonsets/agent/status",
            "daemonsets",
            false,
        ),
        ("/api/v1/namespaces/kube-system", "namespaces", false),
        ("/version", "", false),
    ] {
        let call = Call::of(&Method::GET, &path.parse().unwrap());
        assert_eq!(
            (call.resource.as_str(), call.is_watch),
            (resource, is_watch),
            "{path}"
        );
    }
}

#[test]
fn events_are_split_correctly_however_the_body_is_chunked() {
    for (kind, body) in [
        ("application/json", &b"{1}\n{23}\n"[..]),
        (
            "application/vnd.kubernetes.protobuf;stream=watch",
            &b"\0\0\0\x01a\0\0\0\x02bc"[..],
        ),
    ] {
        for length in 1..=body.len() {
            let mut events = Events::of(&headers(kind));
            let cut: Vec<_> = body.chunks(length).flat_map(|piece| events.take(piece)).collect();
            assert_eq!(cut.len(), 2, "{kind}, {length}");
            assert_eq!(cut.concat(), body);
        }
    }
}

#[test]
fn executor_decodes_the_expired_event_in_both_encodings() {
    use everynode_executor::apiserver::objects::{self, Encoding, WatchEvent};
    use everynode_proto::facts::Pod;

    for kind in [
        "application/json",
        "application/vnd.kubernetes.protobuf;stream=watch",
    ] {
        let headers = headers(kind);
        let framed = Events::of(&headers).expired();
        let encoding = Encoding::of(&headers);
        let frame = match encoding {
            Encoding::Json => framed,
            Encoding::Protobuf => framed.slice(4..),
        };
        let WatchEvent::Error(status) = objects::event::<Pod>(frame, encoding).unwrap() else {
            panic!("{kind}: no error");
        };
        assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    }
}

#[test]
fn bookmarks_are_recognized() {
    assert!(is_bookmark(br#"{"type":"BOOKMARK","object":{}}"#));
    assert!(!is_bookmark(
        br#"{"type":"ADDED","object":{"metadata":{"name":"a-BOOKMARK"}}}"#
    ));
}
