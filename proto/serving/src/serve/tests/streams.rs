use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;

#[tokio::test(start_paused = true)]
async fn one_stream_more_is_refused_until_one_has_ended() {
    let scene = Scene::with(LIMITS);
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
    let words = "1 watches are open, and no more at the same time (--max-watches)";
    assert_try_again(&refused, Code::ResourceExhausted, words);
    drop(watch);
    client.watch_plans(WatchPlansRequest::default()).await.unwrap();
    assert_eq!(
        scene.told(),
        [
            "Stream began",
            "streams",
            "Stream ended",
            "Stream began",
            "Stream ended"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn streams_and_calls_take_no_places_from_each_other_and_a_stream_has_no_deadline() {
    let scene = Scene::with(LIMITS);
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
async fn on_shutdown_streams_end_with_unavailable_after_what_was_said_and_calls_are_answered() {
    let scene = Scene::with(LIMITS);
    let call = scene.call();
    scene.entered().await;
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
async fn health_has_no_limit_but_ends_on_shutdown() {
    let (tally, shutdown) = (Arc::new(Tally::default()), CancellationToken::new());
    let health = Health::of("service").await;
    let service = health.service();
    let methods = Methods::described_in(everynode_proto::FILE_DESCRIPTOR_SET).unwrap();
    let gate = GateLayer::new(
        Room::new(LIMITS, tally.clone(), shutdown.clone()),
        methods,
        None,
        None,
    )
    .layer(service);
    let mut client = HealthClient::new(gate);
    let mut watches = Vec::new();
    for _ in 0..10 {
        let watch = client.watch(HealthCheckRequest::default()).await.unwrap();
        watches.push(watch.into_inner());
    }
    shutdown.cancel();
    for mut watch in watches {
        assert!(
            watch.message().await.unwrap().is_some(),
            "the state of health comes first"
        );
        assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!(*tally.0.lock().unwrap(), Vec::<String>::new());
}
