//! The conditions of a status.

use everynode_proto::planner::v1::DaemonSetCondition;

use super::*;
use crate::{live_view::queries::PodFilter, status::conditions::problem_reason};

fn counted(actions: Vec<PlannedAction>) -> Plan {
    let available = DaemonSetCondition {
        r#type: "Available".to_owned(),
        status: true,
        reason: "MinimumReplicasAvailable".to_owned(),
        message: "0 of 0".to_owned(),
    };
    Plan {
        status: Some(DaemonSetStatus {
            number_ready: 1,
            ..DaemonSetStatus::default()
        }),
        conditions: vec![available],
        actions,
        ..Plan::default()
    }
}

/// Accepts a write of the status, and returns its conditions as `type status reason: message`.
async fn written(rig: &mut Rig, version: &str) -> Vec<String> {
    let call = rig.api.expect("PATCH", AGENT_STATUS).await;
    let change = json!({"metadata": {"resourceVersion": version}, "status": call.body["status"]});
    let conditions: Vec<Value> = serde_json::from_value(call.body["status"]["conditions"].clone()).unwrap();
    call.answer(&with(agent_json(), change));
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap().to_owned();
    conditions
        .iter()
        .map(|it| {
            let [kind, status, reason, message] =
                ["type", "status", "reason", "message"].map(|field| text(it, field));
            format!("{kind} {status} {reason}: {message}")
        })
        .collect()
}

const AVAILABLE: &str = "Available True MinimumReplicasAvailable: 0 of 0";
const FINE: &str = "Degraded False AsExpected: no problem found";

#[tokio::test(start_paused = true)]
async fn conditions_are_the_planners_and_degraded() {
    let (mut rig, mut planner) = Rig::synced_with(true, &["n1"], &[]).await;
    planner.send_plan(counted(Vec::new())).await;
    assert_eq!(written(&mut rig, "11").await, [AVAILABLE, FINE]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await, "an unchanged status is not written again");
}

#[tokio::test(start_paused = true)]
async fn refused_creation_sets_degraded_until_a_creation_succeeds() {
    let (mut rig, mut planner) = Rig::synced_with(true, &["n1"], &[]).await;
    planner.send_plan(counted(Vec::new())).await;
    assert_eq!(written(&mut rig, "11").await, [AVAILABLE, FINE]);
    planner.send_actions(vec![create(1, "n1")]).await;
    let (code, body) = forbidden("not today");
    rig.api.expect("POST", PODS).await.answer_with(code, &body);
    let refused = "Degraded True CreateRefused: pods can't be created: the API server refuses: not today";
    assert_eq!(written(&mut rig, "12").await, [AVAILABLE, refused]);
    // A different message alone doesn't cause a write.
    planner.until("done 1 Failed").await;
    planner.send_actions(vec![create(2, "n1")]).await;
    let (code, body) = forbidden("not tomorrow");
    rig.api.expect("POST", PODS).await.answer_with(code, &body);
    planner.until("done 2 Failed").await;
    assert!(rig.is_idle().await);
    planner.send_actions(vec![create(3, "n1")]).await;
    accept(rig.api.expect("POST", PODS).await, 20);
    assert_eq!(written(&mut rig, "21").await, [AVAILABLE, FINE]);
}

#[tokio::test(start_paused = true)]
async fn degraded_ends_without_an_event_when_the_refused_action_is_no_longer_requested() {
    let (mut rig, mut planner) = Rig::synced_with(true, &["n1"], &[]).await;
    planner.send_plan(counted(vec![create(1, "n1")])).await;
    let (code, body) = forbidden("not today");
    rig.api.expect("POST", PODS).await.answer_with(code, &body);
    let conditions = written(&mut rig, "11").await;
    assert!(
        conditions[1].starts_with("Degraded True CreateRefused"),
        "{conditions:?}"
    );
    planner.until("done 1 Failed").await;
    assert_eq!(written(&mut rig, "12").await, [AVAILABLE, FINE]);
}

#[tokio::test(start_paused = true)]
async fn disabled_conditions_are_removed() {
    let mut rig = rig();
    let conditions = json!([
        {"type": "Theirs", "status": "True"},
        {"type": "Degraded", "status": "False", "reason": "AsExpected"},
    ]);
    let agent = agent_with(json!({"status": {"numberReady": 1, "conditions": conditions}}));
    rig.list(agent, &["n1"], &[], &[revision_json("r1", 1)]).await;
    let mut planner = rig.open(100).await;
    planner.until("sync").await;
    planner.send_plan(counted(Vec::new())).await;
    let call = rig.api.expect("PATCH", AGENT_STATUS).await;
    assert_eq!(
        call.body["status"]["conditions"],
        json!([{"$patch": "delete", "type": "Degraded"}])
    );
}

#[tokio::test(start_paused = true)]
async fn problem_of_any_kind_in_a_plan_is_an_event_a_condition_and_in_the_view() {
    let known = (0..).take_while(|code| ProblemCode::try_from(*code).is_ok());
    // A newer planner may know other kinds.
    for code in known.chain([99]) {
        let (mut rig, mut planner) = Rig::synced_with(true, &["n1"], &[]).await;
        let problem = Problem {
            code,
            object: "daemonset default/agent".to_owned(),
            field: "spec.template.spec.tolerations[0].operator".to_owned(),
            message: "it is not known".to_owned(),
        };
        let reason = problem_reason(&problem);
        let plan = Plan {
            problems: vec![problem.clone()],
            ..counted(Vec::new())
        };
        planner.send_plan(plan).await;
        let note = "spec.template.spec.tolerations[0].operator: it is not known";
        let degraded = format!("Degraded True {reason}: daemonset default/agent: {note}");
        assert_eq!(written(&mut rig, "11").await, [AVAILABLE, &degraded]);
        assert_eq!(rig.events().await, [format!("{reason}: {note}")]);
        let shown = rig.query_client.daemon_set("ds-1", PodFilter::All).await;
        assert_eq!(shown.unwrap().unwrap().problems, [problem]);
    }
}

#[tokio::test(start_paused = true)]
async fn event_names_the_object_of_a_problem_that_is_not_the_daemon_set() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let problem = |object: &str, field: &str| Problem {
        object: object.to_owned(),
        field: field.to_owned(),
        message: "it is odd".to_owned(),
        ..Problem::default()
    };
    let problems = vec![problem("node n1", "spec.taints[0].effect"), problem("", "")];
    let plan = Plan {
        problems,
        ..Plan::default()
    };
    planner.send_plan(plan).await;
    assert_eq!(
        rig.events().await,
        [
            "PlannerProblem: node n1: spec.taints[0].effect: it is odd",
            "PlannerProblem: it is odd"
        ]
    );
}
