//! Tests of what is known of rollout policies.

use serde_json::json;

use super::*;
use crate::{apiserver::watch::WatchState, testing::read};

fn states(cluster: &mut Cluster, states: [WatchState; 4]) {
    let kinds = [
        "DaemonSetRolloutPolicy",
        "ClusterDaemonSetRolloutPolicy",
        "DaemonSetRollout",
        "Namespace",
    ];
    for (kind, state) in kinds.into_iter().zip(states) {
        cluster.apply(Change::State(kind, state));
    }
}

#[test]
fn t3_policies_are_known_absent_or_unknown() {
    use WatchState::{Failing, Following, NotServed};
    use everynode_proto::planner::v1::RolloutPolicyKnowledge::{Absent, Known, Unknown};
    let mut cluster = Cluster::default();
    assert_eq!(cluster.rollout_knowledge(), Unknown);
    for (now, wanted) in [
        ([NotServed, NotServed, NotServed, Following], Absent),
        ([NotServed, NotServed, NotServed, Failing], Absent),
        ([Following, Following, Following, Following], Known),
        ([Following, NotServed, Following, Failing], Known),
        ([Failing, Following, Following, Following], Unknown),
        ([NotServed, NotServed, Failing, Following], Unknown),
    ] {
        states(&mut cluster, now);
        assert_eq!(cluster.rollout_knowledge(), wanted, "{now:?}");
    }
    // The namespaces matter only to a policy of the cluster.
    let policy = json!({"metadata": {"name": "all", "uid": "c-1", "resourceVersion": "9"}, "spec": {}});
    cluster.apply(Change::ClusterPolicy(Event::Changed(read(&policy))));
    states(&mut cluster, [Following, Following, Following, Failing]);
    assert_eq!(cluster.rollout_knowledge(), Unknown);
}

#[test]
fn t13_counters_of_a_rollout_are_no_facts() {
    let mut cluster = Cluster::default();
    cluster.apply(Change::DaemonSet(Event::Changed(crate::testing::agent())));
    let rollout = |version: &str, updated: i32, rollout: i64| {
        let rollout = json!({
            "metadata": {"namespace": "default", "name": "agent", "uid": "u", "resourceVersion": version},
            "status": {"rollout": rollout, "daemonSetUid": "ds-1", "state": "Progressing", "updated": updated},
        });
        Change::Rollout(Event::Changed(read(&rollout)))
    };
    for (version, updated, number, is_fact) in [("20", 0, 1, true), ("21", 5, 1, false), ("22", 5, 2, true)] {
        cluster.touched = Touched::default();
        cluster.apply(rollout(version, updated, number));
        assert_eq!(cluster.touched.rollouts.contains("ds-1"), is_fact, "{version}");
    }
}

#[test]
fn driver_upgrade_label_counts_until_the_last_node_loses_it() {
    let mut cluster = Cluster::default();
    cluster.apply(Change::DaemonSet(Event::Changed(crate::testing::agent())));
    let node = |name: &str, version: &str, labels: serde_json::Value| {
        let metadata = json!({"name": name, "uid": name, "resourceVersion": version, "labels": labels});
        Event::Changed(read::<facts::Node>(&json!({"metadata": metadata})))
    };
    let upgraded = || json!({"nvidia.com/gpu-driver-upgrade-state": "upgrade-required"});
    let mut apply = |event, expected: usize, is_announced: bool| {
        cluster.touched = Touched::default();
        cluster.apply(Change::Node(event));
        assert_eq!(cluster.driver_upgrade_labels().count(), expected);
        assert_eq!(cluster.touched.announcements.contains("ds-1"), is_announced);
    };
    apply(node("n1", "1", json!({"zone": "a"})), 0, false);
    apply(node("n1", "2", upgraded()), 1, true);
    apply(node("n2", "3", upgraded()), 1, false);
    apply(node("n1", "4", json!({})), 1, false);
    let Event::Changed(gone) = node("n2", "5", upgraded()) else {
        unreachable!("a change")
    };
    apply(Event::Gone(gone), 0, true);
}

#[test]
fn t3_leader_needs_rollout_policies_while_one_applies_or_a_rollout_is_open() {
    use WatchState::{Failing, Following, NotServed};
    let mut cluster = Cluster::default();
    cluster.apply(Change::DaemonSet(Event::Changed(crate::testing::agent())));
    assert_eq!(cluster.needs_rollout_policies(), None);
    states(&mut cluster, [NotServed; 4]);
    assert_eq!(cluster.needs_rollout_policies(), Some(false));
    states(&mut cluster, [Following; 4]);
    assert_eq!(cluster.needs_rollout_policies(), Some(false));
    let policy = |version: &str, accepted: i32| {
        let policy = json!({
            "metadata": {"namespace": "default", "name": "p", "uid": "p-1", "resourceVersion": version},
            "spec": {"targetRefs": [{"name": "agent"}]}, "status": {"accepted": accepted},
        });
        Change::Policy(Event::Changed(read(&policy)))
    };
    let rollout = |version: &str, state: &str, daemon_set: &str| {
        let rollout = json!({
            "metadata": {"namespace": "default", "name": "agent", "uid": "u", "resourceVersion": version},
            "status": {"rollout": 1, "daemonSetUid": daemon_set, "state": state},
        });
        Change::Rollout(Event::Changed(read(&rollout)))
    };
    for (change, wanted) in [
        (policy("10", 0), false),
        (policy("11", 1), true),
        (policy("12", 0), false),
        (rollout("20", "Progressing", "ds-1"), true),
        (rollout("21", "Progressing", "ds-of-before"), false),
        (rollout("22", "Completed", "ds-1"), false),
    ] {
        cluster.apply(change);
        assert_eq!(cluster.needs_rollout_policies(), Some(wanted));
    }
    states(&mut cluster, [Following, Failing, Following, Following]);
    assert_eq!(cluster.needs_rollout_policies(), None);
    // The kinds are removed in the middle of a rollout.
    let mut cluster = Cluster::default();
    let condition = json!([{"type": "RolloutHeld", "status": "True"}]);
    let held = crate::testing::agent_with(json!({"status": {"conditions": condition}}));
    cluster.apply(Change::DaemonSet(Event::Changed(held)));
    states(&mut cluster, [NotServed; 4]);
    assert_eq!(cluster.needs_rollout_policies(), Some(true));
}

#[test]
fn daemon_set_is_announced_again_when_the_condition_rollout_held_changes() {
    let mut cluster = Cluster::default();
    cluster.apply(Change::DaemonSet(Event::Changed(crate::testing::agent())));
    for (version, status, is_announced) in
        [("11", "True", true), ("12", "True", false), ("13", "False", true)]
    {
        cluster.touched = Touched::default();
        let change = json!({
            "metadata": {"resourceVersion": version},
            "status": {
                "numberReady": version.parse::<i32>().unwrap(),
                "conditions": [{"type": "RolloutHeld", "status": status}],
            },
        });
        cluster.apply(Change::DaemonSet(Event::Changed(crate::testing::agent_with(
            change,
        ))));
        assert_eq!(
            cluster.touched.announcements.contains("ds-1"),
            is_announced,
            "{version}"
        );
    }
}
