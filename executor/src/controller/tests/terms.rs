//! Terms of leadership: a standby does nothing, and a new leader does everything.

use super::*;

fn standby() -> Rig {
    let rig = rig();
    rig.leads.send_replace(Leadership::of("other"));
    rig
}

#[tokio::test(start_paused = true)]
async fn a_standby_knows_the_cluster_and_does_nothing_until_it_leads() {
    let mut rig = standby();
    rig.list(agent(), &["a"], &[], &[]).await;
    rig.health.listed().await;
    assert!(rig.is_idle().await);
    assert_eq!(rig.health.unready(), None, "its caches are warm");
    let (overview, known) = (
        rig.asker.overview().await.unwrap(),
        rig.asker
            .daemon_set("ds-1", crate::live_view::questions::Which::All)
            .await,
    );
    assert_eq!((overview.daemon_sets.len(), known.unwrap().is_some()), (1, true));

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
async fn who_leads_no_more_begins_nothing_and_leaves_its_session() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    planner.plan(vec![create(1, "n1"), create(2, "n2")]).await;
    let begun = rig.api.expect("POST", PODS).await;

    rig.leads.send_replace(Leadership::of("other"));
    assert!(planner.requests.recv().await.is_none(), "the session is left");
    assert_eq!(rig.health.unready(), None);
    // A new term waits for calls that started before it.
    rig.leads.send_replace(Leadership::ours_in("me", 9));
    assert!(rig.is_idle().await);
    assert!(planner.sessions.is_closed());
    accept(begun, 20);
    let mut planner = rig.open(100).await;
    let said = planner.until("sync").await;
    assert!(said.iter().any(|said| said.starts_with("pod ")), "{said:?}");
    assert_eq!(rig.begun.borrow().as_ref().unwrap().0, 9);
    assert!(
        rig.is_idle().await,
        "the second pod is the new planner's to ask for"
    );
}

#[tokio::test(start_paused = true)]
async fn a_term_that_follows_at_once_has_a_session_of_its_own() {
    let (rig, planner) = Rig::synced(&["n1"], &[]).await;
    rig.leads.send_replace(Leadership::ours_in("me", 9));
    planner.sessions.closed().await;
    let mut planner = rig.open(100).await;
    planner.until("sync").await;
    assert_eq!(rig.begun.borrow().as_ref().unwrap().0, 9);
}
