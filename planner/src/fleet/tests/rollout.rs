//! Tests of rollouts step by step, as time passes, nodes change and outcomes arrive.

use super::*;
use crate::{
    decide::rolling_update,
    model::{Budget, Strategy},
    testing::max_surge,
};

/// A fleet whose nodes have one available old pod each, named like its node.
fn old_fleet(strategy: Strategy, nodes: &[&str]) -> Fleet {
    let mut fleet = fleet(with_strategy(strategy), nodes);
    for name in nodes {
        send_pod(&mut fleet, pod(name, name).old());
    }
    fleet
}

/// Reports that an action's pod is gone, and that the action is done.
fn pod_deleted(fleet: &mut Fleet, name: &str, id: ActionId) {
    fleet.pod_gone(&format!("{name}-uid"));
    fleet.action_done(id);
}

/// Reports that an action's pod is there, and that the action is done.
fn pod_created(fleet: &mut Fleet, pod: Pod, id: ActionId) {
    send_pod(fleet, pod);
    fleet.action_done(id);
}

#[test]
fn r5_surge_continues_when_the_new_pod_was_ready_for_min_ready_seconds() {
    let mut fleet = old_fleet(max_surge(1), &["a", "b"]);
    fleet.daemon_set_changed(DaemonSet {
        min_ready_millis: 30_000,
        ..with_strategy(max_surge(1))
    });
    let ids = check(&mut fleet, NOW, &["create a"]);
    pod_created(&mut fleet, pod("a2", "a").created_at(NOW).unready(), ids[0]);
    check(&mut fleet, NOW + 5, &[]);
    send_pod(&mut fleet, pod("a2", "a").created_at(NOW).ready_since(NOW + 5));
    check(&mut fleet, NOW + 5, &[]);
    check(&mut fleet, NOW + 34, &[]);
    let ids = check(&mut fleet, NOW + 35, &["delete a: Update", "create b"]);
    send_pod(&mut fleet, pod("a", "a").old().deleting());
    pod_created(&mut fleet, pod("b2", "b").created_at(NOW + 35).unready(), ids[1]);
    pod_deleted(&mut fleet, "a", ids[0]);
    check(&mut fleet, NOW + 90, &[]);
}

#[test]
fn r5_new_pod_that_becomes_unready_must_wait_min_ready_seconds_again() {
    let waits = DaemonSet {
        min_ready_millis: 30_000,
        ..with_strategy(max_surge(1))
    };
    let mut fleet = old_fleet(max_surge(1), &["a"]);
    fleet.daemon_set_changed(waits.clone());
    let ids = check(&mut fleet, NOW, &["create a"]);
    let new = || pod("a2", "a").created_at(NOW);
    pod_created(&mut fleet, new().ready_since(NOW), ids[0]);
    check(&mut fleet, NOW + 29, &[]);
    send_pod(&mut fleet, new().unready());
    check(&mut fleet, NOW + 31, &[]);
    send_pod(&mut fleet, new().ready_since(NOW + 32));
    check(&mut fleet, NOW + 61, &[]);
    fleet.daemon_set_changed(DaemonSet {
        generation: 2,
        min_ready_millis: 29_000,
        ..waits
    });
    check(&mut fleet, NOW + 61, &["delete a: Update"]);
}

#[test]
fn s3_clock_set_back_pauses_a_rollout_until_it_is_correct_again() {
    const HOUR: i64 = 3_600;
    let nodes = ["a", "b", "c", "d"];
    for (strategy, back, right) in [
        (
            max_unavailable(2),
            &[][..],
            &["delete a: Update", "delete b: Update"][..],
        ),
        (
            max_surge(2),
            &["create a", "create b"],
            &["delete a: Update", "delete b: Update", "create c", "create d"],
        ),
    ] {
        let waits = |update_revision: &str, generation: i64| DaemonSet {
            min_ready_millis: 30_000,
            update_revision: update_revision.into(),
            generation,
            ..with_strategy(strategy)
        };
        let mut fleet = fleet(waits("old", 1), &nodes);
        for name in nodes {
            send_pod(&mut fleet, pod(name, name).old().ready_since(NOW - 60));
        }
        check(&mut fleet, NOW, &[]);
        fleet.daemon_set_changed(waits("new", 2));
        let ids = check(&mut fleet, NOW - HOUR, back);
        for (id, node) in ids.into_iter().zip(nodes) {
            let new = pod(&format!("{node}2"), node).created_at(NOW);
            pod_created(&mut fleet, new.ready_since(NOW + 5), id);
        }
        check(&mut fleet, NOW - HOUR + 60, &[]);
        check(&mut fleet, NOW + 60, right);
    }
}

#[test]
fn r4_failed_new_pod_pauses_the_rollout_until_its_successor_is_available() {
    let mut fleet = old_fleet(max_unavailable(1), &["a", "b"]);
    let ids = check(&mut fleet, NOW, &["delete a: Update"]);
    pod_deleted(&mut fleet, "a", ids[0]);
    let ids = check(&mut fleet, NOW, &["create a"]);
    pod_created(&mut fleet, pod("a2", "a").failed(), ids[0]);
    let ids = check(&mut fleet, NOW, &["delete a2: Failed"]);
    pod_deleted(&mut fleet, "a2", ids[0]);
    let ids = check(&mut fleet, NOW, &["create a"]);
    pod_created(&mut fleet, pod("a3", "a").failed(), ids[0]);
    check(&mut fleet, NOW, &[]);
    let ids = check(&mut fleet, NOW + 1, &["delete a3: Failed"]);
    pod_deleted(&mut fleet, "a3", ids[0]);
    let ids = check(&mut fleet, NOW + 1, &["create a"]);
    pod_created(&mut fleet, pod("a4", "a").unready(), ids[0]);
    check(&mut fleet, NOW + 1, &[]);
    send_pod(&mut fleet, pod("a4", "a"));
    check(&mut fleet, NOW + 1, &["delete b: Update"]);
}

#[test]
fn r3_nodes_that_join_and_leave_change_what_a_percentage_allows() {
    let quarter = rolling_update(Some(Budget::Percent(25)), None);
    let mut fleet = old_fleet(quarter, &["a", "b", "c", "d"]);
    let ids = check(&mut fleet, NOW, &["delete a: Update"]);
    fleet.node_changed(node("e", &[], &[]));
    let created = check(&mut fleet, NOW, &["create e"]);
    pod_created(&mut fleet, pod("e", "e").unready(), created[0]);
    check(&mut fleet, NOW, &[]);
    send_pod(&mut fleet, pod("e", "e"));
    let more = check(&mut fleet, NOW, &["delete b: Update"]);
    fleet.node_gone("e");
    fleet.node_gone("a");
    check(&mut fleet, NOW, &[]);
    pod_deleted(&mut fleet, "a", ids[0]);
    check(&mut fleet, NOW, &[]);
    pod_deleted(&mut fleet, "b", more[0]);
    let ids = check(&mut fleet, NOW, &["create b"]);
    pod_created(&mut fleet, pod("b2", "b"), ids[0]);
    check(&mut fleet, NOW, &["delete c: Update"]);
}

#[test]
fn r6_old_pods_are_replaced_in_the_order_of_node_names_not_of_arrival() {
    for nodes in [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["c", "a", "d", "b"]] {
        let mut fleet = old_fleet(max_unavailable(2), &nodes);
        check(&mut fleet, NOW, &["delete a: Update", "delete b: Update"]);
        let mut fleet = old_fleet(max_surge(2), &nodes);
        check(&mut fleet, NOW, &["create a", "create b"]);
    }
}

#[test]
fn r5_removed_node_releases_its_surge() {
    let mut fleet = old_fleet(max_surge(1), &["a", "b"]);
    let ids = check(&mut fleet, NOW, &["create a"]);
    fleet.node_gone("a");
    let more = check(&mut fleet, NOW, &["create b"]);
    pod_created(&mut fleet, pod("a2", "a").unbound(), ids[0]);
    check(&mut fleet, NOW, &["delete a2: NodeGone"]);
    fleet.node_changed(node("a", &[], &[]));
    check(&mut fleet, NOW, &[]);
    fleet.pod_gone("a2-uid");
    check(&mut fleet, NOW, &[]);
    pod_created(&mut fleet, pod("b2", "b").created_at(NOW), more[0]);
    check(&mut fleet, NOW, &["delete b: Update", "create a"]);
}

#[test]
fn n5_template_change_during_a_surge_creates_no_third_pod() {
    let mut fleet = old_fleet(max_surge(1), &["a"]);
    let ids = check(&mut fleet, NOW, &["create a"]);
    fleet.daemon_set_changed(DaemonSet {
        generation: 2,
        update_revision: "newer".into(),
        ..with_strategy(max_surge(1))
    });
    check(&mut fleet, NOW, &[]);
    let beside = || pod("a2", "a").created_at(NOW);
    pod_created(&mut fleet, beside().unready(), ids[0]);
    let ids = check(&mut fleet, NOW, &["delete a2: Excess"]);
    check(&mut fleet, NOW, &[]);
    send_pod(&mut fleet, beside().deleting());
    check(&mut fleet, NOW, &["create a"]);
    fleet.action_done(ids[0]);
    check(&mut fleet, NOW, &[]);
}
