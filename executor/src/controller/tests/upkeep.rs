//! Upkeep, before plans and alongside them.

use super::*;

#[tokio::test(start_paused = true)]
async fn h1_the_planner_hears_of_a_daemon_set_when_its_template_has_a_revision() {
    let mut rig = rig();
    rig.list(agent(), &["n1"], &[], &[]).await;
    let mut planner = rig.open(100).await;
    let call = rig.api.expect("POST", REVISIONS).await;
    assert_eq!(planner.until("sync").await, ["node n1", "sync"]);
    let body = with(
        call.body.clone(),
        json!({"metadata": {"uid": "u", "resourceVersion": "20"}}),
    );
    call.answer(&body);
    assert_eq!(said(&planner.request().await), ["ds ds-1"]);
}

#[tokio::test(start_paused = true)]
async fn h1_a_revision_that_can_not_be_recorded_is_said_in_an_event_and_tried_again_more_slowly() {
    let mut rig = rig();
    rig.list(agent(), &["n1"], &[], &[]).await;
    let begun = Instant::now();
    for _ in 0..5 {
        let (code, body) = forbidden("no");
        rig.api.expect("POST", REVISIONS).await.answer_with(code, &body);
    }
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    let wanted = "FailedHistory: can't record the template as a ControllerRevision: no";
    assert!(rig.events().await.contains(&wanted.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a1_an_orphan_is_adopted_and_then_told() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    rig.saw_pod(&orphan_json("p1", 15)).await;
    rig.api.expect("GET", AGENT).await.answer(&agent_json());
    rig.api
        .expect("PATCH", &format!("{PODS}/p1"))
        .await
        .answer(&pod_json("p1", 16));
    assert_eq!(said(&planner.request().await), ["pod p1"]);
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn a1_what_the_server_does_not_let_it_adopt_is_tried_again_after_a_while() {
    let (mut rig, _planner) = Rig::synced(&["n1"], &[]).await;
    rig.saw_pod(&orphan_json("p1", 15)).await;
    rig.api.expect("GET", AGENT).await.answer(&agent_json());
    let (code, body) = forbidden("no");
    rig.api
        .expect("PATCH", &format!("{PODS}/p1"))
        .await
        .answer_with(code, &body);
    let refused = Instant::now();
    assert_eq!(rig.events().await, ["FailedAdoption: can't adopt pod p1: no"]);
    rig.api.expect("GET", AGENT).await.answer(&agent_json());
    assert!(
        refused.elapsed() >= Duration::from_mins(1),
        "{:?}",
        refused.elapsed()
    );
    rig.api
        .expect("PATCH", &format!("{PODS}/p1"))
        .await
        .answer(&pod_json("p1", 16));
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn a1_an_orphan_that_turns_out_to_be_gone_is_not_asked_for_again() {
    let (mut rig, _planner) = Rig::synced(&["n1"], &[]).await;
    rig.saw_pod(&orphan_json("p1", 15)).await;
    rig.api.expect("GET", AGENT).await.answer(&agent_json());
    let (code, body) = not_found();
    rig.api
        .expect("PATCH", &format!("{PODS}/p1"))
        .await
        .answer_with(code, &body);
    tokio::time::sleep(PATIENCE).await;
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn a4_the_read_before_an_adoption_does_not_bring_a_deleted_daemon_set_back() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    rig.saw_pod(&orphan_json("p1", 15)).await;
    let read = rig.api.expect("GET", AGENT).await;
    let deleting =
        json!({"metadata": {"resourceVersion": "11", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    rig.change(Change::DaemonSet(watch::Event::Changed(agent_with(deleting))))
        .await;
    assert_eq!(said(&planner.request().await), ["ds ds-1 gone"]);
    read.answer(&agent_json());
    rig.api
        .expect("PATCH", &format!("{PODS}/p1"))
        .await
        .answer(&pod_json("p1", 16));
    assert!(
        planner.is_silent(Duration::from_mins(1)).await,
        "the pod of a DaemonSet that is gone is the garbage collector's"
    );
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn h3_a_revision_beyond_the_limit_goes_when_the_last_pod_that_carries_it_has_gone() {
    let mut rig = rig();
    let labels = json!({"metadata": {"labels": {"controller-revision-hash": "r0"}}});
    let old = with(pod_json("p1", 3), labels);
    let limited = agent_with(json!({"spec": {"revisionHistoryLimit": 0}}));
    let revisions = [old_revision_json("r0", 1), revision_json("r1", 2)];
    rig.list(limited, &["n1"], std::slice::from_ref(&old), &revisions)
        .await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await);
    rig.lost_pod(&old).await;
    let call = rig.api.expect("DELETE", &format!("{REVISIONS}/r0")).await;
    assert_eq!(call.body, json!({"preconditions": {"uid": "uid of r0"}}));
    call.answer(&json!({}));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn h1_a_duplicate_of_a_revision_stays_until_something_else_happens() {
    let (mut rig, _planner) = Rig::synced(&["n1"], &[]).await;
    let duplicate = with(
        revision_json("r2", 2),
        json!({"metadata": {"resourceVersion": "20"}}),
    );
    rig.change(Change::Revision(watch::Event::Changed(read(&duplicate))))
        .await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await);
    let labelled = with(
        duplicate,
        json!({"metadata": {"resourceVersion": "21", "labels": {"a": "b"}}}),
    );
    rig.change(Change::Revision(watch::Event::Changed(read(&labelled))))
        .await;
    let call = rig.api.expect("DELETE", &format!("{REVISIONS}/r1")).await;
    call.answer(&json!({}));
}

#[tokio::test(start_paused = true)]
async fn h1_a_collision_is_counted_and_the_template_recorded_under_another_name() {
    let mut rig = rig();
    rig.list(agent(), &["n1"], &[], &[]).await;
    let taken = rig.api.expect("POST", REVISIONS).await;
    let name = taken.body["metadata"]["name"].as_str().unwrap().to_owned();
    let (code, body) = already_exists();
    taken.answer_with(code, &body);
    rig.api
        .expect("GET", &format!("{REVISIONS}/{name}"))
        .await
        .answer(&old_revision_json(&name, 1));
    rig.api.expect("GET", AGENT).await.answer(&agent_json());
    let counted = json!({"metadata": {"resourceVersion": "11"}, "status": {"collisionCount": 1}});
    rig.api
        .expect("PATCH", AGENT_STATUS)
        .await
        .answer(&with(agent_json(), counted));
    let call = rig.api.expect("POST", REVISIONS).await;
    assert_ne!(call.body["metadata"]["name"], name);
}
