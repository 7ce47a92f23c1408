//! Queries to the loop, and the events that watchers get.

use std::sync::Arc;

use everynode_proto::{
    executor::v1::{PlannerInfo, watch_plans_response::Event},
    planner::v1::NodeFacts,
};

use super::*;
use crate::live_view::{
    queries::{EventSubscription, Overview, PodFilter},
    view::{Refusal, RequestedActions, Snapshot, Upkeep},
};

impl Rig {
    /// The state of the agent once all pending work has run.
    pub(super) async fn snapshot(&self, filter: PodFilter) -> Snapshot {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.query_client
            .daemon_set("ds-1", filter)
            .await
            .unwrap()
            .unwrap()
    }

    async fn watch(&self) -> EventSubscription {
        self.query_client.subscribe().await.unwrap()
    }
}

pub(super) fn ready_json(name: &str, revision: &str) -> Value {
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    with(
        pod_json(name, 3),
        json!({"metadata": {"labels": {"controller-revision-hash": revision}}, "status": {"conditions": ready}}),
    )
}

pub(super) fn names(snapshot: &Snapshot) -> Vec<&str> {
    let mut names: Vec<_> = snapshot.pods.iter().map(|pod| pod.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn info(is_synced: bool) -> PlannerInfo {
    PlannerInfo {
        version: "0.1.0".to_owned(),
        rules_version: "1".to_owned(),
        is_synced,
    }
}

/// The events received so far, in short form.
fn received_events(watch: &mut EventSubscription) -> Vec<String> {
    let mut events = Vec::new();
    while let Ok(received) = watch.events.try_recv() {
        assert!(received.time.is_some());
        events.push(match received.event.as_ref().unwrap() {
            Event::Plan(plan) => format!("plan {} of {}", plan.id, plan.daemon_set),
            Event::ActionEnded(ended) => {
                let outcome = ended.outcome();
                format!(
                    "{} {} {outcome:?}: {}",
                    ended.daemon_set, ended.action_id, ended.message
                )
            }
            Event::PlannerChanged(changed) => {
                format!("planner {:?}", changed.planner.as_ref().map(|p| p.is_synced))
            }
            event => panic!("{event:?}"),
        });
    }
    events
}

#[tokio::test(start_paused = true)]
async fn overview_returns_the_planner_and_all_daemon_sets() {
    let rig = rig();
    let Overview { planner, daemon_sets } = rig.query_client.overview().await.unwrap();
    assert_eq!((planner, daemon_sets.len()), (None, 0));
    rig.list(agent(), &["n2", "n1"], &[], &[revision_json("r1", 1)])
        .await;
    let mut planner = rig.open(100).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    planner.until("sync").await;
    let overview = rig.query_client.overview().await.unwrap();
    assert_eq!(overview.planner, Some(info(true)));
    assert_eq!(overview.daemon_sets[0].key(), "default/agent");
    let nodes: Vec<Arc<NodeFacts>> = rig.query_client.nodes().await.unwrap();
    let nodes: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(nodes, ["n1", "n2"]);
    assert!(
        rig.query_client
            .daemon_set("ds-2", PodFilter::All)
            .await
            .unwrap()
            .is_none()
    );
    rig.lose_planner(planner).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(rig.query_client.overview().await.unwrap().planner, None);
}

#[tokio::test(start_paused = true)]
async fn query_returns_only_the_pods_that_match_its_filter() {
    let pods = [
        ready_json("ready", "r1"),
        pod_json("unready", 4),
        with(ready_json("elsewhere", "r0"), json!({"spec": {"nodeName": "n2"}})),
        with(
            ready_json("leaving", "r1"),
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        ),
    ];
    let (rig, _planner) = Rig::synced(&["n1", "n2"], &pods).await;
    let all = ["elsewhere", "leaving", "ready", "unready"];
    assert_eq!(names(&rig.snapshot(PodFilter::All).await), all);
    assert_eq!(
        names(&rig.snapshot(PodFilter::Remarkable).await),
        ["leaving", "unready"]
    );
    let there = PodFilter::OnNode("n2".to_owned());
    assert_eq!(names(&rig.snapshot(there).await), ["elsewhere"]);
}

#[tokio::test(start_paused = true)]
async fn old_pods_are_remarkable_under_on_delete() {
    let pods = [ready_json("current", "r1"), ready_json("old", "r0")];
    let spec = json!({"spec": {"updateStrategy": {"type": "OnDelete"}}});
    let rig = rig();
    rig.list(agent_with(spec), &["n1"], &pods, &[revision_json("r1", 1)])
        .await;
    assert_eq!(names(&rig.snapshot(PodFilter::Remarkable).await), ["old"]);
}

#[tokio::test(start_paused = true)]
async fn query_returns_counters_problems_and_revision_of_the_last_plan() {
    let (rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let before = rig.snapshot(PodFilter::All).await;
    assert_eq!((before.counters, before.revision.as_deref()), (None, Some("r1")));
    assert_eq!(before.upkeep, Upkeep::Done);
    let status = Some(DaemonSetStatus {
        desired_number_scheduled: 7,
        ..DaemonSetStatus::default()
    });
    let problems = vec![Problem {
        message: "odd".to_owned(),
        ..Problem::default()
    }];
    planner
        .send_plan(Plan {
            status,
            problems: problems.clone(),
            ..Plan::default()
        })
        .await;
    let after = rig.snapshot(PodFilter::All).await;
    assert_eq!((after.counters, after.problems), (status, problems));
}

#[tokio::test(start_paused = true)]
async fn upkeep_is_in_progress_then_failing_when_the_revision_is_refused() {
    let mut rig = rig();
    rig.list(agent(), &["n1"], &[], &[]).await;
    let snapshot = rig.snapshot(PodFilter::All).await;
    assert_eq!((snapshot.revision, snapshot.upkeep), (None, Upkeep::InProgress));
    let (code, body) = forbidden("no revisions for you");
    rig.api.expect("POST", REVISIONS).await.answer_with(code, &body);
    let snapshot = rig.snapshot(PodFilter::All).await;
    let Upkeep::Failing(error) = snapshot.upkeep else {
        panic!("{snapshot:?}")
    };
    assert!(error.contains("no revisions for you"), "{error}");
    let call = rig.api.expect("POST", REVISIONS).await;
    let name = call.body["metadata"]["name"].as_str().unwrap().to_owned();
    let made = with(
        call.body.clone(),
        json!({"metadata": {"uid": "made", "resourceVersion": "9"}}),
    );
    call.answer(&made);
    let snapshot = rig.snapshot(PodFilter::All).await;
    assert_eq!(snapshot.upkeep, Upkeep::Done);
    assert!(name.ends_with(&snapshot.revision.unwrap()), "{name}");
}

#[tokio::test(start_paused = true)]
async fn refusal_is_reported_until_an_action_succeeds() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    planner.send_actions(vec![create(1, "n1"), create(2, "n2")]).await;
    let call = rig.api.expect("POST", PODS).await;
    let begun = rig.snapshot(PodFilter::All).await.creations;
    let in_progress = RequestedActions {
        queued: 1,
        in_progress: 1,
        ..RequestedActions::default()
    };
    assert_eq!(begun, in_progress);
    let (code, body) = forbidden("exceeded quota: few");
    call.answer_with(code, &body);
    let closed = rig.snapshot(PodFilter::All).await.creations;
    assert_eq!((closed.queued, closed.in_progress, closed.refused), (1, 0, 1));
    let Refusal { message, retry_after } = closed.refusal.unwrap();
    assert_eq!(message, "the API server refuses: exceeded quota: few");
    assert!(retry_after > Duration::from_millis(700), "{retry_after:?}");
    // The next attempt is in progress.
    let call = rig.api.expect("POST", PODS).await;
    let trying = rig.snapshot(PodFilter::All).await.creations;
    assert_eq!(trying.refusal.unwrap().retry_after, Duration::ZERO);
    accept(call, 20);
    assert_eq!(
        rig.snapshot(PodFilter::All).await.creations,
        RequestedActions::default()
    );
}

#[tokio::test(start_paused = true)]
async fn success_of_an_action_started_before_a_refusal_does_not_clear_it() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2", "n3"], &[]).await;
    let actions = vec![create(1, "n1"), create(2, "n2"), create(3, "n3")];
    planner.send_actions(actions).await;
    accept(rig.api.expect("POST", PODS).await, 20);
    let (second, third) = (
        rig.api.expect("POST", PODS).await,
        rig.api.expect("POST", PODS).await,
    );
    let (code, body) = forbidden("exceeded quota: few");
    third.answer_with(code, &body);
    assert!(rig.snapshot(PodFilter::All).await.creations.refusal.is_some());
    accept(second, 21);
    let after = rig.snapshot(PodFilter::All).await.creations;
    assert_eq!((after.refused, after.refusal.is_some()), (1, true));
}

#[tokio::test(start_paused = true)]
async fn refusal_lapses_when_no_action_is_requested_or_the_planner_is_lost() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_actions(vec![create(1, "n1")]).await;
    let (code, body) = forbidden("no");
    rig.api.expect("POST", PODS).await.answer_with(code, &body);
    assert!(rig.snapshot(PodFilter::All).await.creations.refusal.is_some());
    planner.until("done 1 Failed").await;
    assert!(
        rig.snapshot(PodFilter::All).await.creations.refusal.is_some(),
        "the planner may request it again immediately"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        rig.snapshot(PodFilter::All).await.creations,
        RequestedActions::default()
    );
    planner.send_actions(vec![create(2, "n1")]).await;
    rig.api.expect("POST", PODS).await.answer_with(code, &body);
    assert!(rig.snapshot(PodFilter::All).await.creations.refusal.is_some());
    rig.lose_planner(planner).await;
    assert_eq!(
        rig.snapshot(PodFilter::All).await.creations,
        RequestedActions::default()
    );
}

#[tokio::test(start_paused = true)]
async fn watchers_get_events_of_plans_and_action_results() {
    let elsewhere = with(pod_json("p1", 3), json!({"spec": {"nodeName": "n3"}}));
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[elsewhere]).await;
    let mut watch = rig.watch().await;
    assert_eq!(watch.planner, Some(info(true)));
    let gone = create(4, "n9");
    let actions = vec![
        create(1, "n1"),
        create(2, "n2"),
        gone,
        delete(3, "p1", DeleteReason::Excess),
    ];
    planner.send_actions(actions).await;
    let call = rig.api.expect("POST", PODS).await;
    let deletion = rig.api.expect("DELETE", &format!("{PODS}/p1")).await;
    let pod = accept(call, 20);
    deletion.answer(&pod_json("p1", 9));
    let (code, body) = forbidden("not on n2");
    rig.api.expect("POST", PODS).await.answer_with(code, &body);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut events = received_events(&mut watch);
    assert_eq!(events.remove(0), "plan 1 of default/agent");
    events.sort();
    assert_eq!(
        events,
        [
            format!("default/agent 1 Done: Created pod: {} on node n1", name_of(&pod)),
            "default/agent 2 Failed: Error creating: not on n2 (node n2)".to_owned(),
            "default/agent 3 Done: Deleted pod: p1 on node n1".to_owned(),
            "default/agent 4 Skipped: No longer needed (node n9)".to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn watchers_get_events_of_planner_changes() {
    let (rig, planner) = Rig::synced(&["n1"], &[]).await;
    let mut watch = rig.watch().await;
    rig.lose_planner(planner).await;
    let mut planner = rig.open(100).await;
    planner.until("sync").await;
    let wanted = ["planner None", "planner Some(false)", "planner Some(true)"];
    assert_eq!(received_events(&mut watch), wanted);
}

#[tokio::test(start_paused = true)]
async fn query_fails_after_the_loop_has_ended() {
    let (rig, _planner) = Rig::synced(&["n1"], &[]).await;
    rig.shutdown.cancel();
    rig.run.await.unwrap().unwrap();
    assert!(rig.query_client.overview().await.is_err());
}
