//! Plans that no sane planner makes. A planner that was taken over does no more than a rollout could.

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
async fn a_plan_deletes_no_pod_but_its_daemon_sets() {
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
            .plan(vec![deletion_of(id, pod, &format!("uid of {pod}"))])
            .await;
        assert_eq!(said(&planner.request().await), [format!("done {id} Failed")]);
        assert!(
            begun.elapsed() >= Duration::from_millis(800),
            "it could be asked for again at once: {:?}",
            begun.elapsed()
        );
    }
    assert!(rig.is_idle().await);
    assert!(rig.events().await.is_empty(), "what isn't done isn't announced");
    assert_eq!(violations(&rig, "ForeignPod"), 3);
    planner.plan(vec![deletion_of(9, "p1", "uid of p1")]).await;
    let call = rig.api.expect("DELETE", &format!("{PODS}/p1")).await;
    assert_eq!(call.body, json!({"preconditions": {"uid": "uid of p1"}}));
}

#[tokio::test(start_paused = true)]
async fn a_pods_name_in_a_plan_becomes_no_part_of_a_url() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    for (id, name) in (1..).zip(["p1?gracePeriodSeconds=0", "../services/s", "p1/eviction", "p2"]) {
        planner.plan(vec![deletion_of(id, name, "uid of p1")]).await;
        assert_eq!(said(&planner.request().await), [format!("done {id} Failed")]);
    }
    assert!(rig.is_idle().await);
    assert_eq!(violations(&rig, "ForeignPod"), 4);
}

#[tokio::test(start_paused = true)]
async fn many_creations_on_one_node_make_one_pod() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    let after = |id: u64| {
        let mut create = create(id, "n1");
        if let Some(Action::Create(action)) = &mut create.action {
            action.succeeds_uid = format!("predecessor {id}");
        }
        create
    };
    planner.plan((1..=41).map(after).collect()).await;
    let pod = accept(rig.api.expect("POST", PODS).await, 20);
    rig.saw_pod(&pod).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(rig.is_idle().await, "no second pod is made on the node");
    assert_eq!(
        violations(&rig, "TooManyPods"),
        39,
        "one was overtaken, one was done"
    );
    // Asking for one at a time doesn't help either.
    planner.until("done 41 Failed").await;
    for id in 42..45 {
        planner.plan(vec![after(id)]).await;
        planner.until(&format!("done {id} Failed")).await;
    }
    planner.plan(vec![create(50, "n2")]).await;
    assert_eq!(node_of(&rig.api.expect("POST", PODS).await), "n2");
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_another_controllers_pod_has_overtaken_is_skipped() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    rig.saw_pod(&pod_json("p1", 15)).await;
    assert_eq!(said(&planner.request().await), ["pod p1"]);
    planner.plan(vec![create(1, "n1")]).await;
    assert_eq!(said(&planner.request().await), ["done 1 Skipped"]);
    assert!(rig.is_idle().await);
    assert_eq!(violations(&rig, "TooManyPods"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_plan_writes_only_its_own_conditions() {
    let (mut rig, mut planner) = Rig::synced_with(true, &["n1"], &[]).await;
    let condition = |kind: &str, reason: &str| DaemonSetCondition {
        r#type: kind.to_owned(),
        status: true,
        reason: reason.to_owned(),
        message: String::new(),
    };
    planner
        .plan_as(Plan {
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
async fn a_plan_adds_no_toleration_that_spreads_pods_over_tainted_nodes() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let everything = Toleration {
        operator: "Exists".to_owned(),
        ..Toleration::default()
    };
    planner
        .plan_as(Plan {
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
async fn a_plan_beyond_all_bounds_is_void_and_ends_the_session() {
    let too_many: Vec<_> = (1..=2_000).map(|id| create(id, "n1")).collect();
    let twice = vec![create(1, "n1"), create(1, "n2")];
    for actions in [too_many, twice] {
        let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
        planner.plan(actions).await;
        planner.left().await;
        // Plans that arrive before the session's end is known are void as well.
        planner.plan(vec![create(5_000, "n2")]).await;
        assert!(rig.is_idle().await);
        assert_eq!(violations(&rig, "Bounds"), 1);
        rig.lose(planner).await;
        let mut next = rig.open(100).await;
        next.until("sync").await;
        next.plan(vec![create(1, "n1")]).await;
        assert_eq!(node_of(&rig.api.expect("POST", PODS).await), "n1");
        assert_eq!(violations(&rig, "Bounds"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_beyond_all_bounds_for_a_daemon_set_that_is_not_there_ends_the_session() {
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
    planner.left().await;
    assert_eq!(violations(&rig, "Bounds"), 1);
    assert!(
        planner
            .requests
            .recv()
            .await
            .is_none_or(|request| request.facts.is_empty())
    );
}
