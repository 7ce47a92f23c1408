//! Execution of plans.

use super::*;

#[tokio::test(start_paused = true)]
async fn created_pod_is_sent_before_the_result_of_its_action() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let added = Toleration {
        key: "node.kubernetes.io/disk-pressure".to_owned(),
        operator: "Exists".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Toleration::default()
    };
    let (actions, added_tolerations) = (vec![create(1, "n1")], vec![added]);
    planner
        .send_plan(Plan {
            actions,
            added_tolerations,
            ..Plan::default()
        })
        .await;
    let call = rig.api.expect("POST", PODS).await;
    assert_eq!(call.body["metadata"]["labels"]["controller-revision-hash"], "r1");
    assert_eq!(
        call.body["spec"]["tolerations"],
        json!([{"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"}])
    );
    let pod = accept(call, 20);
    assert_eq!(
        planner.until("done 1 Done").await,
        [format!("pod {}", name_of(&pod)), "done 1 Done".to_owned()]
    );
    assert_eq!(
        rig.events().await,
        [format!("SuccessfulCreate: Created pod: {}", name_of(&pod))]
    );
    rig.report_pod(&pod).await;
    assert!(
        planner.sends_nothing(Duration::from_secs(5)).await,
        "the watch reports nothing new"
    );
}

#[tokio::test(start_paused = true)]
async fn deleted_pod_is_sent_before_the_result_of_its_action() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    planner
        .send_actions(vec![delete(1, "p1", DeleteReason::Failed)])
        .await;
    let call = rig.api.expect("DELETE", &format!("{PODS}/p1")).await;
    assert_eq!(call.body, json!({"preconditions": {"uid": "uid of p1"}}));
    call.answer(&pod_json("p1", 9));
    assert_eq!(
        planner.until("done 1 Done").await,
        ["pod p1 deleting", "done 1 Done"]
    );
    assert_eq!(
        rig.events().await,
        [
            "FailedDaemonPod: Found failed daemon pod default/p1 on node n1, will try to kill it",
            "SuccessfulDelete: Deleted pod: p1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn deletion_of_a_missing_pod_reports_the_pod_as_gone() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    planner
        .send_actions(vec![delete(1, "p1", DeleteReason::Update)])
        .await;
    let (code, body) = not_found();
    rig.api
        .expect("DELETE", &format!("{PODS}/p1"))
        .await
        .answer_with(code, &body);
    assert_eq!(
        planner.until("done 1 Done").await,
        ["pod uid of p1 gone", "done 1 Done"]
    );
}

#[tokio::test(start_paused = true)]
async fn creations_run_one_at_a_time_then_two_at_a_time() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2", "n3", "n4"], &[]).await;
    planner
        .send_actions(
            ["n1", "n2", "n3", "n4"]
                .into_iter()
                .zip(1..)
                .map(|(node, id)| create(id, node))
                .collect(),
        )
        .await;
    let first = rig.api.expect("POST", PODS).await;
    assert_eq!(node_of(&first), "n1");
    assert!(rig.is_idle().await);
    accept(first, 20);
    let second = rig.api.expect("POST", PODS).await;
    let third = rig.api.expect("POST", PODS).await;
    assert_eq!((node_of(&second), node_of(&third)), ("n2", "n3"));
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn c5_refused_deletion_emits_an_event_with_the_servers_message() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    planner
        .send_actions(vec![delete(1, "p1", DeleteReason::Excess)])
        .await;
    let (code, body) = forbidden("not today");
    let call = rig.api.expect("DELETE", &format!("{PODS}/p1")).await;
    call.answer_with(code, &body);
    assert_eq!(rig.events().await, ["FailedDelete: Error deleting: not today"]);
    assert_eq!(describe_facts(&planner.next_request().await), ["done 1 Failed"]);
}

#[tokio::test(start_paused = true)]
async fn p6_problem_of_a_plan_emits_one_event_even_if_the_next_plan_repeats_it() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let problem = Problem {
        object: "default/agent".to_owned(),
        field: "spec.selector".to_owned(),
        code: ProblemCode::SelectsEverything.into(),
        message: "an empty selector selects nothing".to_owned(),
    };
    for _ in 0..2 {
        let problems = vec![problem.clone()];
        planner
            .send_plan(Plan {
                problems,
                ..Plan::default()
            })
            .await;
    }
    assert_eq!(
        rig.events().await,
        ["SelectingAll: spec.selector: an empty selector selects nothing"]
    );
}

#[tokio::test(start_paused = true)]
async fn c5_refused_creation_emits_an_event_and_fails_after_the_pause() {
    let elsewhere = with(pod_json("p1", 3), json!({"spec": {"nodeName": "n3"}}));
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[elsewhere]).await;
    planner
        .send_actions(vec![
            create(1, "n1"),
            create(2, "n2"),
            delete(3, "p1", DeleteReason::Excess),
        ])
        .await;
    let begun = Instant::now();
    let (code, body) = forbidden("exceeded quota: pods");
    rig.api.expect("POST", PODS).await.answer_with(code, &body);
    let deletion = rig.api.expect("DELETE", &format!("{PODS}/p1")).await;
    deletion.answer(&pod_json("p1", 9));
    assert_eq!(
        planner.until("done 3 Done").await,
        ["pod p1 deleting", "done 3 Done"]
    );
    assert!(
        rig.events()
            .await
            .contains(&"FailedCreate: Error creating: exceeded quota: pods".to_owned())
    );
    assert_eq!(describe_facts(&planner.next_request().await), ["done 1 Failed"]);
    assert!(
        begun.elapsed() >= Duration::from_millis(800),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(node_of(&rig.api.expect("POST", PODS).await), "n2");
}

#[tokio::test(start_paused = true)]
async fn creation_on_a_deleted_node_is_skipped() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    rig.report(Change::Node(watch::Event::Gone(node("n1")))).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["node n1 gone"]);
    planner.send_actions(vec![create(1, "n1")]).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["done 1 Skipped"]);
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn creation_of_an_outdated_revision_is_skipped() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let mut stale = create(1, "n1");
    let Some(Action::Create(action)) = &mut stale.action else {
        panic!()
    };
    action.revision = "r0".to_owned();
    planner.send_actions(vec![stale]).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["done 1 Skipped"]);
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn creation_from_an_invalid_template_fails_after_a_pause() {
    let mut rig = rig();
    let odd = with(
        agent_json(),
        json!({"spec": {"template": {"spec": {"tolerations": {}}}}}),
    );
    let data = json!({"data": {"spec": {"template": {"spec": {"tolerations": {}}}}}});
    rig.list(read(&odd), &["n1"], &[], &[with(revision_json("r1", 1), data)])
        .await;
    let mut planner = rig.open(100).await;
    planner.until("sync").await;
    let begun = Instant::now();
    planner.send_actions(vec![create(1, "n1")]).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["done 1 Failed"]);
    assert!(
        begun.elapsed() >= Duration::from_millis(800),
        "{:?}",
        begun.elapsed()
    );
    let wanted =
        "FailedCreate: can't build a pod from the template: spec.template.spec.tolerations is not a list";
    assert!(rig.events().await.contains(&wanted.to_owned()));
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn waiting_actions_of_a_lost_planner_are_dropped_and_the_next_sync_waits_for_those_in_progress() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    planner.send_actions(vec![create(1, "n1"), create(2, "n2")]).await;
    let call = rig.api.expect("POST", PODS).await;
    rig.lose_planner(planner).await;
    let mut planner = rig.open(100).await;
    let facts = planner.until("ds ds-1").await;
    assert!(!facts.contains(&"sync".to_owned()), "{facts:?}");
    assert!(planner.sends_nothing(Duration::from_secs(5)).await);
    let pod = accept(call, 20);
    let last = planner.until("sync").await;
    assert_eq!(
        last,
        [format!("pod {}", name_of(&pod)), "sync".to_owned()],
        "the result is not reported to the new planner"
    );
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn refusal_from_a_lost_session_is_not_reported_to_the_next_planner() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    for is_open_before in [false, true] {
        planner.send_actions(vec![create(1, "n1")]).await;
        let call = rig.api.expect("POST", PODS).await;
        rig.lose_planner(planner).await;
        planner = rig.open(100).await;
        if is_open_before {
            planner.until("ds ds-1").await;
        }
        let (code, body) = forbidden("no");
        call.answer_with(code, &body);
        planner.until("sync").await;
        assert!(planner.sends_nothing(Duration::from_mins(1)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn same_creation_by_two_executors_creates_one_pod() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_actions(vec![create(1, "n1")]).await;
    let call = rig.api.expect("POST", PODS).await;
    let name = call.body["metadata"]["name"].as_str().unwrap().to_owned();
    let (code, body) = already_exists();
    call.answer_with(code, &body);
    rig.api
        .expect("GET", &format!("{PODS}/{name}"))
        .await
        .answer(&pod_json(&name, 20));
    assert_eq!(
        planner.until("done 1 Done").await,
        [format!("pod {name}"), "done 1 Done".to_owned()]
    );
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn created_pod_missing_from_the_watch_is_looked_up() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_actions(vec![create(1, "n1")]).await;
    let pod = accept(rig.api.expect("POST", PODS).await, 20);
    planner.until("done 1 Done").await;
    let path = format!("{PODS}/{}", name_of(&pod));
    rig.api
        .expect("GET", &path)
        .await
        .answer_with(500, &refusal(500, "InternalError", "oops"));
    let (code, body) = not_found();
    rig.api.expect("GET", &path).await.answer_with(code, &body);
    assert_eq!(
        describe_facts(&planner.next_request().await),
        [format!("pod uid of {} gone", name_of(&pod))]
    );
}

#[tokio::test(start_paused = true)]
async fn loop_waits_for_calls_in_progress_on_shutdown() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_actions(vec![create(1, "n1")]).await;
    let call = rig.api.expect("POST", PODS).await;
    rig.shutdown.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!rig.run.is_finished());
    accept(call, 20);
    rig.run.await.unwrap().unwrap();
}
