mod supplementary;

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use everynode_proto::facts::Node;
use http::Response;
use serde_json::{Value, json};

use super::*;

/// A scripted answer: its status, content type and body.
type Answer = (u16, &'static str, Vec<u8>);

/// A watch of nodes whose requests are answered from a script, and a record of these requests. After the
/// script's last answer, requests hang.
struct TestWatch {
    changes: mpsc::Receiver<ReceivedChange>,
    requests: Arc<Mutex<Vec<String>>>,
    metrics: Arc<Metrics>,
    checks_requested: watch::Sender<u64>,
    checks_passed: watch::Receiver<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl TestWatch {
    fn new(streaming: bool, answers: Vec<Answer>) -> Self {
        Self::answering(streaming, answers, axum::body::Body::from)
    }

    /// Like `new`, but no response body ends: the connection falls silent.
    fn falling_silent(answers: Vec<Answer>) -> Self {
        Self::answering(true, answers, silent)
    }

    /// Like `new`, but no watch ends. Pages and errors do.
    fn with_endless_watches(answers: Vec<Answer>) -> Self {
        Self::answering(true, answers, silent_if_watch)
    }

    fn answering(streaming: bool, answers: Vec<Answer>, body_of: fn(Vec<u8>) -> axum::body::Body) -> Self {
        Self::watching(Presence::Required, streaming, answers, body_of)
    }

    fn watching(
        presence: Presence,
        streaming: bool,
        answers: Vec<Answer>,
        body_of: fn(Vec<u8>) -> axum::body::Body,
    ) -> Self {
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let script = Arc::new(Mutex::new(VecDeque::from(answers)));
        let recorded = requests.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            // Discovery doesn't list the kind.
            let is_discovery = request.uri() == "/api/v1";
            let answer = if is_discovery {
                Some((404, "text/plain", Vec::new()))
            } else {
                recorded.lock().unwrap().push(request.uri().to_string());
                script.lock().unwrap().pop_front()
            };
            async move {
                let Some((status, content_type, body)) = answer else {
                    return std::future::pending().await;
                };
                let response = Response::builder()
                    .status(status)
                    .header("content-type", content_type)
                    .body(body_of(body));
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        let client = Client::new(service, "default");
        let metrics: Arc<Metrics> = Arc::default();
        let (sender, changes) = mpsc::channel(100);
        let counted = metrics.clone();
        let (checks_requested, requested) = watch::channel(0);
        let (passed, checks_passed) = watch::channel(0);
        let task = tokio::spawn(async move {
            let watch = Watch {
                client: &client,
                presence,
                streaming,
                changes: &sender,
                metrics: &counted,
                wrap: Change::Node,
                checks_requested: requested,
                checks_passed: passed,
            };
            watch.run().await;
        });
        Self {
            changes,
            requests,
            metrics,
            checks_requested,
            checks_passed,
            task,
        }
    }

    /// The next changes in short form: `[` and `]` around a list, `+name`, `-name`, and the states of the watch.
    async fn receive(&mut self, count: usize) -> String {
        let mut received = Vec::new();
        for _ in 0..count {
            let Some(ReceivedChange { change, .. }) = self.changes.recv().await else {
                panic!("nothing more after {received:?}");
            };
            received.push(match change {
                Change::Node(Event::ListBegins) => "[".to_owned(),
                Change::Node(Event::Changed(node)) => format!("+{}", node.metadata.name),
                Change::Node(Event::Gone(node)) => format!("-{}", node.metadata.name),
                Change::Node(Event::ListEnds) => "]".to_owned(),
                Change::State(_, state) => format!("{state:?}"),
                change => panic!("{change:?} after {received:?}"),
            });
        }
        received.join(" ")
    }

    /// Waits until the watch has sent `count` requests. Returns the queries of all requests so far, without the
    /// parameters that are always the same.
    async fn queries(&self, count: usize) -> Vec<String> {
        loop {
            let requests = self.requests.lock().unwrap().clone();
            if requests.len() >= count {
                let query = |uri: &String| {
                    let query = uri.split_once('?').unwrap().1;
                    let parts = query.split('&').filter(|part| {
                        !part.starts_with("timeoutSeconds=")
                            && !["watch=true", "allowWatchBookmarks=true", "limit=500"].contains(part)
                    });
                    parts.collect::<Vec<_>>().join("&")
                };
                return requests.iter().map(query).collect();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// A response body that doesn't end.
fn silent(body: Vec<u8>) -> axum::body::Body {
    let pieces = futures::stream::iter([Ok::<_, Infallible>(body)]);
    axum::body::Body::from_stream(pieces.chain(futures::stream::pending()))
}

/// A response body that ends unless it is a watch's.
fn silent_if_watch(body: Vec<u8>) -> axum::body::Body {
    if body.starts_with(b"{\"object") {
        silent(body)
    } else {
        body.into()
    }
}

const JSON: &str = "application/json";
const STREAMED: &str = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn node(name: &str, version: &str) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "resourceVersion": version}})
}

fn end_of_list(version: &str) -> String {
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    event(
        "BOOKMARK",
        &json!({"metadata": {"resourceVersion": version, "annotations": annotations}}),
    )
}

fn lines(lines: &[String]) -> Answer {
    (200, JSON, lines.concat().into_bytes())
}

/// A page without nodes, which answers the request of a freshness check.
fn page() -> Answer {
    let page = json!({"kind": "NodeList", "metadata": {"resourceVersion": "9"}, "items": []});
    (200, JSON, page.to_string().into_bytes())
}

fn gone() -> Value {
    json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"})
}

#[tokio::test(start_paused = true)]
async fn watch_that_the_server_ends_resumes_at_its_version() {
    let first = [
        event("ADDED", &node("a", "1")),
        end_of_list("5"),
        event("MODIFIED", &node("a", "7")),
    ];
    let bookmark = event("BOOKMARK", &json!({"metadata": {"resourceVersion": "9"}}));
    let second = [event("DELETED", &node("a", "8")), bookmark];
    let mut watch = TestWatch::new(true, vec![lines(&first), lines(&second)]);
    assert_eq!(watch.receive(5).await, "[ +a ] +a -a");
    assert_eq!(
        watch.queries(3).await,
        [STREAMED, "resourceVersion=7", "resourceVersion=9"]
    );
}

#[tokio::test(start_paused = true)]
async fn watch_passes_a_freshness_check_after_the_response_and_not_while_interrupted() {
    let first = [event("ADDED", &node("a", "1")), end_of_list("5")];
    let second = [event("MODIFIED", &node("a", "7"))];
    let refusal = (503, JSON, gone().to_string().into_bytes());
    let answers = vec![lines(&first), refusal, lines(&second), page()];
    let mut watch = TestWatch::with_endless_watches(answers);
    assert_eq!(watch.receive(3).await, "[ +a ]");
    watch.checks_requested.send_replace(1);
    // The first request of the check fails, which interrupts the watch. It resumes at its version, and only then does a
    // second request pass the check.
    watch.checks_passed.wait_for(|passed| *passed == 1).await.unwrap();
    assert_eq!(
        watch.queries(4).await,
        [STREAMED, "limit=1", "resourceVersion=5", "limit=1"]
    );
    assert_eq!(watch.receive(1).await, "+a");
}

#[tokio::test(start_paused = true)]
async fn watch_delivers_earlier_events_before_it_passes_a_freshness_check() {
    let first = [
        event("ADDED", &node("a", "1")),
        end_of_list("5"),
        event("MODIFIED", &node("a", "7")),
    ];
    let mut watch = TestWatch::with_endless_watches(vec![lines(&first), page()]);
    watch.checks_requested.send_replace(1);
    watch.checks_passed.wait_for(|passed| *passed == 1).await.unwrap();
    assert_eq!(watch.changes.len(), 4, "earlier events were delivered first");
    assert_eq!(watch.receive(4).await, "[ +a ] +a");
}

#[tokio::test(start_paused = true)]
async fn silent_watch_times_out_and_resumes_at_its_version() {
    let first = [event("ADDED", &node("a", "1")), end_of_list("5")];
    let second = [event("MODIFIED", &node("a", "7"))];
    let mut watch = TestWatch::falling_silent(vec![lines(&first), lines(&second)]);
    assert_eq!(watch.receive(3).await, "[ +a ]");
    let begun = Instant::now();
    assert_eq!(watch.receive(1).await, "+a");
    let timeout = Duration::from_secs(MIN_WATCH_SECONDS.into());
    let silence = begun.elapsed();
    assert!(silence >= timeout, "{silence:?}");
    assert!(
        silence <= 2 * (timeout + MIN_BACKOFF) + TIMEOUT_GRACE,
        "{silence:?}"
    );
    assert_eq!(watch.queries(2).await, [STREAMED, "resourceVersion=5"]);
}

#[tokio::test(start_paused = true)]
async fn expired_watch_lists_again() {
    let first = [end_of_list("5"), event("ERROR", &gone())];
    let second = [event("ADDED", &node("b", "20")), end_of_list("21")];
    let refused = (410, JSON, gone().to_string().into_bytes());
    let third = [end_of_list("30")];
    let script = vec![lines(&first), lines(&second), refused, lines(&third)];
    let mut watch = TestWatch::new(true, script);
    assert_eq!(watch.receive(2).await, "[ ]");
    let begun = Instant::now();
    assert_eq!(watch.receive(3).await, "[ +b ]");
    assert!(begun.elapsed() < MIN_BACKOFF, "an expired watch must not wait");
    assert_eq!(watch.receive(2).await, "[ ]");
    assert_eq!(
        watch.queries(4).await,
        [STREAMED, STREAMED, "resourceVersion=21", STREAMED]
    );
}

#[tokio::test(start_paused = true)]
async fn interrupted_streamed_list_starts_over() {
    let first = [event("ADDED", &node("a", "1"))];
    let second = [event("ADDED", &node("b", "2")), end_of_list("3")];
    let mut watch = TestWatch::new(true, vec![lines(&first), lines(&second)]);
    assert_eq!(watch.receive(5).await, "[ +a [ +b ]");
    assert_eq!(watch.queries(2).await, [STREAMED, STREAMED]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_and_retried_with_backoff() {
    let busy = json!({"kind": "Status", "code": 429, "message": "busy", "details": {"retryAfterSeconds": 7}});
    let busy = (429, JSON, busy.to_string().into_bytes());
    let broken = (500, "text/plain", b"<html>".to_vec());
    let mut watch = TestWatch::new(true, vec![busy, broken, lines(&[end_of_list("3")])]);
    let begun = Instant::now();
    assert_eq!(watch.receive(2).await, "[ ]");
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_secs(7) + 2 * MIN_BACKOFF,
        "retried after {waited:?}"
    );
    let page = watch.metrics.encode();
    assert!(
        page.contains("everynode_executor_watch_errors_total{kind=\"Node\"} 2"),
        "{page}"
    );
}

#[tokio::test(start_paused = true)]
async fn pending_freshness_check_shortens_the_backoff() {
    let broken = || (500, "text/plain", b"<html>".to_vec());
    let watch = TestWatch::new(true, (0..30).map(|_| broken()).collect());
    watch.queries(10).await;
    let begun = Instant::now();
    watch.queries(12).await;
    assert!(begun.elapsed() >= MAX_BACKOFF / 2, "{:?}", begun.elapsed());
    // The check is requested in the middle of a backoff. It shortens every backoff until the watch passes it.
    watch.checks_requested.send_replace(1);
    let begun = Instant::now();
    watch.queries(16).await;
    assert!(begun.elapsed() <= 5 * MAX_URGENT_BACKOFF, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn unreadable_event_is_skipped() {
    let script = [
        end_of_list("3"),
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":7}}\n".to_owned(),
        "no JSON\n".to_owned(),
        event("ADDED", &node("a", "4")),
    ];
    let mut watch = TestWatch::new(true, vec![lines(&script)]);
    assert_eq!(watch.receive(3).await, "[ ] +a");
}

#[tokio::test(start_paused = true)]
async fn lists_are_paged_when_the_server_doesnt_stream_them() {
    let list = |name: &str, next: &str| {
        let items = json!([node(name, "1")]);
        let list = json!({"metadata": {"resourceVersion": "20", "continue": next}, "items": items});
        (200, JSON, list.to_string().into_bytes())
    };
    let refusal = json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": "forbidden"});
    let script = vec![
        (422, JSON, refusal.to_string().into_bytes()),
        list("a", "to/ken="),
        list("b", ""),
        lines(&[event("DELETED", &node("a", "21"))]),
    ];
    let mut watch = TestWatch::new(true, script);
    assert_eq!(watch.receive(5).await, "[ +a +b ] -a");
    assert_eq!(
        watch.queries(4).await,
        [STREAMED, "", "continue=to%2Fken%3D", "resourceVersion=20"]
    );
}

/// A length-delimited protobuf field: its number and content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 128, "a longer field has a longer length prefix");
    [&[number << 3 | 2, length], content].concat()
}

fn protobuf_event(kind: &str, metadata: &[u8]) -> Vec<u8> {
    let object = field(1, metadata);
    let wrapped = [b"k8s\0".to_vec(), field(2, &object)].concat();
    let event = [field(1, kind.as_bytes()), field(2, &field(1, &wrapped))].concat();
    let length = u32::try_from(event.len()).unwrap().to_be_bytes();
    [&length[..], &event].concat()
}

#[tokio::test(start_paused = true)]
async fn protobuf_events_are_decoded() {
    let meta = |name: &[u8], version: &[u8]| [field(1, name), field(6, version)].concat();
    let annotation = [field(1, b"k8s.io/initial-events-end"), field(2, b"true")].concat();
    let end = [field(6, b"3"), field(12, &annotation)].concat();
    let body = [
        protobuf_event("ADDED", &meta(b"a", b"1")),
        protobuf_event("BOOKMARK", &end),
        protobuf_event("DELETED", &meta(b"a", b"4")),
    ]
    .concat();
    let answer = (200, "application/vnd.kubernetes.protobuf;stream=watch", body);
    let mut watch = TestWatch::new(true, vec![answer]);
    assert_eq!(watch.receive(4).await, "[ +a ] -a");
    assert_eq!(watch.queries(2).await, [STREAMED, "resourceVersion=4"]);
}

#[tokio::test(start_paused = true)]
async fn watch_ends_when_the_receiver_is_dropped() {
    let script = [end_of_list("3"), event("ADDED", &node("a", "4"))];
    let TestWatch { changes, task, .. } = TestWatch::new(true, vec![lines(&script)]);
    drop(changes);
    task.await.unwrap();
}

#[test]
fn protobuf_is_decoded_only_for_kinds_that_offer_it() {
    assert!(Node::from_protobuf(Bytes::new()).is_ok());
    let error = crate::apiserver::objects::DaemonSet::from_protobuf(Bytes::new()).unwrap_err();
    assert_eq!(error.to_string(), "protobuf was not requested");
}
