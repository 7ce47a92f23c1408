//! Upkeep, before plans and alongside them.

use everynode_proto::planner::v1::fact::Fact;

use super::*;

#[tokio::test(start_paused = true)]
async fn h1_daemon_set_is_sent_once_its_template_has_a_revision() {
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
    assert_eq!(describe_facts(&planner.next_request().await), ["ds ds-1"]);
}

#[tokio::test(start_paused = true)]
async fn h1_failure_to_record_a_revision_emits_an_event_and_is_retried_with_backoff() {
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
async fn a1_orphan_is_adopted_then_sent_to_the_planner() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    rig.report_pod(&orphan_json("p1", 15)).await;
    rig.api.expect("GET", AGENT).await.answer(&agent_json());
    rig.api
        .expect("PATCH", &format!("{PODS}/p1"))
        .await
        .answer(&pod_json("p1", 16));
    assert_eq!(describe_facts(&planner.next_request().await), ["pod p1"]);
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn a1_refused_adoption_is_retried_after_a_minute() {
    let (mut rig, _planner) = Rig::synced(&["n1"], &[]).await;
    rig.report_pod(&orphan_json("p1", 15)).await;
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
async fn a1_orphan_that_is_gone_is_not_adopted_again() {
    let (mut rig, _planner) = Rig::synced(&["n1"], &[]).await;
    rig.report_pod(&orphan_json("p1", 15)).await;
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
async fn a4_read_before_an_adoption_does_not_restore_a_deleted_daemon_set() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    rig.report_pod(&orphan_json("p1", 15)).await;
    let read = rig.api.expect("GET", AGENT).await;
    let deleting =
        json!({"metadata": {"resourceVersion": "11", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    rig.report(Change::DaemonSet(watch::Event::Changed(agent_with(deleting))))
        .await;
    assert_eq!(describe_facts(&planner.next_request().await), ["ds ds-1 gone"]);
    read.answer(&agent_json());
    rig.api
        .expect("PATCH", &format!("{PODS}/p1"))
        .await
        .answer(&pod_json("p1", 16));
    assert!(
        planner.sends_nothing(Duration::from_mins(1)).await,
        "the garbage collector deletes the pods of a deleted DaemonSet"
    );
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn h3_revision_beyond_the_limit_is_deleted_after_its_last_pod() {
    let mut rig = rig();
    let labels = json!({"metadata": {"labels": {"controller-revision-hash": "r0"}}});
    let old = with(pod_json("p1", 3), labels);
    let limited = agent_with(json!({"spec": {"revisionHistoryLimit": 0}}));
    let revisions = [old_revision_json("r0", 1), revision_json("r1", 2)];
    rig.list(limited, &["n1"], std::slice::from_ref(&old), &revisions)
        .await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await);
    rig.report_pod_gone(&old).await;
    let call = rig.api.expect("DELETE", &format!("{REVISIONS}/r0")).await;
    assert_eq!(call.body, json!({"preconditions": {"uid": "uid of r0"}}));
    call.answer(&json!({}));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await);
}

/// A second revision with the agent's template.
fn duplicate() -> Change {
    let duplicate = with(
        revision_json("r2", 2),
        json!({"metadata": {"resourceVersion": "20"}}),
    );
    Change::Revision(watch::Event::Changed(read(&duplicate)))
}

fn with_hash(pod: Value, hash: &str) -> Value {
    let labels = json!({"controller-revision-hash": hash});
    with(pod, json!({"metadata": {"labels": labels}}))
}

#[tokio::test(start_paused = true)]
async fn h1_duplicate_revision_is_merged_when_a_node_a_pod_or_the_daemon_set_changes() {
    let pod = with_hash(pod_json("p1", 30), "r2");
    let labeled = agent_with(json!({"metadata": {"resourceVersion": "30", "labels": {"a": "b"}}}));
    for event in [
        Change::Node(watch::Event::Changed(node("n2"))),
        Change::Pod(watch::Event::Changed(read(&pod))),
        Change::Pod(watch::Event::Gone(read(&pod))),
        Change::DaemonSet(watch::Event::Changed(labeled)),
    ] {
        let (mut rig, _planner) = Rig::synced(&["n1"], &[]).await;
        rig.report(duplicate()).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(rig.is_idle().await, "its creator may still be using it");
        let (begun, what) = (Instant::now(), format!("{event:?}"));
        rig.report(event).await;
        let call = rig.api.expect("DELETE", &format!("{REVISIONS}/r1")).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{what}");
        call.answer(&json!({}));
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(rig.is_idle().await, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn h1_duplicate_revision_is_merged_after_some_seconds_if_nothing_else_happens() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let begun = Instant::now();
    tokio::spawn(async move { while planner.requests.recv().await.is_some() {} });
    rig.report(duplicate()).await;
    let call = rig.api.expect("DELETE", &format!("{REVISIONS}/r1")).await;
    let waited = begun.elapsed();
    let range = Duration::from_secs(5)..=Duration::from_secs(10);
    assert!(range.contains(&waited), "{waited:?}");
    call.answer(&json!({}));
}

/// Waits for the `DaemonSet`'s next facts, and returns its revision and the revisions that equal it.
async fn announced_revisions(planner: &mut FakePlannerSession) -> (String, Vec<String>) {
    loop {
        for fact in planner.next_request().await.facts {
            if let Some(Fact::DaemonSetChanged(facts)) = fact.fact {
                return (facts.update_revision, facts.equal_revisions);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h1_planner_knows_the_duplicates_before_their_pods_are_relabeled() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    rig.report(duplicate()).await;
    rig.report(Change::Node(watch::Event::Changed(node("n2")))).await;
    let call = rig.api.expect("PATCH", &format!("{PODS}/p1")).await;
    let merging = ("r2".to_owned(), vec!["r1".to_owned()]);
    assert_eq!(announced_revisions(&mut planner).await, merging);
    call.answer(&with_hash(pod_json("p1", 21), "r2"));
    let call = rig.api.expect("DELETE", &format!("{REVISIONS}/r1")).await;
    call.answer(&json!({}));
    let merged = ("r2".to_owned(), Vec::new());
    assert_eq!(announced_revisions(&mut planner).await, merged);
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn h1_merge_waits_until_the_planner_is_told_and_does_without_a_planner() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    // The planner doesn't read this request, and its channel has room for only one.
    rig.report(Change::Node(watch::Event::Changed(node("n2")))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.report(duplicate()).await;
    rig.report(Change::Node(watch::Event::Changed(node("n3")))).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await, "the planner doesn't know the duplicate yet");
    let merging = ("r2".to_owned(), vec!["r1".to_owned()]);
    assert_eq!(announced_revisions(&mut planner).await, merging);
    let call = rig.api.expect("PATCH", &format!("{PODS}/p1")).await;
    drop(call);

    let (mut rig, planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    rig.lose_planner(planner).await;
    rig.report(duplicate()).await;
    rig.report(Change::Node(watch::Event::Changed(node("n2")))).await;
    rig.api.expect("PATCH", &format!("{PODS}/p1")).await;
}

#[tokio::test(start_paused = true)]
async fn postponed_merge_starts_when_the_planner_is_lost() {
    let (mut rig, planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    // The planner doesn't read this request, and its channel has room for only one.
    rig.report(Change::Node(watch::Event::Changed(node("n2")))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.report(duplicate()).await;
    rig.report(Change::Node(watch::Event::Changed(node("n3")))).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await, "the planner doesn't know the duplicate yet");
    rig.lose_planner(planner).await;
    rig.api.expect("PATCH", &format!("{PODS}/p1")).await;
}

#[tokio::test(start_paused = true)]
async fn h1_merge_waits_for_pods_that_are_being_created() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_actions(vec![create(1, "n1")]).await;
    let creation = rig.api.expect("POST", PODS).await;
    rig.report(duplicate()).await;
    rig.report(Change::Node(watch::Event::Changed(node("n2")))).await;
    assert!(
        rig.is_idle().await,
        "the pod that is being created has the old hash"
    );
    let pod = accept(creation, 21);
    let call = rig
        .api
        .expect("PATCH", &format!("{PODS}/{}", name_of(&pod)))
        .await;
    assert_eq!(
        call.body["metadata"]["labels"],
        json!({"controller-revision-hash": "r2"})
    );
    call.answer(&with_hash(
        with(pod, json!({"metadata": {"resourceVersion": "22"}})),
        "r2",
    ));
    let call = rig.api.expect("DELETE", &format!("{REVISIONS}/r1")).await;
    call.answer(&json!({}));
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn h1_collision_is_counted_and_the_template_recorded_under_another_name() {
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
