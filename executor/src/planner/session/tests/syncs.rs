//! Events about full syncs that a session passes on.

use everynode_proto::planner::v1::SyncAccepted;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_planner_tells_its_limit_and_that_it_accepts_full_syncs() {
    let mut rig = rig();
    let stream = rig.stream().await;
    let welcome = Welcome {
        max_facts_per_request: 500,
        capabilities: vec!["something_newer".to_owned(), "sync_accepted".to_owned()],
        max_request_bytes: 4_000_000,
        ..Welcome::default()
    };
    stream.say(Message::Welcome(welcome)).await;
    stream
        .say(Message::SyncAccepted(SyncAccepted { sequence: 7 }))
        .await;
    let Event::Opened {
        limits,
        accepts_syncs,
        ..
    } = rig.event().await
    else {
        panic!("not opened")
    };
    assert_eq!(
        (limits.facts, limits.bytes, accepts_syncs),
        (500, 4_000_000, true)
    );
    assert!(matches!(rig.event().await, Event::SyncAccepted(7)));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_planner_tells_neither() {
    let mut rig = rig();
    rig.stream().await.say(welcome(500)).await;
    let Event::Opened {
        limits,
        accepts_syncs,
        ..
    } = rig.event().await
    else {
        panic!("not opened")
    };
    assert_eq!((limits, accepts_syncs), (RequestLimits::told(500, 0), false));
}
