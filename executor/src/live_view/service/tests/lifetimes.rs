//! How long watches last.

use std::time::SystemTime;

use everynode_proto::status::is_watch_expired;
use everynode_serving::serve::{Identity, Peer};
use futures::StreamExt;
use tokio::time::Instant;

use super::{rights::TokenRig, *};

type Events = <Executor as ExecutorService>::WatchPlansStream;

/// Returns the status with which a watch without events ends, and how many seconds the watch lasted.
async fn end(mut events: Events) -> (Status, u64) {
    let began = Instant::now();
    assert!(matches!(
        events.next().await.unwrap().unwrap().event,
        Some(Event::Began(_))
    ));
    // The clock is paused, so even a watch that never ends takes no real time here.
    let end = tokio::time::timeout(Duration::from_hours(2), events.next()).await;
    let end = end.expect("the watch doesn't end").unwrap().unwrap_err();
    assert!(events.next().await.is_none());
    (end, began.elapsed().as_secs())
}

async fn watch(rig: &TokenRig) -> Events {
    let request = rig.request(WatchPlansRequest::default()).await;
    rig.executor.watch_plans(request).await.unwrap().into_inner()
}

#[tokio::test(start_paused = true)]
async fn watch_ends_after_its_maximum_duration_and_another_may_be_opened() {
    let (mut rig, seconds) = (TokenRig::new(&["n1"], &[]).await, 27 * 60..=33 * 60);
    rig.executor.tokens = None;
    for _ in 0..3 {
        let request = Request::new(WatchPlansRequest::default());
        let events = rig.executor.watch_plans(request).await.unwrap().into_inner();
        let (end, after) = end(events).await;
        assert_eq!(
            (end.code(), end.message()),
            (
                Code::Unavailable,
                "the watch has reached its maximum duration; open another"
            )
        );
        assert!(is_watch_expired(&end), "programs recognize it without its text");
        assert!(seconds.contains(&after), "after {after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn watch_with_a_token_lasts_its_maximum_duration_while_its_owner_may_watch() {
    let rig = TokenRig::new(&["n1"], &["watch daemonsets"]).await;
    let (end, after) = end(watch(&rig).await).await;
    assert!(is_watch_expired(&end), "{end}");
    assert!((27 * 60..=33 * 60).contains(&after), "after {after} s");
    let reviews = rig.cluster.reviews().len() as u64;
    let minutes = after / 60;
    assert!(
        (2 * minutes..=2 * minutes + 2).contains(&reviews),
        "{reviews} in {minutes} min"
    );
}

#[tokio::test(start_paused = true)]
async fn watch_ends_within_a_minute_when_its_token_is_revoked() {
    let rig = TokenRig::new(&["n1"], &["watch daemonsets"]).await;
    let events = watch(&rig).await;
    rig.cluster.revoke_token();
    let (end, after) = end(events).await;
    assert_eq!(end.code(), Code::Unauthenticated, "{end}");
    assert_eq!(after, 60);
}

#[tokio::test(start_paused = true)]
async fn watch_ends_within_a_minute_when_the_right_is_revoked() {
    let rig = TokenRig::new(&["n1"], &["watch daemonsets"]).await;
    let events = watch(&rig).await;
    rig.cluster.revoke("watch daemonsets");
    let (end, after) = end(events).await;
    assert_eq!(end.code(), Code::PermissionDenied);
    let message = "daemonsets.apps is forbidden: User \"ann\" cannot watch resource \"daemonsets\"";
    assert!(end.message().starts_with(message), "{end}");
    assert_eq!(after, 60);
}

#[tokio::test(start_paused = true)]
async fn watch_survives_a_short_outage_of_the_api_server_but_not_a_long_one() {
    let rig = TokenRig::new(&["n1"], &["watch daemonsets"]).await;
    let events = watch(&rig).await;
    rig.cluster.set_busy(true);
    let (end, after) = end(events).await;
    assert_eq!(end.code(), Code::Unavailable);
    assert!(!is_watch_expired(&end), "{end}");
    assert_eq!(after, 180);

    rig.cluster.set_busy(false);
    let mut events = watch(&rig).await;
    events.next().await.unwrap().unwrap();
    rig.cluster.set_busy(true);
    assert!(
        tokio::time::timeout(Duration::from_secs(150), events.next())
            .await
            .is_err()
    );
    rig.cluster.set_busy(false);
    assert!(
        tokio::time::timeout(Duration::from_mins(10), events.next())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn watch_ends_when_the_clients_certificate_expires() {
    let mut rig = TokenRig::new(&["n1"], &[]).await;
    rig.executor.tokens = None;
    let mut request = Request::new(WatchPlansRequest::default());
    let identity = Identity::Certificate(["somebody".to_owned()].into());
    let peer = Peer::new(identity, None).with_not_after(SystemTime::now() + Duration::from_mins(5));
    request.extensions_mut().insert(peer);
    let events = rig.executor.watch_plans(request).await.unwrap().into_inner();
    let (end, after) = end(events).await;
    assert_eq!(end.code(), Code::Unauthenticated);
    assert!(end.message().contains("certificate has expired"), "{end}");
    assert!((295..=301).contains(&after), "after {after} s");
}
