//! Which facts the planner is sent, and when.

use super::*;

#[tokio::test(start_paused = true)]
async fn full_sync_sends_all_facts_in_order_and_starts_no_action() {
    let mut rig = rig();
    rig.list(agent(), &["n1"], &[pod_json("p1", 3)], &[revision_json("r1", 1)])
        .await;
    let mut planner = rig.open(100).await;
    assert_eq!(
        planner.until("sync").await,
        ["node n1", "pod p1", "ds ds-1", "sync"]
    );
    assert!(rig.is_idle().await);
    assert_eq!(rig.health.unready_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn full_sync_is_split_into_requests_of_the_planners_limit() {
    let rig = rig();
    rig.list(agent(), &["n1"], &[pod_json("p1", 3)], &[revision_json("r1", 1)])
        .await;
    let mut planner = rig.open(1).await;
    let mut requests = Vec::new();
    for _ in 0..4 {
        let request = planner.next_request().await;
        requests.push((request.sequence, describe_facts(&request).join(", ")));
    }
    let wanted = [(2, "node n1"), (3, "pod p1"), (4, "ds ds-1"), (5, "sync")];
    assert_eq!(
        requests,
        wanted.map(|(sequence, facts)| (sequence, facts.to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn no_facts_are_sent_before_every_list_is_complete() {
    let rig = rig();
    let mut planner = rig.open(100).await;
    rig.report(Change::Node(watch::Event::ListBegins)).await;
    rig.report(Change::Node(watch::Event::Changed(node("n1")))).await;
    rig.report(Change::Node(watch::Event::ListEnds)).await;
    rig.report(Change::Pod(watch::Event::ListEnds)).await;
    rig.report(Change::DaemonSet(watch::Event::ListEnds)).await;
    assert!(planner.sends_nothing(Duration::from_secs(30)).await);
    assert!(rig.health.unready_reason().is_some());
    rig.report(Change::Revision(watch::Event::ListEnds)).await;
    assert_eq!(planner.until("sync").await, ["node n1", "sync"]);
}

#[tokio::test(start_paused = true)]
async fn changes_are_sent_as_they_arrive() {
    let (rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    rig.report(Change::Node(watch::Event::Changed(node("n2")))).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["node n2"]);
    rig.report_pod_gone(&pod_json("p1", 9)).await;
    assert_eq!(
        describe_facts(&planner.next_request().await),
        ["pod uid of p1 gone"]
    );
    rig.report(Change::Node(watch::Event::Gone(node("n1")))).await;
    assert_eq!(describe_facts(&planner.next_request().await), ["node n1 gone"]);
}

#[tokio::test(start_paused = true)]
async fn lost_planner_changes_nothing_and_the_next_one_gets_a_full_sync() {
    let (mut rig, planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    rig.lose_planner(planner).await;
    rig.report_pod_gone(&pod_json("p1", 9)).await;
    assert!(rig.is_idle().await);
    let mut planner = rig.open(100).await;
    assert_eq!(planner.until("sync").await, ["node n1", "ds ds-1", "sync"]);
}

#[tokio::test(start_paused = true)]
async fn a4_deleting_daemon_set_is_reported_as_gone_and_its_actions_are_skipped() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let deleting =
        json!({"metadata": {"resourceVersion": "11", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    rig.report(Change::DaemonSet(watch::Event::Changed(agent_with(deleting))))
        .await;
    assert_eq!(describe_facts(&planner.next_request().await), ["ds ds-1 gone"]);
    planner
        .send_actions(vec![create(1, "n1"), delete(2, "p1", DeleteReason::Update)])
        .await;
    assert_eq!(
        planner.until("done 2 Skipped").await,
        ["done 1 Skipped", "done 2 Skipped"]
    );
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn s3_time_is_sent_when_the_plan_asked_to_be_reconsidered() {
    let (_rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let after = prost_types::Duration {
        seconds: 42,
        nanos: 0,
    };
    planner
        .send_plan(Plan {
            reconsider_after: Some(after),
            ..Plan::default()
        })
        .await;
    let times = planner.time_requests().await;
    assert!(
        matches!(times[..], [time] if (42.0..42.1).contains(&time)),
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s3_later_plan_replaces_the_reconsider_timer() {
    let (_rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    for seconds in [42, 13] {
        let after = prost_types::Duration { seconds, nanos: 0 };
        planner
            .send_plan(Plan {
                reconsider_after: Some(after),
                ..Plan::default()
            })
            .await;
    }
    let times = planner.time_requests().await;
    assert!(
        matches!(times[..], [time] if (13.0..13.1).contains(&time)),
        "{times:?}"
    );
    planner
        .send_plan(Plan {
            reconsider_after: Some(prost_types::Duration { seconds: 7, nanos: 0 }),
            ..Plan::default()
        })
        .await;
    planner.send_plan(Plan::default()).await;
    assert!(planner.time_requests().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn s3_reconsider_time_centuries_away_is_accepted() {
    let (rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let after = prost_types::Duration {
        seconds: 10_000_000_000,
        nanos: 0,
    };
    planner
        .send_plan(Plan {
            reconsider_after: Some(after),
            ..Plan::default()
        })
        .await;
    assert!(planner.sends_nothing(LONGEST_TIMER * 2).await);
    assert!(!rig.run.is_finished());
}

#[tokio::test(start_paused = true)]
async fn s2_first_and_last_status_of_a_burst_are_written() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    for ready in 1..=5 {
        let status = DaemonSetStatus {
            number_ready: ready,
            ..DaemonSetStatus::default()
        };
        planner
            .send_plan(Plan {
                status: Some(status),
                ..Plan::default()
            })
            .await;
    }
    for (ready, version) in [(1, "11"), (5, "12")] {
        let call = rig.api.expect("PATCH", AGENT_STATUS).await;
        assert_eq!(call.body["status"]["numberReady"], ready);
        let change = json!({"metadata": {"resourceVersion": version}, "status": call.body["status"]});
        call.answer(&with(agent_json(), change));
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await);
}

fn ready(number_ready: i32) -> Plan {
    let status = DaemonSetStatus {
        number_ready,
        desired_number_scheduled: 1_000,
        ..DaemonSetStatus::default()
    };
    Plan {
        status: Some(status),
        ..Plan::default()
    }
}

#[tokio::test(start_paused = true)]
async fn pause_between_status_writes_grows_while_the_status_changes() {
    const LAST: i32 = 200;
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let changes = async {
        for number in 1..=LAST {
            planner.send_plan(ready(number)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Instant::now()
    };
    let writes = async {
        let mut times = Vec::new();
        loop {
            let call = rig.api.expect("PATCH", AGENT_STATUS).await;
            times.push(Instant::now());
            let written = call.body["status"].clone();
            let change =
                json!({"metadata": {"resourceVersion": (10 + times.len()).to_string()}, "status": written});
            call.answer(&with(agent_json(), change));
            if written["numberReady"] == LAST {
                return times;
            }
        }
    };
    let (last_change, times) = tokio::join!(changes, writes);
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] < Duration::from_millis(200), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap >= Duration::from_secs(1)), "{gaps:?}");
    // The changes take ten seconds, at twenty a second.
    assert!((8..=16).contains(&times.len()), "{gaps:?}");
    assert!(times.last().unwrap().duration_since(last_change) <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn status_is_written_after_the_actions_in_progress() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner
        .send_plan(Plan {
            actions: vec![create(1, "n1")],
            ..ready(0)
        })
        .await;
    accept(rig.api.expect("POST", PODS).await, 20);
    planner.until("done 1 Done").await;
    planner.send_plan(ready(1)).await;
    let call = rig.api.expect("PATCH", AGENT_STATUS).await;
    assert_eq!(
        call.body["status"]["numberReady"], 1,
        "an outdated status was written"
    );
}

#[tokio::test(start_paused = true)]
async fn status_write_waits_only_briefly_for_actions_in_progress() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner
        .send_plan(Plan {
            actions: vec![create(1, "n1")],
            ..ready(1)
        })
        .await;
    let _unanswered = rig.api.expect("POST", PODS).await;
    let begun = Instant::now();
    rig.api.expect("PATCH", AGENT_STATUS).await.answer(&agent_json());
    assert!(
        begun.elapsed() <= Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn failed_status_write_is_retried_with_backoff() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let status = DaemonSetStatus {
        number_ready: 1,
        ..DaemonSetStatus::default()
    };
    planner
        .send_plan(Plan {
            status: Some(status),
            ..Plan::default()
        })
        .await;
    for _ in 0..5 {
        let call = rig.api.expect("PATCH", AGENT_STATUS).await;
        call.answer_with(500, &refusal(500, "InternalError", "oops"));
    }
    let begun = Instant::now();
    rig.api.expect("PATCH", AGENT_STATUS).await.answer(&agent_json());
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn loop_ends_when_the_watches_end() {
    let rig = rig();
    drop(rig.changes);
    let error = rig.run.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the watches have ended");
}
