mod optional;

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
struct Scene {
    changes: mpsc::Receiver<Read>,
    asked: Arc<Mutex<Vec<String>>>,
    metrics: Arc<Metrics>,
    asks: watch::Sender<u64>,
    proof: watch::Receiver<u64>,
    watch: tokio::task::JoinHandle<()>,
}

impl Scene {
    fn new(streaming: bool, answers: Vec<Answer>) -> Self {
        Self::answering(streaming, answers, axum::body::Body::from)
    }

    /// Like `new`, but no response body ends: the connection falls silent.
    fn falling_silent(answers: Vec<Answer>) -> Self {
        Self::answering(true, answers, |body| {
            let pieces = futures::stream::iter([Ok::<_, Infallible>(body)]);
            let silence = pieces.chain(futures::stream::pending());
            axum::body::Body::from_stream(silence)
        })
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
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let script = Arc::new(Mutex::new(VecDeque::from(answers)));
        let heard = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            heard.lock().unwrap().push(request.uri().to_string());
            let answer = script.lock().unwrap().pop_front();
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
        let (asks, asked_for) = watch::channel(0);
        let (proof, proved) = watch::channel(0);
        let watch = tokio::spawn(async move {
            let watch = Watch {
                client: &client,
                presence,
                streaming,
                changes: &sender,
                metrics: &counted,
                wrap: Change::Node,
                asked: asked_for,
                proof,
            };
            watch.run().await;
        });
        Self {
            changes,
            asked,
            metrics,
            asks,
            proof: proved,
            watch,
        }
    }

    /// The next changes in short form: `[` and `]` around a list, `+name`, `-name`.
    async fn hear(&mut self, count: usize) -> String {
        let mut heard = Vec::new();
        for _ in 0..count {
            let Some(Read {
                change: Change::Node(event),
                ..
            }) = self.changes.recv().await
            else {
                panic!("nothing more after {heard:?}");
            };
            heard.push(match event {
                Event::ListBegins => "[".to_owned(),
                Event::Changed(node) => format!("+{}", node.metadata.name),
                Event::Gone(node) => format!("-{}", node.metadata.name),
                Event::ListEnds => "]".to_owned(),
            });
        }
        heard.join(" ")
    }

    /// The queries of the requests so far, without the parameters that are always the same.
    async fn queries(&self, count: usize) -> Vec<String> {
        loop {
            let asked = self.asked.lock().unwrap().clone();
            if asked.len() >= count {
                let query = |uri: &String| {
                    let query = uri.split_once('?').unwrap().1;
                    let parts = query.split('&').filter(|part| {
                        !part.starts_with("timeoutSeconds=")
                            && !["watch=true", "allowWatchBookmarks=true", "limit=500"].contains(part)
                    });
                    parts.collect::<Vec<_>>().join("&")
                };
                return asked.iter().map(query).collect();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
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
async fn a_watch_that_the_server_ends_goes_on_where_it_was() {
    let first = [
        event("ADDED", &node("a", "1")),
        end_of_list("5"),
        event("MODIFIED", &node("a", "7")),
    ];
    let bookmark = event("BOOKMARK", &json!({"metadata": {"resourceVersion": "9"}}));
    let second = [event("DELETED", &node("a", "8")), bookmark];
    let mut scene = Scene::new(true, vec![lines(&first), lines(&second)]);
    assert_eq!(scene.hear(5).await, "[ +a ] +a -a");
    assert_eq!(
        scene.queries(3).await,
        [STREAMED, "resourceVersion=7", "resourceVersion=9"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_fresh_when_the_server_has_answered_and_not_while_it_is_interrupted() {
    let first = [event("ADDED", &node("a", "1")), end_of_list("5")];
    let second = [event("MODIFIED", &node("a", "7"))];
    let refusal = (503, JSON, gone().to_string().into_bytes());
    let answers = vec![lines(&first), refusal, lines(&second), page()];
    let mut scene = Scene::falling_silent(answers);
    assert_eq!(scene.hear(3).await, "[ +a ]");
    scene.asks.send_replace(1);
    // The first freshness request is refused, so the watch resumes where it was. It becomes fresh when a
    // later request succeeds.
    assert_eq!(scene.hear(1).await, "+a");
    assert_eq!(*scene.proof.borrow(), 0);
    assert_eq!(
        scene.queries(4).await,
        [STREAMED, "limit=1", "resourceVersion=5", "limit=1"]
    );
    assert!(scene.proof.has_changed().is_ok_and(|changed| !changed));
}

#[tokio::test(start_paused = true)]
async fn a_watch_says_that_it_is_fresh_after_what_was_there_before() {
    let first = [
        event("ADDED", &node("a", "1")),
        end_of_list("5"),
        event("MODIFIED", &node("a", "7")),
    ];
    let mut scene = Scene::answering(true, vec![lines(&first), page()], |body| {
        let is_page = body.starts_with(b"{\"items");
        let pieces = futures::stream::iter([Ok::<_, Infallible>(body)]);
        if is_page {
            axum::body::Body::from_stream(pieces)
        } else {
            axum::body::Body::from_stream(pieces.chain(futures::stream::pending()))
        }
    });
    scene.asks.send_replace(1);
    scene.proof.wait_for(|proved| *proved == 1).await.unwrap();
    assert_eq!(scene.changes.len(), 4, "all of it was said before");
    assert_eq!(scene.hear(4).await, "[ +a ] +a");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_silent_is_given_up_soon_after_its_time_and_goes_on_where_it_was() {
    let first = [event("ADDED", &node("a", "1")), end_of_list("5")];
    let second = [event("MODIFIED", &node("a", "7"))];
    let mut scene = Scene::falling_silent(vec![lines(&first), lines(&second)]);
    assert_eq!(scene.hear(3).await, "[ +a ]");
    let begun = Instant::now();
    assert_eq!(scene.hear(1).await, "+a");
    let asked_for = Duration::from_secs(SHORTEST_WATCH_SECONDS.into());
    let silence = begun.elapsed();
    assert!(silence >= asked_for, "{silence:?}");
    assert!(silence <= 2 * (asked_for + FIRST_WAIT) + OVERTIME, "{silence:?}");
    assert_eq!(scene.queries(2).await, [STREAMED, "resourceVersion=5"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_has_forgotten_is_listed_anew() {
    let first = [end_of_list("5"), event("ERROR", &gone())];
    let second = [event("ADDED", &node("b", "20")), end_of_list("21")];
    let refused = (410, JSON, gone().to_string().into_bytes());
    let third = [end_of_list("30")];
    let script = vec![lines(&first), lines(&second), refused, lines(&third)];
    let mut scene = Scene::new(true, script);
    assert_eq!(scene.hear(2).await, "[ ]");
    let begun = Instant::now();
    assert_eq!(scene.hear(3).await, "[ +b ]");
    assert!(
        begun.elapsed() < FIRST_WAIT,
        "a watch that only was too old waited"
    );
    assert_eq!(scene.hear(2).await, "[ ]");
    assert_eq!(
        scene.queries(4).await,
        [STREAMED, STREAMED, "resourceVersion=21", STREAMED]
    );
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_that_breaks_off_begins_anew() {
    let first = [event("ADDED", &node("a", "1"))];
    let second = [event("ADDED", &node("b", "2")), end_of_list("3")];
    let mut scene = Scene::new(true, vec![lines(&first), lines(&second)]);
    assert_eq!(scene.hear(5).await, "[ +a [ +b ]");
    assert_eq!(scene.queries(2).await, [STREAMED, STREAMED]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_waited_out_and_counted() {
    let busy = json!({"kind": "Status", "code": 429, "message": "busy", "details": {"retryAfterSeconds": 7}});
    let busy = (429, JSON, busy.to_string().into_bytes());
    let broken = (500, "text/plain", b"<html>".to_vec());
    let mut scene = Scene::new(true, vec![busy, broken, lines(&[end_of_list("3")])]);
    let begun = Instant::now();
    assert_eq!(scene.hear(2).await, "[ ]");
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_secs(7) + 2 * FIRST_WAIT,
        "it was asked again after {waited:?}"
    );
    let page = scene.metrics.encode();
    assert!(
        page.contains("everynode_executor_watch_errors_total{kind=\"Node\"} 2"),
        "{page}"
    );
}

#[tokio::test(start_paused = true)]
async fn waits_are_cut_short_while_it_is_asked_whether_everything_has_been_said() {
    let broken = || (500, "text/plain", b"<html>".to_vec());
    let scene = Scene::new(true, (0..30).map(|_| broken()).collect());
    scene.queries(10).await;
    let begun = Instant::now();
    scene.queries(12).await;
    assert!(begun.elapsed() >= LONGEST_WAIT / 2, "{:?}", begun.elapsed());
    // In the middle of a backoff, and for as long as no answer arrives.
    scene.asks.send_replace(1);
    let begun = Instant::now();
    scene.queries(16).await;
    assert!(
        begun.elapsed() <= 5 * LONGEST_URGENT_WAIT,
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cant_be_read_is_left_out() {
    let script = [
        end_of_list("3"),
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":7}}\n".to_owned(),
        "no JSON\n".to_owned(),
        event("ADDED", &node("a", "4")),
    ];
    let mut scene = Scene::new(true, vec![lines(&script)]);
    assert_eq!(scene.hear(3).await, "[ ] +a");
}

#[tokio::test(start_paused = true)]
async fn lists_are_paged_where_they_arent_streamed() {
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
    let mut scene = Scene::new(true, script);
    assert_eq!(scene.hear(5).await, "[ +a +b ] -a");
    assert_eq!(
        scene.queries(4).await,
        [STREAMED, "", "continue=to%2Fken%3D", "resourceVersion=20"]
    );
}

/// A length-delimited protobuf field: its number and content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 128, "a longer one takes another length");
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
async fn a_server_that_chooses_protobuf_is_understood() {
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
    let mut scene = Scene::new(true, vec![answer]);
    assert_eq!(scene.hear(4).await, "[ +a ] -a");
    assert_eq!(scene.queries(2).await, [STREAMED, "resourceVersion=4"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_nobody_listens_to_ends() {
    let script = [end_of_list("3"), event("ADDED", &node("a", "4"))];
    let Scene { changes, watch, .. } = Scene::new(true, vec![lines(&script)]);
    drop(changes);
    watch.await.unwrap();
}

#[test]
fn only_kinds_that_offer_it_take_protobuf() {
    assert!(Node::from_protobuf(Bytes::new()).is_ok());
    let error = crate::apiserver::objects::DaemonSet::from_protobuf(Bytes::new()).unwrap_err();
    assert_eq!(error.to_string(), "protobuf wasn't asked for");
}
