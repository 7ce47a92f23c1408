//! Which facts the planner is sent, and when.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_full_sync_says_everything_in_order_and_nothing_is_done_before_a_plan() {
    let mut rig = rig();
    rig.list(agent(), &["n1"], &[pod_json("p1", 3)], &[revision_json("r1", 1)])
        .await;
    let mut planner = rig.open(100).await;
    assert_eq!(
        planner.until("sync").await,
        ["node n1", "pod p1", "ds ds-1", "sync"]
    );
    assert!(rig.is_idle().await);
    assert_eq!(rig.health.unready(), None);
}

#[tokio::test(start_paused = true)]
async fn a_full_sync_is_cut_into_requests_of_the_planners_size() {
    let rig = rig();
    rig.list(agent(), &["n1"], &[pod_json("p1", 3)], &[revision_json("r1", 1)])
        .await;
    let mut planner = rig.open(1).await;
    let mut requests = Vec::new();
    for _ in 0..4 {
        let request = planner.request().await;
        requests.push((request.sequence, said(&request).join(", ")));
    }
    let wanted = [(2, "node n1"), (3, "pod p1"), (4, "ds ds-1"), (5, "sync")];
    assert_eq!(
        requests,
        wanted.map(|(sequence, facts)| (sequence, facts.to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_before_every_list_is_complete() {
    let rig = rig();
    let mut planner = rig.open(100).await;
    rig.change(Change::Node(watch::Event::ListBegins)).await;
    rig.change(Change::Node(watch::Event::Changed(node("n1")))).await;
    rig.change(Change::Node(watch::Event::ListEnds)).await;
    rig.change(Change::Pod(watch::Event::ListEnds)).await;
    rig.change(Change::DaemonSet(watch::Event::ListEnds)).await;
    assert!(planner.is_silent(Duration::from_secs(30)).await);
    assert!(rig.health.unready().is_some());
    rig.change(Change::Revision(watch::Event::ListEnds)).await;
    assert_eq!(planner.until("sync").await, ["node n1", "sync"]);
}

#[tokio::test(start_paused = true)]
async fn changes_are_said_as_they_come() {
    let (rig, mut planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    rig.change(Change::Node(watch::Event::Changed(node("n2")))).await;
    assert_eq!(said(&planner.request().await), ["node n2"]);
    rig.lost_pod(&pod_json("p1", 9)).await;
    assert_eq!(said(&planner.request().await), ["pod uid of p1 gone"]);
    rig.change(Change::Node(watch::Event::Gone(node("n1")))).await;
    assert_eq!(said(&planner.request().await), ["node n1 gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_planner_leaves_the_cluster_as_it_is_and_the_next_is_told_everything() {
    let (mut rig, planner) = Rig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    rig.lose(planner).await;
    rig.lost_pod(&pod_json("p1", 9)).await;
    assert!(rig.is_idle().await);
    let mut planner = rig.open(100).await;
    assert_eq!(planner.until("sync").await, ["node n1", "ds ds-1", "sync"]);
}

#[tokio::test(start_paused = true)]
async fn a4_a_daemon_set_that_is_being_deleted_is_said_to_be_gone_and_gets_nothing_more() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let deleting =
        json!({"metadata": {"resourceVersion": "11", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    rig.change(Change::DaemonSet(watch::Event::Changed(agent_with(deleting))))
        .await;
    assert_eq!(said(&planner.request().await), ["ds ds-1 gone"]);
    planner
        .plan(vec![create(1, "n1"), delete(2, "p1", DeleteReason::Update)])
        .await;
    assert_eq!(
        planner.until("done 2 Skipped").await,
        ["done 1 Skipped", "done 2 Skipped"]
    );
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn s3_a_planner_that_wants_to_know_of_the_time_is_told() {
    let (_rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let after = prost_types::Duration {
        seconds: 42,
        nanos: 0,
    };
    planner
        .plan_as(Plan {
            reconsider_after: Some(after),
            ..Plan::default()
        })
        .await;
    let times = planner.times().await;
    assert!(
        matches!(times[..], [time] if (42.0..42.1).contains(&time)),
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s3_a_later_plan_replaces_the_time_of_the_one_before() {
    let (_rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    for seconds in [42, 13] {
        let after = prost_types::Duration { seconds, nanos: 0 };
        planner
            .plan_as(Plan {
                reconsider_after: Some(after),
                ..Plan::default()
            })
            .await;
    }
    let times = planner.times().await;
    assert!(
        matches!(times[..], [time] if (13.0..13.1).contains(&time)),
        "{times:?}"
    );
    planner
        .plan_as(Plan {
            reconsider_after: Some(prost_types::Duration { seconds: 7, nanos: 0 }),
            ..Plan::default()
        })
        .await;
    planner.plan_as(Plan::default()).await;
    assert!(planner.times().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn s3_a_time_that_is_centuries_away_is_asked_about_sooner() {
    let (rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let after = prost_types::Duration {
        seconds: 10_000_000_000,
        nanos: 0,
    };
    planner
        .plan_as(Plan {
            reconsider_after: Some(after),
            ..Plan::default()
        })
        .await;
    assert!(planner.is_silent(LONGEST_TIMER * 2).await);
    assert!(!rig.run.is_finished());
}

#[tokio::test(start_paused = true)]
async fn s2_a_status_is_written_and_of_many_in_a_burst_only_the_first_and_the_last() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    for ready in 1..=5 {
        let status = DaemonSetStatus {
            number_ready: ready,
            ..DaemonSetStatus::default()
        };
        planner
            .plan_as(Plan {
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
async fn a_status_that_keeps_changing_is_written_less_and_less_often() {
    const LAST: i32 = 200;
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let changes = async {
        for number in 1..=LAST {
            planner.plan_as(ready(number)).await;
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
async fn a_status_is_written_when_what_is_being_done_is_done() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner
        .plan_as(Plan {
            actions: vec![create(1, "n1")],
            ..ready(0)
        })
        .await;
    accept(rig.api.expect("POST", PODS).await, 20);
    planner.until("done 1 Done").await;
    planner.plan_as(ready(1)).await;
    let call = rig.api.expect("PATCH", AGENT_STATUS).await;
    assert_eq!(
        call.body["status"]["numberReady"], 1,
        "what was outdated was written"
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_does_not_wait_for_long_for_what_is_being_done() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner
        .plan_as(Plan {
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
async fn a_status_that_can_not_be_written_is_tried_again() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    let status = DaemonSetStatus {
        number_ready: 1,
        ..DaemonSetStatus::default()
    };
    planner
        .plan_as(Plan {
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
async fn the_end_of_a_task_that_must_not_end_ends_the_loop() {
    let rig = rig();
    drop(rig.changes);
    let error = rig.run.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the watches have ended");
}
