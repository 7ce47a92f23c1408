//! Plans that no sane planner makes. A compromised planner can do no more than a rollout could.

use everynode_proto::planner::v1::DaemonSetCondition;

use super::*;

fn deletion_of(id: u64, pod: &str, uid: &str) -> PlannedAction {
    let delete = DeletePod {
        pod: pod.to_owned(),
        uid: uid.to_owned(),
        reason: DeleteReason::Failed.into(),
        node: "n1".to_owned(),
    };
    PlannedAction {
        id,
        action: Some(Action::Delete(delete)),
    }
}

fn violations(rig: &Rig, kind: &str) -> u64 {
    let page = rig.metrics.encode();
    let series = format!("everynode_executor_plan_violations_total{{kind=\"{kind}\"}} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn plan_deletes_only_pods_of_its_daemon_set() {
    let foreign = with(
        pod_json("p2", 4),
        json!({"metadata": {"ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "other", "uid": "ds-2", "controller": true,
        }]}}),
    );
    let tenants = with(pod_json("p3", 5), json!({"metadata": {"namespace": "tenant"}}));
    let unselected = json!({"metadata": {"labels": {"app": "else"}}});
    let orphan = with(orphan_json("p4", 6), unselected);
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3), foreign, tenants, orphan]).await;
    for (id, pod) in (1..).zip(["p2", "p3", "p4"]) {
        let begun = Instant::now();
        planner
            .send_actions(vec![deletion_of(id, pod, &format!("uid of {pod}"))])
            .await;
        assert_eq!(
            describe_facts(&planner.next_request().await),
            [format!("done {id} Failed")]
        );
        assert!(
            begun.elapsed() >= Duration::from_millis(800),
            "the planner could request it again immediately: {:?}",
            begun.elapsed()
        );
    }
    assert!(rig.is_idle().await);
    assert!(
        rig.events().await.is_empty(),
        "a rejected deletion emits no event"
    );
    assert_eq!(violations(&rig, "ForeignPod"), 3);
    planner
        .send_actions(vec![deletion_of(9, "p1", "uid of p1")])
        .await;
    let call = rig.api.expect("DELETE", &format!("{PODS}/p1")).await;
    assert_eq!(call.body, json!({"preconditions": {"uid": "uid of p1"}}));
}

#[tokio::test(start_paused = true)]
async fn invalid_pod_name_in_a_plan_causes_no_call() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    for (id, name) in (1..).zip(["p1?gracePeriodSeconds=0", "../services/s", "p1/eviction", "p2"]) {
        planner
            .send_actions(vec![deletion_of(id, name, "uid of p1")])
            .await;
        assert_eq!(
            describe_facts(&planner.next_request().await),
            [format!("done {id} Failed")]
        );
    }
    assert!(rig.is_idle().await);
    assert_eq!(violations(&rig, "ForeignPod"), 4);
}

#[tokio::test(start_paused = true)]
async fn many_creations_on_one_node_create_one_pod() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    let after = |id: u64| {
        let mut create = create(id, "n1");
        if let Some(Action::Create(action)) = &mut create.action {
            action.succeeds_uid = format!("predecessor {id}");
        }
        create
    };
    planner.send_actions((1..=41).map(after).collect()).await;
    let pod = accept(rig.api.expect("POST", PODS).await, 20);
    rig.report_pod(&pod).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(rig.is_idle().await, "no second pod is created on the node");
    assert_eq!(
        violations(&rig, "TooManyPods"),
        39,
        "one creation was skipped as overtaken, one succeeded"
    );
    // Requests for one at a time are rejected, too.
    planner.until("done 41 Failed").await;
    for id in 42..45 {
        planner.send_actions(vec![after(id)]).await;
        planner.until(&format!("done {id} Failed")).await;
    }
    planner.send_actions(vec![create(50, "n2")]).await;
    assert_eq!(node_of(&rig.api.expect("POST", PODS).await), "n2");
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn creation_overtaken_by_another_controllers_pod_is_skipped() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    rig.report_pod(&pod_json("p1", 15)).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["pod p1"]);
    planner.send_actions(vec![create(1, "n1")]).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["done 1 Skipped"]);
    assert!(rig.is_idle().await);
    assert_eq!(violations(&rig, "TooManyPods"), 0);
}

#[tokio::test(start_paused = true)]
async fn plan_sets_only_the_planners_conditions() {
    let (mut rig, mut planner) = Rig::synced_with(true, &["n1"], &[]).await;
    let condition = |kind: &str, reason: &str| DaemonSetCondition {
        r#type: kind.to_owned(),
        status: true,
        reason: reason.to_owned(),
        message: String::new(),
    };
    planner
        .send_plan(Plan {
            status: Some(DaemonSetStatus::default()),
            conditions: vec![
                condition("example.com/Audited", "Forged"),
                condition("Degraded", "Forged"),
                condition("Available", "MinimumReplicasAvailable"),
                condition("Progressing", "no reason"),
            ],
            ..Plan::default()
        })
        .await;
    let call = rig.api.expect("PATCH", AGENT_STATUS).await;
    let conditions = call.body["status"]["conditions"].as_array().unwrap();
    let kinds: Vec<_> = conditions
        .iter()
        .map(|condition| format!("{} {}", condition["type"], condition["reason"]))
        .collect();
    assert_eq!(
        kinds,
        [
            "\"Available\" \"MinimumReplicasAvailable\"",
            "\"Degraded\" \"AsExpected\""
        ]
    );
    assert_eq!(violations(&rig, "Condition"), 1);
}

#[tokio::test(start_paused = true)]
async fn plan_cannot_add_a_toleration_for_all_taints() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let everything = Toleration {
        operator: "Exists".to_owned(),
        ..Toleration::default()
    };
    planner
        .send_plan(Plan {
            actions: vec![create(1, "n1")],
            added_tolerations: vec![everything],
            ..Plan::default()
        })
        .await;
    let call = rig.api.expect("POST", PODS).await;
    assert_eq!(call.body["spec"]["tolerations"], json!([]));
    assert_eq!(violations(&rig, "Toleration"), 1);
}

#[tokio::test(start_paused = true)]
async fn oversized_plan_is_discarded_and_ends_the_session() {
    let too_many: Vec<_> = (1..=2_000).map(|id| create(id, "n1")).collect();
    let twice = vec![create(1, "n1"), create(1, "n2")];
    for actions in [too_many, twice] {
        let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
        planner.send_actions(actions).await;
        planner.wait_until_closed().await;
        // Plans that arrive before the planner sees the end of the session are discarded, too.
        planner.send_actions(vec![create(5_000, "n2")]).await;
        assert!(rig.is_idle().await);
        assert_eq!(violations(&rig, "Bounds"), 1);
        rig.lose_planner(planner).await;
        let mut next = rig.open(100).await;
        next.until("sync").await;
        next.send_actions(vec![create(1, "n1")]).await;
        assert_eq!(node_of(&rig.api.expect("POST", PODS).await), "n1");
        assert_eq!(violations(&rig, "Bounds"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn oversized_plan_for_an_unknown_daemon_set_ends_the_session() {
    let (rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner
        .sessions
        .send(session::Event::Plan(Box::new(Plan {
            daemon_set_uid: "nobody".to_owned(),
            actions: (1..=2_000).map(|id| create(id, "n1")).collect(),
            ..Plan::default()
        })))
        .await
        .unwrap();
    planner.wait_until_closed().await;
    assert_eq!(violations(&rig, "Bounds"), 1);
    assert!(
        planner
            .requests
            .recv()
            .await
            .is_none_or(|request| request.facts.is_empty())
    );
}
