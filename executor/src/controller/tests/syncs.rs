//! Acceptance of the full sync, and objects that are too large to be sent to the planner.

use super::*;

const SYNCING: &str = "the planner has not accepted the full sync yet";
const REFUSING: &str = "the planner ends each session before it has accepted the full sync; nothing is created or \
                        deleted until it does";

/// A rig that has sent a full sync, which the planner has not answered yet.
async fn sent(accepts_syncs: bool) -> (Rig, FakePlannerSession) {
    let rig = rig();
    rig.list(agent(), &["n1"], &[], &[revision_json("r1", 1)]).await;
    let mut planner = rig
        .open_with(RequestLimits::from_welcome(100, 0), accepts_syncs)
        .await;
    assert_eq!(
        describe_facts(&planner.next_request().await),
        ["node n1", "ds ds-1", "sync"]
    );
    (rig, planner)
}

#[tokio::test(start_paused = true)]
async fn executor_is_ready_only_after_the_planner_accepted_the_full_sync() {
    let (rig, planner) = sent(true).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(rig.health.unready_reason(), Some(SYNCING));
    assert!(
        rig.metrics
            .encode()
            .contains("everynode_executor_full_syncs_total 0")
    );
    planner.accept(1).await;
    assert_eq!(
        rig.health.unready_reason(),
        Some(SYNCING),
        "sequence 1 is the hello"
    );
    planner.accept(2).await;
    assert_eq!(rig.health.unready_reason(), None);
    assert!(
        rig.metrics
            .encode()
            .contains("everynode_executor_full_syncs_total 1")
    );
}

#[tokio::test(start_paused = true)]
async fn executor_is_unready_when_the_planner_refuses_every_full_sync() {
    let (rig, mut planner) = sent(true).await;
    planner.accept(2).await;
    for _ in 0..3 {
        rig.lose_planner(planner).await;
        planner = rig.open(100).await;
        planner.next_request().await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    rig.lose_planner(planner).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(rig.health.unready_reason(), Some(REFUSING));
    let mut planner = rig.open(100).await;
    planner.until("sync").await;
    assert_eq!(rig.health.unready_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn first_plan_of_an_old_planner_confirms_the_full_sync() {
    let (rig, mut planner) = sent(false).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.health.unready_reason(), Some(SYNCING));
    let plan = Plan {
        based_on: 2,
        ..Plan::default()
    };
    planner.send_plan(plan).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(rig.health.unready_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn old_planner_without_plans_accepts_the_sync_when_the_session_survives() {
    let (rig, _planner) = sent(false).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(rig.health.unready_reason(), Some(SYNCING));
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(rig.health.unready_reason(), None);
}

/// The agent with a nodeSelector that takes this many bytes.
fn large(bytes: usize) -> DaemonSet {
    agent_with(json!({
        "metadata": {"resourceVersion": "20", "generation": 2},
        "spec": {"template": {"spec": {"nodeSelector": {"size": "x".repeat(bytes)}}}},
    }))
}

#[tokio::test(start_paused = true)]
async fn too_large_daemon_set_is_reported_and_others_are_synced() {
    let mut rig = rig_with(true);
    let mut revision = revision_json("r1", 1);
    revision["data"]["spec"]["template"]["spec"]["nodeSelector"] = json!({"size": "x".repeat(9_000)});
    rig.list(large(9_000), &["n1"], &[pod_json("p1", 3)], &[revision])
        .await;
    let other = agent_with(json!({"metadata": {"name": "other", "uid": "ds-2"}}));
    rig.report_daemon_set(other).await;
    let mut other = revision_json("o1", 1);
    other["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "other", "uid": "ds-2", "controller": true,
    }]);
    rig.report(Change::Revision(watch::Event::Changed(read(&other))))
        .await;
    let limits = RequestLimits {
        facts: 100,
        bytes: 4_000,
    };
    let mut planner = rig.open_with(limits, true).await;
    let facts = planner.until("sync").await;
    assert!(facts.contains(&"ds ds-2".to_owned()), "{facts:?}");
    assert!(facts.contains(&"ds ds-1 gone".to_owned()), "{facts:?}");
    assert_eq!(rig.health.unready_reason(), None);
    let events = rig.events().await;
    assert!(
        events
            .iter()
            .any(|event| event.starts_with("ObjectTooLarge: the facts about this DaemonSet take 9")),
        "{events:?}"
    );
    let call = rig.api.expect("PATCH", AGENT_STATUS).await;
    let conditions = &call.body["status"]["conditions"];
    assert_eq!(conditions[0]["type"], "Degraded", "{conditions}");
    assert_eq!(conditions[0]["reason"], "ObjectTooLarge", "{conditions}");
    assert_eq!(call.body["status"]["observedGeneration"], 0, "no plan counts it");
}
