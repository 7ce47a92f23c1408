use http_body_util::{BodyExt, StreamBody};
use prost::{
    Message,
    bytes::{BufMut, Bytes, BytesMut},
};
use tonic::body::Body;
use tower::Service;

use super::*;

/// Encodes a message with its gRPC frame header.
fn encoded(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

fn request(method: &str, body: Body) -> http::Request<Body> {
    http::Request::post(format!(
        "http://executor/everynode.executor.v1.ExecutorService/{method}"
    ))
    .header("content-type", "application/grpc")
    .body(body)
    .unwrap()
}

fn frames(frames: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    Body::new(StreamBody::new(
        frames.map(|bytes| Ok::<_, Status>(http_body::Frame::data(bytes))),
    ))
}

/// Sends a call with this body and returns its outcome.
async fn outcome(scene: &Scene, method: &str, body: Body) -> Result<(), Status> {
    let response = scene.admission.clone().call(request(method, body)).await.unwrap();
    let headers = response.headers().clone();
    let trailers = response
        .into_body()
        .collect()
        .await
        .unwrap()
        .trailers()
        .cloned()
        .unwrap_or_default();
    let status = [headers, trailers]
        .iter()
        .find_map(Status::from_header_map)
        .unwrap();
    if status.code() == Code::Ok {
        Ok(())
    } else {
        Err(status)
    }
}

fn list(name: &str) -> ListDaemonSetsRequest {
    ListDaemonSetsRequest {
        name: name.to_owned(),
        ..ListDaemonSetsRequest::default()
    }
}

/// A request of exactly this many bytes that asks for a small answer.
fn list_of(bytes: usize) -> ListDaemonSetsRequest {
    ListDaemonSetsRequest {
        namespace: "x".repeat(bytes - 7),
        name: "1".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn body_is_not_read_before_its_call_has_a_permit() {
    let scene = Scene::new(LIMITS);
    let first = scene.call();
    scene.wait_for_start().await;
    let body = frames(stream::poll_fn(|_| panic!("the body was read")));
    let refused = outcome(&scene, "ListDaemonSets", body).await.unwrap_err();
    assert_retryable(&refused, Code::ResourceExhausted, "--max-concurrent-calls");
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn call_without_a_complete_request_ends_at_its_deadline() {
    let scene = Scene::new(LIMITS);
    for begun in [
        Bytes::new(),
        Bytes::from_static(&[0, 0]),
        encoded(&list("1")).slice(..6),
    ] {
        let body = frames(stream::once(async { begun }).chain(stream::pending()));
        let late = outcome(&scene, "ListDaemonSets", body).await.unwrap_err();
        assert_retryable(&late, Code::DeadlineExceeded, "longer than 30 s");
    }
}

#[tokio::test]
async fn message_may_arrive_in_chunks() {
    let scene = Scene::new(LIMITS);
    let message = encoded(&list("7"));
    for size in 1..=message.len() {
        let chunks: Vec<_> = message.chunks(size).map(Bytes::copy_from_slice).collect();
        outcome(&scene, "ListDaemonSets", frames(stream::iter(chunks)))
            .await
            .unwrap_or_else(|status| panic!("chunks of {size}: {status}"));
    }
}

#[tokio::test]
async fn truncated_request_is_an_error_and_returns_the_permit() {
    let scene = Scene::new(LIMITS);
    let message = encoded(&list("7"));
    for cut in 1..message.len() {
        let body = frames(stream::iter([message.slice(..cut)]));
        let failed = outcome(&scene, "ListDaemonSets", body).await.unwrap_err();
        assert_eq!(failed.code(), Code::Internal, "cut after {cut}: {failed}");
    }
    scene.client().list_daemon_sets(list("7")).await.unwrap();
}

#[tokio::test]
async fn second_message_is_invalid_argument_and_returns_the_permit() {
    let scene = Scene::new(LIMITS);
    let message = encoded(&list("7"));
    let twice = frames(stream::iter([message.clone(), message]));
    let refused = outcome(&scene, "ListDaemonSets", twice).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    scene.client().list_daemon_sets(list("7")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_in_progress_share_a_memory_budget() {
    let scene = Scene::new(Limits {
        max_concurrent_calls: 16,
        ..LIMITS
    });
    // Four of the largest requests fit into the budget. Their bodies never end, so they keep their memory.
    let largest = encoded(&list_of(LIMITS.max_message_bytes));
    let mut held = Vec::new();
    for _ in 0..4 {
        let body = frames(stream::once(std::future::ready(largest.clone())).chain(stream::pending()));
        let mut admission = scene.admission.clone();
        held.push(tokio::spawn(admission.call(request("ListDaemonSets", body))));
    }
    tokio::task::yield_now().await;
    let refused = scene.client().list_daemon_sets(list("1")).await.unwrap_err();
    assert_retryable(
        &refused,
        Code::ResourceExhausted,
        "the memory limit of 262144 bytes for the requests of all calls",
    );
    // A request without content needs no memory from the budget.
    scene.fake.go.add_permits(1);
    scene.call().await.unwrap().unwrap();
    held.pop().unwrap().abort();
    scene.client().list_daemon_sets(list("1")).await.unwrap();
    assert!(scene.reports().contains(&"memory".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn background_work_holds_its_memory_until_it_ends() {
    let scene = Scene::new(Limits {
        max_concurrent_calls: 16,
        // The budget of all calls together is one kibibyte.
        max_message_bytes: 256,
        ..LIMITS
    });
    let mut client = scene.client();
    let request = ExplainRequest {
        node: "n".repeat(200),
        ..ExplainRequest::default()
    };
    let abandoned = tokio::spawn(async move { client.explain(request).await });
    scene.wait_for_start().await;
    abandoned.abort();
    let mut client = scene.client();
    let refused = tokio::spawn(async move { client.list_daemon_sets(list("1")).await });
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let refused = refused.await.unwrap().unwrap_err();
    assert_retryable(
        &refused,
        Code::ResourceExhausted,
        "the memory limit of 1024 bytes",
    );
    scene.finish.send(()).unwrap();
    scene.client().list_daemon_sets(list("1")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn answers_share_a_memory_budget_until_they_have_been_sent() {
    let scene = Scene::new(Limits {
        max_concurrent_calls: 16,
        ..LIMITS
    });
    let large = GetNodeOverheadRequest { node: "64000".into() };
    let mut unread = Vec::new();
    for _ in 0..4 {
        let body = frames(stream::iter([encoded(&large)]));
        let answer = scene
            .admission
            .clone()
            .call(request("GetNodeOverhead", body))
            .await;
        unread.push(answer.unwrap());
    }
    let refused = scene.client().get_node_overhead(large.clone()).await.unwrap_err();
    assert_retryable(
        &refused,
        Code::ResourceExhausted,
        "the memory limit of 262144 bytes for the answers of all calls",
    );
    unread.pop();
    scene.client().get_node_overhead(large).await.unwrap();
}

#[tokio::test]
async fn too_large_message_is_resource_exhausted_with_advice() {
    let scene = Scene::new(Limits {
        max_streams: 2,
        ..LIMITS
    });
    let mut client = scene.client();
    let limit = LIMITS.max_message_bytes;
    client.list_daemon_sets(list_of(limit)).await.unwrap();
    let watch = |name: &str| WatchPlansRequest {
        name: name.to_owned(),
        namespace: String::new(),
    };
    let mut watched = client.watch_plans(watch("70000")).await.unwrap().into_inner();
    let refusals = [
        (
            client.list_daemon_sets(list_of(limit + 1)).await.unwrap_err(),
            "split the request",
        ),
        (
            client.list_daemon_sets(list("65536")).await.unwrap_err(),
            "ask for less at once",
        ),
        (
            client
                .get_node_overhead(GetNodeOverheadRequest { node: "65536".into() })
                .await
                .unwrap_err(),
            "ask for less at once",
        ),
        (watched.message().await.unwrap_err(), "ask for less at once"),
        (
            client.watch_plans(watch(&"7".repeat(limit))).await.unwrap_err(),
            "split the request",
        ),
    ];
    for (refused, message) in refusals {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert!(
            refused.message().contains("larger than 65536 bytes") && refused.message().contains(message),
            "{refused}"
        );
    }
    client
        .get_node_overhead(GetNodeOverheadRequest { node: "60000".into() })
        .await
        .unwrap();
}

#[tokio::test]
async fn compressed_message_is_unimplemented_and_the_encoding_is_named() {
    let scene = Scene::new(LIMITS);
    let mut compressed = request("ListDaemonSets", frames(stream::iter([encoded(&list("1"))])));
    compressed
        .headers_mut()
        .insert("grpc-encoding", "gzip".parse().unwrap());
    let response = scene.admission.clone().call(compressed).await.unwrap();
    let refused = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(refused.message().contains("gzip"), "{refused}");
}
