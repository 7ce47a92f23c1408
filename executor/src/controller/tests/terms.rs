//! Terms of leadership: a standby makes no calls, and a new term starts all work from the beginning.

use super::*;

fn standby() -> Rig {
    let rig = rig();
    rig.leads.send_replace(Leadership::of("other"));
    rig
}

#[tokio::test(start_paused = true)]
async fn standby_keeps_its_caches_warm_and_makes_no_calls_until_it_leads() {
    let mut rig = standby();
    rig.list(agent(), &["a"], &[], &[]).await;
    rig.health.listed().await;
    assert!(rig.is_idle().await);
    assert_eq!(
        rig.health.unready_reason(),
        None,
        "a standby with warm caches is ready"
    );
    let (overview, snapshot) = (
        rig.query_client.overview().await.unwrap(),
        rig.query_client
            .daemon_set("ds-1", crate::live_view::queries::PodFilter::All)
            .await,
    );
    assert_eq!(
        (overview.daemon_sets.len(), snapshot.unwrap().is_some()),
        (1, true)
    );

    rig.leads.send_replace(Leadership::ours_in("me", 7));
    let begun = rig
        .begun
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    assert_eq!(begun.0, 7);
    let call = rig.api.call().await.unwrap();
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", REVISIONS));
}

#[tokio::test(start_paused = true)]
async fn lost_leadership_stops_new_actions_and_closes_the_session() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    planner.send_actions(vec![create(1, "n1"), create(2, "n2")]).await;
    let begun = rig.api.expect("POST", PODS).await;

    rig.leads.send_replace(Leadership::of("other"));
    assert!(planner.requests.recv().await.is_none(), "the session is closed");
    assert_eq!(rig.health.unready_reason(), None);
    // A new term waits for calls that started before it.
    rig.leads.send_replace(Leadership::ours_in("me", 9));
    assert!(rig.is_idle().await);
    assert!(planner.sessions.is_closed());
    accept(begun, 20);
    let mut planner = rig.open(100).await;
    let facts = planner.until("sync").await;
    assert!(facts.iter().any(|fact| fact.starts_with("pod ")), "{facts:?}");
    assert_eq!(rig.begun.borrow().as_ref().unwrap().0, 9);
    assert!(
        rig.is_idle().await,
        "the second pod waits for a plan of the new planner"
    );
}

#[tokio::test(start_paused = true)]
async fn next_term_opens_a_new_session() {
    let (rig, planner) = Rig::synced(&["n1"], &[]).await;
    rig.leads.send_replace(Leadership::ours_in("me", 9));
    planner.sessions.closed().await;
    let mut planner = rig.open(100).await;
    planner.until("sync").await;
    assert_eq!(rig.begun.borrow().as_ref().unwrap().0, 9);
}
