use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;
use crate::serve::response_body::ResponseBody;

/// A body that always has a frame ready, and that ends without a status after far more frames than may follow the end
/// of a stream.
fn ready_frames() -> Body {
    let frame = || Ok::<_, Status>(Frame::data(Bytes::from_static(b"message")));
    Body::new(StreamBody::new(stream::iter(
        std::iter::repeat_with(frame).take(10_000),
    )))
}

/// Reads the whole body and returns the code of its status.
async fn end_of(body: ResponseBody) -> Code {
    let trailers = body.collect().await.unwrap().trailers().cloned();
    Status::from_header_map(&trailers.unwrap()).unwrap().code()
}

#[tokio::test(start_paused = true)]
async fn stream_over_the_limit_is_refused_until_another_has_ended() {
    let scene = Scene::new(LIMITS);
    let mut client = scene.client();
    let mut watch = client
        .watch_plans(WatchPlansRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let refused = client
        .watch_plans(WatchPlansRequest::default())
        .await
        .unwrap_err();
    let message = "the limit of 1 open watches (--max-watches) is reached";
    assert_retryable(&refused, Code::ResourceExhausted, message);
    drop(watch);
    client.watch_plans(WatchPlansRequest::default()).await.unwrap();
    assert_eq!(
        scene.reports(),
        [
            "Stream started",
            "streams",
            "Stream ended",
            "Stream started",
            "Stream ended"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn streams_and_unary_calls_have_separate_limits_and_streams_have_no_deadline() {
    let scene = Scene::new(LIMITS);
    let mut request = Request::new(WatchPlansRequest::default());
    request.set_timeout(Duration::from_secs(2));
    let mut watch = scene.client().watch_plans(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let late = scene.call().await.unwrap().unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let idle = tokio::time::timeout(Duration::from_hours(1), watch.message()).await;
    assert!(idle.is_err(), "the stream has ended: {idle:?}");
}

#[tokio::test(start_paused = true)]
async fn on_shutdown_streams_end_with_unavailable_and_unary_calls_are_answered() {
    let scene = Scene::new(LIMITS);
    let call = scene.call();
    scene.wait_for_start().await;
    let mut watch = scene
        .client()
        .watch_plans(WatchPlansRequest::default())
        .await
        .unwrap()
        .into_inner();
    scene.shutdown.cancel();
    assert!(watch.message().await.unwrap().is_some());
    let end = watch.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    scene.fake.go.add_permits(1);
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn stream_that_always_has_a_message_ready_ends_on_shutdown_and_at_its_timeout() {
    let shutdown = CancellationToken::new();
    let observer = Arc::new(RecordingObserver::default());
    let limiter = Arc::new(Limiter::new(LIMITS, observer, shutdown.clone()));
    let (permit, _memory) = limiter.try_acquire_auxiliary(None).unwrap();
    let timeout = Duration::from_mins(1);
    let reflection = ResponseBody::auxiliary(
        ready_frames(),
        limiter.clone(),
        permit,
        shutdown.clone(),
        Some(timeout),
    );
    let watch = ResponseBody::stream(ready_frames(), limiter, None, shutdown.clone());
    tokio::time::advance(timeout * 2).await;
    assert_eq!(end_of(reflection).await, Code::DeadlineExceeded);
    shutdown.cancel();
    assert_eq!(end_of(watch).await, Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn health_watches_dont_count_as_streams_and_end_on_shutdown() {
    let (observer, shutdown) = (Arc::new(RecordingObserver::default()), CancellationToken::new());
    let health = Health::new("service").await;
    let service = health.service();
    let methods = Methods::from_descriptors(everynode_proto::FILE_DESCRIPTOR_SET).unwrap();
    let admission = AdmissionLayer::new(
        Limiter::new(LIMITS, observer.clone(), shutdown.clone()),
        methods,
        None,
        None,
    )
    .layer(service);
    let mut client = HealthClient::new(admission);
    let mut watches = Vec::new();
    for _ in 0..10 {
        let watch = client.watch(HealthCheckRequest::default()).await.unwrap();
        watches.push(watch.into_inner());
    }
    shutdown.cancel();
    for mut watch in watches {
        assert!(
            watch.message().await.unwrap().is_some(),
            "the current status comes first"
        );
        assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!(*observer.0.lock().unwrap(), Vec::<String>::new());
}
