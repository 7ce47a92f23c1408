//! Tests the pods that wait for minReadySeconds in plans.

use super::*;

fn waiting() -> DaemonSet {
    DaemonSet {
        min_ready_millis: 30_000,
        ..daemon_set()
    }
}

fn tracking(nodes: &[&str]) -> Fleet {
    let mut fleet = fleet(waiting(), nodes);
    fleet.track_availability();
    fleet
}

/// Plans at a time in seconds. Returns the changes of each plan: the pods' uids, and when they become available.
fn changes(fleet: &mut Fleet, at_seconds: i64) -> Vec<Vec<(String, Option<i64>)>> {
    let short = |change: Change| {
        let at = change.available_at.map(|Millis(millis)| millis / 1_000);
        (change.pod.text().to_string(), at)
    };
    let plans = fleet.plan(seconds(at_seconds)).into_iter();
    plans
        .map(|plan| plan.availability.into_iter().map(short).collect())
        .collect()
}

fn waits(name: &str, until: i64) -> (String, Option<i64>) {
    (format!("{name}-uid"), Some(until))
}

fn no_longer(name: &str) -> (String, Option<i64>) {
    (format!("{name}-uid"), None)
}

#[test]
fn s3_plans_report_each_change_of_availability_once() {
    let mut fleet = tracking(&["a", "b"]);
    send_pod(&mut fleet, pod("p", "a").ready_since(NOW));
    send_pod(&mut fleet, pod("q", "b"));
    assert_eq!(changes(&mut fleet, NOW), [[waits("p", NOW + 30)]]);
    assert_eq!(changes(&mut fleet, NOW), [[]; 0], "nothing has changed");
    send_pod(&mut fleet, pod("q", "b").unready());
    assert_eq!(changes(&mut fleet, NOW + 1), [[]], "only the status has changed");
    send_pod(&mut fleet, pod("q", "b").ready_since(NOW + 2));
    assert_eq!(changes(&mut fleet, NOW + 2), [[waits("q", NOW + 32)]]);
    assert_eq!(changes(&mut fleet, NOW + 30), [[no_longer("p")]]);
    fleet.pod_gone("q-uid");
    assert_eq!(changes(&mut fleet, NOW + 31), [[no_longer("q")]]);
}

#[test]
fn change_of_availability_alone_leads_to_a_plan() {
    let mut fleet = tracking(&["a"]);
    let first = pod("p", "a").created_at(1).ready_since(NOW);
    let second = pod("q", "a").created_at(2).ready_since(NOW);
    fleet.daemon_set_changed(DaemonSet {
        strategy: max_surge(1),
        ..waiting()
    });
    send_pod(&mut fleet, first.old());
    send_pod(&mut fleet, second.clone().unready());
    assert_eq!(changes(&mut fleet, NOW), [[waits("p", NOW + 30)]]);
    // The counters are those of the older pod, and its time comes first.
    send_pod(&mut fleet, second.ready_since(NOW + 1));
    assert_eq!(changes(&mut fleet, NOW + 1), [[waits("q", NOW + 31)]]);
}

#[test]
fn changes_beyond_the_plan_limit_are_in_further_plans() {
    let names: Vec<_> = (0..2_500).map(|number| format!("n{number:04}")).collect();
    let mut fleet = tracking(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        send_pod(&mut fleet, pod(name, name).ready_since(NOW));
    }
    let plans = changes(&mut fleet, NOW);
    let sizes: Vec<_> = plans.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
    let all: Vec<_> = names.iter().map(|name| waits(name, NOW + 30)).collect();
    assert_eq!(plans.concat(), all);
}

#[test]
fn returning_daemon_set_has_all_waiting_pods_reported_again() {
    let mut fleet = tracking(&["a"]);
    send_pod(&mut fleet, pod("p", "a").ready_since(NOW));
    assert_eq!(changes(&mut fleet, NOW), [[waits("p", NOW + 30)]]);
    fleet.daemon_set_gone(UID);
    assert_eq!(changes(&mut fleet, NOW + 1), [[]; 0]);
    fleet.daemon_set_changed(waiting());
    assert_eq!(changes(&mut fleet, NOW + 2), [[waits("p", NOW + 30)]]);
}

#[test]
fn daemon_set_that_selects_everything_has_no_waiting_pods() {
    let mut fleet = tracking(&["a"]);
    send_pod(&mut fleet, pod("p", "a").ready_since(NOW));
    assert_eq!(changes(&mut fleet, NOW), [[waits("p", NOW + 30)]]);
    fleet.daemon_set_changed(DaemonSet {
        selects_everything: true,
        ..waiting()
    });
    assert_eq!(changes(&mut fleet, NOW), [[no_longer("p")]]);
}

#[test]
fn clock_set_back_makes_a_pod_wait_again() {
    let mut fleet = tracking(&["a"]);
    send_pod(&mut fleet, pod("p", "a").ready_since(NOW));
    assert_eq!(changes(&mut fleet, NOW + 30), [[]]);
    send_pod(&mut fleet, pod("p", "a").created_at(1).ready_since(NOW));
    assert_eq!(changes(&mut fleet, NOW + 10), [[waits("p", NOW + 30)]]);
}

#[test]
fn fleet_that_tracks_no_availability_keeps_and_reports_none() {
    let mut fleet = fleet(waiting(), &["a"]);
    send_pod(&mut fleet, pod("p", "a").ready_since(NOW));
    let without = fleet.bytes();
    assert_eq!(changes(&mut fleet, NOW), [[]]);
    assert_eq!(fleet.bytes(), without);
    let mut fleet = tracking(&["a"]);
    send_pod(&mut fleet, pod("p", "a").ready_since(NOW));
    changes(&mut fleet, NOW);
    assert!(fleet.bytes() > without, "tracked pods use memory");
}
