//! Plans of a planner that is newer or older than this executor.

use everynode_proto::testing::receive_from_newer_peer;

use super::*;

/// A value that no enum has yet.
const UNKNOWN_VALUE: i32 = 99;

fn newer(plan: &Plan) -> Plan {
    receive_from_newer_peer("everynode.planner.v1.Plan", plan)
}

/// An action of a kind that this executor doesn't know.
fn unknown(id: u64) -> PlannedAction {
    PlannedAction { id, action: None }
}

#[tokio::test(start_paused = true)]
async fn known_actions_of_a_newer_plan_are_carried_out() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[pod_json("p1", 3)]).await;
    let mut deletion = delete(1, "p1", DeleteReason::Unspecified);
    if let Some(Action::Delete(delete)) = &mut deletion.action {
        delete.reason = UNKNOWN_VALUE;
    }
    let problem = Problem {
        code: UNKNOWN_VALUE,
        field: "spec".to_owned(),
        message: "it is odd".to_owned(),
        ..Problem::default()
    };
    let added = Toleration {
        key: "a".to_owned(),
        operator: "Someday".to_owned(),
        ..Toleration::default()
    };
    let plan = Plan {
        actions: vec![deletion, unknown(2), create(3, "n2")],
        status: Some(DaemonSetStatus::default()),
        problems: vec![problem],
        added_tolerations: vec![added],
        ..Plan::default()
    };
    planner.send_plan(newer(&plan)).await;
    let call = rig.api.expect("POST", PODS).await;
    assert_eq!(node_of(&call), "n2");
    assert_eq!(
        call.body["spec"]["tolerations"],
        json!([]),
        "an unknown toleration is not added"
    );
    let pod = accept(call, 20);
    let call = rig.api.expect("DELETE", &format!("{PODS}/p1")).await;
    assert_eq!(call.body, json!({"preconditions": {"uid": "uid of p1"}}));
    call.answer(&pod_json("p1", 21));
    let events = rig.events().await;
    for event in [
        "PlannerProblem: spec: it is odd",
        "UnknownAction: the planner requests a kind of action that this executor doesn't support; upgrade the executor",
        &format!("SuccessfulCreate: Created pod: {}", name_of(&pod)),
        "SuccessfulDelete: Deleted pod: p1",
    ] {
        assert!(events.contains(&event.to_owned()), "{event}: {events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn action_of_an_unknown_kind_fails_after_a_pause() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner
        .send_plan(newer(&Plan {
            actions: vec![unknown(1), unknown(2)],
            ..Plan::default()
        }))
        .await;
    // If it failed immediately, the planner would request it again immediately.
    assert!(planner.sends_nothing(Duration::from_secs(20)).await);
    assert_eq!(
        describe_facts(&planner.next_request().await),
        ["done 1 Failed", "done 2 Failed"]
    );
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn unknown_actions_of_a_lost_planner_are_not_reported_to_the_next() {
    let (rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_actions(vec![unknown(1)]).await;
    assert!(planner.sends_nothing(Duration::from_secs(5)).await);
    rig.lose_planner(planner).await;
    let mut next = rig.open(100).await;
    next.until("sync").await;
    assert!(next.sends_nothing(Duration::from_mins(2)).await);
}

#[tokio::test(start_paused = true)]
async fn plan_with_only_required_fields_is_carried_out() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_actions(vec![create(1, "n1")]).await;
    let call = rig.api.expect("POST", PODS).await;
    assert_eq!(call.body["spec"]["tolerations"], json!([]));
    let pod = accept(call, 20);
    assert_eq!(
        planner.until("done 1 Done").await,
        [format!("pod {}", name_of(&pod)), "done 1 Done".to_owned()]
    );
}
