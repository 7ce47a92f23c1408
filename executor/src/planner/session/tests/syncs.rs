//! The planner's limits and capabilities, and its confirmation of full syncs.

use everynode_proto::planner::v1::SyncAccepted;

use super::*;

#[tokio::test(start_paused = true)]
async fn welcome_announces_limits_and_capabilities() {
    let mut rig = rig();
    let stream = rig.stream().await;
    let welcome = Welcome {
        max_facts_per_request: 500,
        capabilities: ["something_newer", "sync_accepted", "pod_availability"]
            .map(str::to_owned)
            .to_vec(),
        max_request_bytes: 4_000_000,
        ..Welcome::default()
    };
    stream.send(Message::Welcome(welcome)).await;
    stream
        .send(Message::SyncAccepted(SyncAccepted { sequence: 7 }))
        .await;
    let Event::Opened {
        limits,
        accepts_syncs,
        has_availability,
        ..
    } = rig.event().await
    else {
        panic!("not opened")
    };
    assert_eq!(
        (limits.facts, limits.bytes, accepts_syncs, has_availability),
        (500, 4_000_000, true, true)
    );
    assert!(matches!(rig.event().await, Event::SyncAccepted(7)));
}

#[tokio::test(start_paused = true)]
async fn welcome_of_an_earlier_planner_announces_no_capabilities() {
    let mut rig = rig();
    rig.stream().await.send(welcome(500)).await;
    let Event::Opened {
        limits,
        accepts_syncs,
        has_availability,
        ..
    } = rig.event().await
    else {
        panic!("not opened")
    };
    assert_eq!(limits, RequestLimits::from_welcome(500, 0));
    assert!(!accepts_syncs && !has_availability);
}
