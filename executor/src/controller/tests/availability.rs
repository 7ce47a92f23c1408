//! Rollout progress and pod availability: as plans report them, and with a planner that reports neither.

use everynode_proto::planner::v1::{PodAvailability, Progress};
use prost_types::Timestamp;

use super::{
    queries::{names, ready_json},
    *,
};
use crate::{
    live_view::{queries::PodFilter, view::Snapshot},
    status::RolloutProgress,
    testing::owned_by,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

fn change(pod: &str, seconds: Option<i64>) -> PodAvailability {
    PodAvailability {
        uid: format!("uid of {pod}"),
        available_at: seconds.map(at),
    }
}

/// A plan that reports an unfinished rollout and these changes of availability. By its counters, the rollout is
/// complete.
fn reporting(changes: Vec<PodAvailability>) -> Plan {
    Plan {
        status: Some(DaemonSetStatus {
            observed_generation: 1,
            ..DaemonSetStatus::default()
        }),
        progress: Progress::InProgress.into(),
        progress_message: "half of it".to_owned(),
        pod_availability: changes,
        ..Plan::default()
    }
}

/// The waiting pods and the second at which each becomes available, if a plan has reported it.
fn waiting(snapshot: &Snapshot) -> Option<Vec<(String, i64)>> {
    let pods = snapshot.available_at.as_ref()?.iter();
    let mut pods: Vec<_> = pods.map(|(uid, at)| (uid.to_string(), at.seconds)).collect();
    pods.sort();
    Some(pods)
}

fn named(pods: &[(&str, i64)]) -> Vec<(String, i64)> {
    let pods = pods.iter();
    pods.map(|(name, at)| (format!("uid of {name}"), *at)).collect()
}

#[tokio::test(start_paused = true)]
async fn progress_and_availability_are_those_of_the_plans_of_the_session() {
    let (rig, mut planner) = Rig::synced(&["n1"], &["p1", "p2"].map(|name| ready_json(name, "r1"))).await;
    assert_eq!(
        waiting(&rig.snapshot(PodFilter::All).await),
        None,
        "there is no plan yet"
    );
    planner
        .send_plan(reporting(vec![change("p1", Some(7)), change("p2", Some(8))]))
        .await;
    let snapshot = rig.snapshot(PodFilter::All).await;
    let progress = RolloutProgress {
        progress: Progress::InProgress,
        message: "half of it".to_owned(),
    };
    assert_eq!(snapshot.progress, progress);
    assert_eq!(waiting(&snapshot), Some(named(&[("p1", 7), ("p2", 8)])));

    planner
        .send_plan(reporting(vec![change("p1", None), change("p2", Some(9))]))
        .await;
    let snapshot = rig.snapshot(PodFilter::Remarkable).await;
    assert_eq!(waiting(&snapshot), Some(named(&[("p2", 9)])));
    assert_eq!(names(&snapshot), ["p2"], "pods that wait are remarkable");

    rig.lose_planner(planner).await;
    let snapshot = rig.snapshot(PodFilter::All).await;
    assert_eq!(
        waiting(&snapshot),
        Some(named(&[("p2", 9)])),
        "the last plan still counts"
    );
    assert_eq!(snapshot.progress, progress);
    let mut planner = rig.open(100).await;
    planner.until("sync").await;
    assert_eq!(waiting(&rig.snapshot(PodFilter::All).await), None);
    planner.send_plan(reporting(vec![change("p1", Some(5))])).await;
    let expected = Some(named(&[("p1", 5)]));
    assert_eq!(waiting(&rig.snapshot(PodFilter::All).await), expected);
}

#[tokio::test(start_paused = true)]
async fn only_existing_pods_of_the_daemon_set_are_tracked_as_waiting() {
    let foreign = with(
        ready_json("p3", "r1"),
        json!({"metadata": {"ownerReferences": owned_by("ds-2")}}),
    );
    let pods = [ready_json("p1", "r1"), ready_json("p2", "r1"), foreign];
    let (rig, mut planner) = Rig::synced(&["n1"], &pods).await;
    let mut changes = vec![
        change("p3", Some(7)),
        change("unheard of", Some(7)),
        change("p1", Some(7)),
    ];
    changes.extend((0..100).map(|seconds| change("p2", Some(seconds))));
    planner.send_plan(reporting(changes)).await;
    let snapshot = rig.snapshot(PodFilter::All).await;
    // Of several changes to a pod, only the first counts.
    assert_eq!(waiting(&snapshot), Some(named(&[("p1", 7), ("p2", 0)])));
    rig.report_pod_gone(&ready_json("p1", "r1")).await;
    planner.send_plan(reporting(Vec::new())).await;
    let snapshot = rig.snapshot(PodFilter::All).await;
    assert_eq!(waiting(&snapshot), Some(named(&[("p2", 0)])));
}

#[tokio::test(start_paused = true)]
async fn progress_with_an_earlier_planner_comes_from_the_counters() {
    let rig = rig();
    let pods = [ready_json("p1", "r1")];
    rig.list(agent(), &["n1"], &pods, &[revision_json("r1", 1)]).await;
    let mut planner = rig.open_with(RequestLimits::from_welcome(100, 0), false).await;
    planner.until("sync").await;
    planner
        .send_plan(Plan {
            progress: Progress::Unspecified.into(),
            ..reporting(vec![change("p1", Some(7))])
        })
        .await;
    let snapshot = rig.snapshot(PodFilter::All).await;
    let progress = RolloutProgress {
        progress: Progress::Complete,
        message: "0 of 0 pods updated, 0 available".to_owned(),
    };
    assert_eq!(snapshot.progress, progress);
    assert_eq!(waiting(&snapshot), None, "this planner can't report availability");
}
