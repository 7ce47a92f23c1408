mod availability;
mod invariants;
mod policies;
mod properties;
mod random_rollouts;
mod rest;
mod rollout;
mod simulation;

use super::*;
use crate::{
    model::{DaemonSet, Pod, Status},
    testing::{
        NOW, PodVariants, brief, daemon_set, max_surge, max_unavailable, node, pod, seconds, with_strategy,
    },
};

const UID: &str = "agent-uid";

/// A fleet with the `DaemonSet` and nodes of these names.
fn fleet(daemon_set: DaemonSet, nodes: &[&str]) -> Fleet {
    let mut fleet = Fleet::default();
    fleet.daemon_set_changed(daemon_set);
    for name in nodes {
        fleet.node_changed(node(name, &[], &[]));
    }
    fleet
}

fn send_pod(fleet: &mut Fleet, pod: Pod) {
    fleet.pod_changed(&UID.into(), pod);
}

/// Plans at a time in seconds, and returns the actions in short form with their ids.
fn plan(fleet: &mut Fleet, at_seconds: i64) -> Vec<(ActionId, String)> {
    let plans = fleet.plan(seconds(at_seconds));
    let actions = plans.iter().flat_map(|plan| &plan.actions);
    actions.map(|(id, action)| (*id, brief(action))).collect()
}

#[track_caller]
fn check(fleet: &mut Fleet, at_seconds: i64, expected: &[&str]) -> Vec<ActionId> {
    let (ids, actions): (Vec<_>, Vec<_>) = plan(fleet, at_seconds).into_iter().unzip();
    assert_eq!(actions, expected);
    ids
}

fn status(fleet: &mut Fleet, at_seconds: i64) -> Status {
    let plans = fleet.plan(seconds(at_seconds));
    plans.last().and_then(|plan| plan.report.status).unwrap()
}

#[test]
fn n1_actions_in_flight_are_not_requested_again() {
    let mut fleet = fleet(daemon_set(), &["b", "a"]);
    let ids = check(&mut fleet, NOW, &["create a", "create b"]);
    fleet.node_changed(node("c", &[], &[]));
    check(&mut fleet, NOW, &["create c"]);
    fleet.action_done(ids[1]);
    check(&mut fleet, NOW, &["create b"]);
    fleet.action_done(ids[1]);
    check(&mut fleet, NOW, &[]);
    send_pod(&mut fleet, pod("p", "a"));
    fleet.action_done(ids[0]);
    check(&mut fleet, NOW, &[]);
}

#[test]
fn n2_deletion_in_flight_is_not_requested_again_when_the_pod_reappears_or_moves() {
    let mut fleet = fleet(daemon_set(), &[]);
    for name in ["a", "b"] {
        fleet.node_changed(node(name, &[], &["t:NoExecute"]));
    }
    send_pod(&mut fleet, pod("p", "a"));
    let ids = check(&mut fleet, NOW, &["delete p: Excluded"]);
    fleet.pod_gone("p-uid");
    check(&mut fleet, NOW, &[]);
    send_pod(&mut fleet, pod("p", "a"));
    check(&mut fleet, NOW, &[]);
    send_pod(&mut fleet, pod("p", "b"));
    check(&mut fleet, NOW, &[]);
    fleet.action_done(ids[0]);
    check(&mut fleet, NOW, &["delete p: Excluded"]);
}

#[test]
fn n2_deletion_outcome_follows_the_pod_to_another_daemon_set() {
    let mut fleet = fleet(daemon_set(), &[]);
    fleet.daemon_set_changed(DaemonSet {
        uid: "other-uid".into(),
        name: "other".into(),
        ..daemon_set()
    });
    fleet.node_changed(node("a", &[], &["t:NoExecute"]));
    send_pod(&mut fleet, pod("p", "a"));
    let ids = check(&mut fleet, NOW, &["delete p: Excluded"]);
    fleet.pod_changed(&"other-uid".into(), pod("p", "a"));
    check(&mut fleet, NOW, &[]);
    fleet.action_done(ids[0]);
    check(&mut fleet, NOW, &["delete p: Excluded"]);
}

#[test]
fn n3_failed_pod_is_deleted_with_growing_backoff() {
    let mut fleet = fleet(daemon_set(), &["a"]);
    let mut now = NOW;
    let mut waits = Vec::new();
    for round in 0..13 {
        let name = format!("p{round}");
        send_pod(&mut fleet, pod(&name, "a").created_at(now).failed());
        let began = now;
        let id = loop {
            let plans = fleet.plan(seconds(now));
            if let Some((id, action)) = plans.iter().flat_map(|plan| &plan.actions).next() {
                assert_eq!(brief(action), format!("delete {name}: Failed"));
                break *id;
            }
            let at = plans.last().and_then(|plan| plan.report.reconsider_at);
            now = at.expect("a time to reconsider").0 / 1_000;
        };
        waits.push(now - began);
        fleet.pod_gone(&format!("{name}-uid"));
        fleet.action_done(id);
        let created = check(&mut fleet, now, &["create a"]);
        fleet.action_done(created[0]);
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);

    let quiet = now + 2 * 900 + 1;
    send_pod(&mut fleet, pod("late", "a").failed());
    check(&mut fleet, quiet, &["delete late: Failed"]);
    fleet.pod_gone("late-uid");
    send_pod(&mut fleet, pod("later", "a").failed());
    check(&mut fleet, quiet, &[]);
    check(&mut fleet, quiet + 1, &["delete later: Failed"]);
}

#[test]
fn n3_new_generation_resets_the_backoff() {
    let mut fleet = fleet(daemon_set(), &["a"]);
    send_pod(&mut fleet, pod("p", "a").failed());
    check(&mut fleet, NOW, &["delete p: Failed"]);
    fleet.pod_gone("p-uid");
    send_pod(&mut fleet, pod("q", "a").failed());
    check(&mut fleet, NOW, &[]);
    fleet.daemon_set_changed(DaemonSet {
        min_ready_millis: 5,
        ..daemon_set()
    });
    check(&mut fleet, NOW, &[]);
    fleet.daemon_set_changed(DaemonSet {
        generation: 2,
        ..daemon_set()
    });
    check(&mut fleet, NOW, &["delete q: Failed"]);
}

#[test]
fn n3_failed_pods_deleted_together_count_as_one_failure() {
    let mut fleet = fleet(daemon_set(), &["a"]);
    send_pod(&mut fleet, pod("p", "a").failed());
    send_pod(&mut fleet, pod("q", "a").failed());
    check(&mut fleet, NOW, &["delete p: Failed", "delete q: Failed"]);
    send_pod(&mut fleet, pod("r", "a").failed());
    check(&mut fleet, NOW, &[]);
    check(&mut fleet, NOW + 1, &["delete r: Failed"]);
}

#[test]
fn n6_pod_created_for_a_removed_node_is_deleted() {
    let mut fleet = fleet(daemon_set(), &["a"]);
    let ids = check(&mut fleet, NOW, &["create a"]);
    fleet.node_gone("a");
    check(&mut fleet, NOW, &[]);
    send_pod(&mut fleet, pod("p", "a").unbound());
    fleet.action_done(ids[0]);
    check(&mut fleet, NOW, &["delete p: NodeGone"]);
}

#[test]
fn n7_removed_node_changes_the_counters_at_once() {
    let mut fleet = fleet(daemon_set(), &["a", "b"]);
    send_pod(&mut fleet, pod("p", "a"));
    send_pod(&mut fleet, pod("q", "b"));
    assert_eq!(status(&mut fleet, NOW).number_available, 2);
    fleet.node_gone("b");
    let now = status(&mut fleet, NOW);
    assert_eq!(
        (
            now.desired_number_scheduled,
            now.number_available,
            now.number_unavailable
        ),
        (1, 1, 0)
    );
    fleet.node_changed(node("b", &[], &[]));
    assert_eq!(
        status(&mut fleet, NOW).number_available,
        2,
        "the fleet still has its pod"
    );
}

#[test]
fn reused_node_index_carries_no_state_over() {
    let mut fleet = fleet(daemon_set(), &["a", "z"]);
    send_pod(&mut fleet, pod("p", "a").failed());
    send_pod(&mut fleet, pod("q", "z"));
    check(&mut fleet, NOW, &["delete p: Failed"]);
    fleet.pod_gone("p-uid");
    fleet.node_gone("a");
    check(&mut fleet, NOW, &[]);
    fleet.node_changed(node("y", &[], &[]));
    assert_eq!(fleet.nodes.find("y"), Some(0), "the index of a is free");
    let names: Vec<_> = fleet.nodes().map(|node| node.name.as_ref()).collect();
    assert_eq!(names, ["y", "z"]);
    let plans = fleet.plan(seconds(NOW));
    let [(_, Action::Create { node, succeeds, .. })] = plans[0].actions.as_slice() else {
        panic!("one creation was expected: {plans:?}")
    };
    assert_eq!(
        (node.as_ref(), succeeds),
        ("y", &None),
        "no predecessor of another node"
    );
    send_pod(&mut fleet, pod("r", "y").failed());
    check(&mut fleet, NOW, &["delete r: Failed"]);
}

#[test]
fn removed_node_keeps_its_index_while_pods_or_actions_refer_to_it() {
    let mut fleet = fleet(daemon_set(), &["a"]);
    let ids = check(&mut fleet, NOW, &["create a"]);
    fleet.node_gone("a");
    fleet.node_changed(node("b", &[], &[]));
    assert_eq!([fleet.nodes.find("a"), fleet.nodes.find("b")], [Some(0), Some(1)]);
    check(&mut fleet, NOW, &["create b"]);
    fleet.node_changed(node("a", &[], &[]));
    check(&mut fleet, NOW, &[]);
    send_pod(&mut fleet, pod("p", "a").unbound());
    fleet.action_done(ids[0]);
    fleet.node_gone("a");
    fleet.node_changed(node("c", &[], &[]));
    assert_eq!([fleet.nodes.find("a"), fleet.nodes.find("c")], [Some(0), Some(2)]);
    check(&mut fleet, NOW, &["delete p: NodeGone", "create c"]);
}

#[test]
fn removed_daemon_set_gets_no_plans_and_late_outcomes_are_ignored() {
    let mut fleet = fleet(daemon_set(), &["a", "b"]);
    send_pod(&mut fleet, pod("p", "b").unready());
    let ids = check(&mut fleet, NOW, &["create a"]);
    fleet.daemon_set_gone(UID);
    fleet.action_done(ids[0]);
    send_pod(&mut fleet, pod("q", "a").failed());
    fleet.node_changed(node("c", &[], &[]));
    assert_eq!(fleet.plan(seconds(NOW)), []);
    fleet.daemon_set_changed(daemon_set());
    check(&mut fleet, NOW, &["delete q: Failed", "create c"]);
    for uid in ["p-uid", "q-uid"] {
        fleet.pod_gone(uid);
    }
    fleet.daemon_set_gone(UID);
    assert!(
        fleet.rows.is_empty() && fleet.in_flight.is_empty() && fleet.due.is_empty(),
        "{fleet:?}"
    );
}

#[test]
fn pods_may_arrive_before_their_daemon_set_and_node() {
    let mut fleet = Fleet::default();
    send_pod(&mut fleet, pod("p", "a"));
    assert_eq!(fleet.plan(seconds(NOW)), []);
    fleet.node_changed(node("a", &[], &[]));
    fleet.daemon_set_changed(daemon_set());
    let plans = fleet.plan(seconds(NOW));
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0].actions, []);
    assert_eq!(plans[0].report.status.unwrap().number_ready, 1);
}

#[test]
fn n1_pod_without_a_node_counts_for_none() {
    let mut fleet = fleet(daemon_set(), &["a"]);
    send_pod(&mut fleet, pod("p", "").unbound());
    check(&mut fleet, NOW, &["create a"]);
    send_pod(&mut fleet, pod("p", "a"));
    assert_eq!(status(&mut fleet, NOW).current_number_scheduled, 1);
    send_pod(&mut fleet, pod("p", "").unbound());
    assert_eq!(status(&mut fleet, NOW).current_number_scheduled, 0);
}

#[test]
fn unchanged_plans_are_not_repeated() {
    let mut fleet = fleet(daemon_set(), &["a"]);
    send_pod(&mut fleet, pod("p", "a"));
    assert_eq!(fleet.plan(seconds(NOW)).len(), 1);
    assert_eq!(fleet.plan(seconds(NOW + 60)), []);
    send_pod(&mut fleet, pod("p", "a"));
    fleet.node_changed(node("a", &[], &[]));
    fleet.daemon_set_changed(daemon_set());
    fleet.node_changed(node("a", &["some=label"], &[]));
    assert_eq!(fleet.plan(seconds(NOW + 60)), []);
    send_pod(&mut fleet, pod("p", "a").unready());
    assert_eq!(fleet.plan(seconds(NOW + 60)).len(), 1);
}

#[test]
fn s3_status_changes_when_min_ready_seconds_have_passed() {
    let mut fleet = fleet(
        DaemonSet {
            min_ready_millis: 30_000,
            ..daemon_set()
        },
        &["a"],
    );
    send_pod(&mut fleet, pod("p", "a").ready_since(NOW));
    assert_eq!(status(&mut fleet, NOW + 10).number_available, 0);
    assert_eq!(fleet.plan(seconds(NOW + 29)), []);
    assert_eq!(status(&mut fleet, NOW + 30).number_available, 1);
    assert_eq!(fleet.plan(seconds(NOW + 90)), []);
}

#[test]
fn s3_due_plan_is_repeated_with_the_remaining_time() {
    let mut fleet = fleet(
        DaemonSet {
            min_ready_millis: 30_000,
            ..daemon_set()
        },
        &["a"],
    );
    send_pod(&mut fleet, pod("p", "a").ready_since(NOW));
    fleet.plan(seconds(NOW));
    fleet.repeat_next_due();
    let again = fleet.plan(seconds(NOW + 29));
    assert_eq!(
        again
            .iter()
            .map(|plan| plan.report.reconsider_at)
            .collect::<Vec<_>>(),
        [Some(seconds(NOW + 30))]
    );
    assert_eq!(status(&mut fleet, NOW + 30).number_available, 1);
    fleet.repeat_next_due();
    assert_eq!(fleet.plan(seconds(NOW + 31)), [], "nothing is due any more");
}

#[test]
fn actions_beyond_the_plan_limit_are_in_further_plans() {
    let mut fleet = Fleet::default();
    fleet.daemon_set_changed(with_strategy(max_unavailable(3_000)));
    for number in 0..2_500 {
        let name = format!("n{number:04}");
        fleet.node_changed(node(&name, &[], &[]));
        if number % 5 == 0 {
            send_pod(&mut fleet, pod(&name, &name).old());
        }
    }
    let plans = fleet.plan(seconds(NOW));
    let sizes: Vec<_> = plans.iter().map(|plan| plan.actions.len()).collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
    let mut actions: Vec<_> = plans
        .iter()
        .flat_map(|plan| &plan.actions)
        .map(|(_, action)| brief(action))
        .collect();
    actions.sort();
    actions.dedup();
    assert_eq!(actions.len(), 2_500, "each once");
    assert_eq!(fleet.plan(seconds(NOW)), []);
}

#[test]
fn r4_budget_spans_several_plans() {
    let mut fleet = fleet(daemon_set(), &["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        send_pod(&mut fleet, pod(name, name).old());
    }
    let ids = check(&mut fleet, NOW, &["delete a: Update"]);
    fleet.node_changed(node("c", &["some=label"], &[]));
    send_pod(&mut fleet, pod("c", "c").old().created_at(7));
    check(&mut fleet, NOW, &[]);
    fleet.pod_gone("a-uid");
    fleet.action_done(ids[0]);
    let ids = check(&mut fleet, NOW, &["create a"]);
    send_pod(&mut fleet, pod("a2", "a").unready());
    fleet.action_done(ids[0]);
    check(&mut fleet, NOW, &[]);
    send_pod(&mut fleet, pod("a2", "a"));
    check(&mut fleet, NOW, &["delete b: Update"]);
}
