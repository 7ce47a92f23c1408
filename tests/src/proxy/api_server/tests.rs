use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::events::{Events, field, is_bookmark};
use super::*;

/// Limits how long a watch may take to end.
const DEADLINE: Duration = Duration::from_secs(10);

fn headers(kind: &'static str) -> http::HeaderMap {
    http::HeaderMap::from_iter([(header::CONTENT_TYPE, header::HeaderValue::from_static(kind))])
}

#[test]
fn call_names_its_resource_and_detects_watches() {
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
fn bookmarks_are_recognized_in_both_encodings() {
    assert!(is_bookmark(br#"{"type":"BOOKMARK","object":{}}"#));
    assert!(!is_bookmark(
        br#"{"type":"ADDED","object":{"metadata":{"name":"a-BOOKMARK"}}}"#
    ));
    // A framed event about a pod with the name `a-BOOKMARK`.
    let encoded = |kind: &[u8]| {
        let meta = [field(1, b"v1"), field(2, b"Pod")].concat();
        let pod = field(1, &field(1, b"a-BOOKMARK"));
        let unknown = [b"k8s\0".to_vec(), field(1, &meta), field(2, &pod)].concat();
        let event = [field(1, kind), field(2, &field(1, &unknown))].concat();
        let length = u32::try_from(event.len()).unwrap();
        [&length.to_be_bytes()[..], &event].concat()
    };
    assert!(is_bookmark(&encoded(b"BOOKMARK")));
    assert!(!is_bookmark(&encoded(b"ADDED")));
}

#[tokio::test]
async fn interruption_ends_a_watch_while_an_event_is_delayed() {
    let shared = Arc::new(Shared::new());
    shared
        .delivery
        .send_replace(WatchDelivery::Delayed(Duration::from_mins(10)));
    let (sender, taken) = oneshot::channel();
    let event = async move {
        sender.send(()).unwrap();
        Ok::<_, std::io::Error>("{}\n")
    };
    let events = stream::once(event).chain(stream::pending());
    let watch = delivery::relay_watch(Response::new(Body::from_stream(events)), &shared);
    taken.await.unwrap();
    shared.interruptions.send_replace((1, Interruption::Closed));
    let body = axum::body::to_bytes(watch.into_body(), MAX_BODY_BYTES);
    let body = timeout(DEADLINE, body).await.expect("the watch ends");
    assert!(body.unwrap().is_empty());
    assert_eq!(shared.watches_ended.load(Ordering::Relaxed), 1);
}
