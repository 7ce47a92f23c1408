//! Another controller that manages the same `DaemonSet`s.

use super::*;

const REMEDY: &str = "by another DaemonSet controller, which conflicts with Everynode; run kube-controller-manager with \
                      --controllers=*,-daemonset, or stop the other controller";

#[tokio::test(start_paused = true)]
async fn foreign_pod_is_reported_once_with_the_remedy() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[pod_json("agent-x7bq2", 12)]).await;
    assert!(
        rig.events().await.is_empty(),
        "pods from before the start are no trace"
    );
    for (name, version) in [("agent-4zt9q", 15), ("agent-kk2d8", 16)] {
        rig.report_pod(&pod_json(name, version)).await;
        assert_eq!(
            describe_facts(&planner.next_request().await),
            [format!("pod {name}")]
        );
    }
    let first = format!("CompetingController: the pod agent-4zt9q was created {REMEDY}");
    assert_eq!(rig.events().await, [first]);
    // Two hours without a trace, and then a new one.
    tokio::time::sleep(Duration::from_hours(2)).await;
    rig.report_pod(&pod_json("agent-d5f6g", 17)).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["pod agent-d5f6g"]);
    assert_eq!(rig.events().await.len(), 1);
    let page = rig.metrics.encode();
    assert!(
        page.contains("everynode_executor_competing_controller_total{work=\"Pod\"} 3"),
        "{page}"
    );
}

#[tokio::test(start_paused = true)]
async fn own_pod_seen_before_the_answer_is_not_taken_for_another_controllers() {
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    planner.send_actions(vec![create(1, "n1")]).await;
    let call = rig.api.expect("POST", PODS).await;
    // The watch event arrives before the answer.
    let mut pod = call.body.clone();
    let name = name_of(&pod).to_owned();
    pod = with(
        pod_json(&name, 15),
        json!({"metadata": {"labels": pod["metadata"]["labels"]}}),
    );
    rig.report_pod(&pod).await;
    call.answer(&pod);
    assert_eq!(
        describe_facts(&planner.next_request().await)[0],
        format!("pod {name}")
    );
    let events = rig.events().await;
    assert!(
        !events.iter().any(|event| event.starts_with("Competing")),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn overwritten_status_is_reported_once_and_corrected() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let status = DaemonSetStatus {
        observed_generation: 1,
        desired_number_scheduled: 1,
        ..DaemonSetStatus::default()
    };
    planner
        .send_plan(Plan {
            status: Some(status),
            ..Plan::default()
        })
        .await;
    let mut written = agent_json();
    for version in ["21", "23", "25"] {
        let call = rig.api.expect("PATCH", AGENT_STATUS).await;
        let change = json!({"metadata": {"resourceVersion": version}, "status": call.body["status"]});
        written = with(agent_json(), change);
        call.answer(&written);
        // The watch repeats the write, which changes nothing.
        rig.report(Change::DaemonSet(watch::Event::Changed(read(&written))))
            .await;
        let later = (version.parse::<u64>().unwrap() + 1).to_string();
        let foreign =
            json!({"metadata": {"resourceVersion": later}, "status": {"desiredNumberScheduled": 7}});
        let foreign = with(written.clone(), foreign);
        if version != "25" {
            rig.report(Change::DaemonSet(watch::Event::Changed(read(&foreign))))
                .await;
        }
    }
    assert_eq!(
        rig.events().await,
        [format!(
            "CompetingController: the status was overwritten {REMEDY}"
        )]
    );
    // Anybody may write conditions.
    let condition = json!({"metadata": {"resourceVersion": "30"}, "status": {"conditions": [{"type": "Nice", "status": "True"}]}});
    rig.report(Change::DaemonSet(watch::Event::Changed(read(&with(
        written, condition,
    )))))
    .await;
    assert!(rig.is_idle().await);
    let page = rig.metrics.encode();
    assert!(
        page.contains("everynode_executor_competing_controller_total{work=\"Status\"} 2"),
        "{page}"
    );
}

#[tokio::test(start_paused = true)]
async fn status_written_without_an_answer_is_not_taken_for_another_controllers() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let count = |ready| DaemonSetStatus {
        number_ready: ready,
        ..DaemonSetStatus::default()
    };
    planner
        .send_plan(Plan {
            status: Some(count(1)),
            ..Plan::default()
        })
        .await;
    let call = rig.api.expect("PATCH", AGENT_STATUS).await;
    let late = with(
        agent_json(),
        json!({"metadata": {"resourceVersion": "21"}, "status": call.body["status"]}),
    );
    planner
        .send_plan(Plan {
            status: Some(count(2)),
            ..Plan::default()
        })
        .await;
    call.answer_with(504, &refusal(504, "Timeout", "no answer"));
    // The next write is in progress when the watch reports that the first one took effect.
    let call = rig.api.expect("PATCH", AGENT_STATUS).await;
    rig.report(Change::DaemonSet(watch::Event::Changed(read(&late))))
        .await;
    let status = call.body["status"].clone();
    call.answer(&with(
        agent_json(),
        json!({"metadata": {"resourceVersion": "22"}, "status": status}),
    ));
    assert!(rig.is_idle().await);
    assert!(rig.events().await.is_empty());
}
