use serde_json::json;
use update_strategy::Strategy;

use super::*;
use crate::{
    apiserver::watch::{Change, Event, WatchState},
    controller::managed::AnnouncedDaemonSet,
    ownership::upkeep::TemplateRevision,
    testing::{agent, agent_with, old_revision_json, read, revision, revision_json},
};

const KINDS: [&str; 4] = [
    "DaemonSetRolloutPolicy",
    "ClusterDaemonSetRolloutPolicy",
    "DaemonSetRollout",
    "Namespace",
];

/// The agent with the old revision r1 and the current one r2.
fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.apply(Change::DaemonSet(Event::Changed(agent())));
    for json in [old_revision_json("r1", 1), revision_json("r2", 2)] {
        cluster.apply(Change::Revision(Event::Changed(revision(&json))));
    }
    for kind in KINDS {
        cluster.apply(Change::State(kind, WatchState::Following));
    }
    cluster
}

fn add_policy(cluster: &mut Cluster, target: &str) {
    let policy = json!({
        "metadata": {"namespace": "default", "name": "p", "uid": "p-1", "resourceVersion": "30"},
        "spec": {"targetRefs": [{"name": target}]},
    });
    cluster.apply(Change::Policy(Event::Changed(read(&policy))));
}

fn add_rollout(cluster: &mut Cluster, state: &str) {
    let rollout = json!({
        "metadata": {"namespace": "default", "name": "agent", "uid": "dsr-1", "resourceVersion": "31"},
        "spec": {},
        "status": {
            "rollout": 1, "daemonSetUid": "ds-1", "currentRevision": "r1", "updateRevision": "r2", "state": state,
        },
    });
    cluster.apply(Change::Rollout(Event::Changed(read(&rollout))));
}

/// The facts that a planner gets: the update revision, whether the strategy is `OnDelete`, and the number of revisions.
fn announced(cluster: &Cluster, knows_rollouts: bool) -> (String, bool, usize) {
    let entry = cluster.daemon_set("ds-1").unwrap();
    let revision = TemplateRevision {
        hash: "r2".to_owned(),
        duplicates: Vec::new(),
    };
    let managed = ManagedDaemonSet {
        announced: Some(AnnouncedDaemonSet::new(entry.object.clone(), revision)),
        ..ManagedDaemonSet::default()
    };
    let Announcement::Facts(facts) = announcement(cluster, entry, &managed, knows_rollouts) else {
        panic!("no facts")
    };
    let strategy = facts.update_strategy.and_then(|strategy| strategy.strategy);
    let is_on_delete = matches!(strategy, Some(Strategy::OnDelete(_)));
    (facts.update_revision, is_on_delete, facts.revisions.len())
}

#[test]
fn daemon_set_without_a_policy_is_announced_as_before() {
    let mut cluster = cluster();
    for knows_rollouts in [true, false] {
        assert_eq!(announced(&cluster, knows_rollouts), ("r2".to_owned(), false, 0));
    }
    add_policy(&mut cluster, "other");
    assert_eq!(announced(&cluster, false), ("r2".to_owned(), false, 0));
}

#[test]
fn planner_that_knows_policies_gets_all_revisions() {
    let mut cluster = cluster();
    add_policy(&mut cluster, "agent");
    assert_eq!(announced(&cluster, true), ("r2".to_owned(), false, 2));
}

#[test]
fn t17_planner_that_does_not_know_policies_holds_at_the_current_revision() {
    let mut cluster = cluster();
    add_policy(&mut cluster, "agent");
    assert_eq!(announced(&cluster, false), ("r2".to_owned(), true, 0));
    add_rollout(&mut cluster, "Progressing");
    assert_eq!(announced(&cluster, false), ("r1".to_owned(), true, 0));
}

#[test]
fn t3_rollout_that_has_begun_and_a_failing_watch_hold_without_a_policy() {
    let mut begun = cluster();
    add_rollout(&mut begun, "Progressing");
    assert_eq!(announced(&begun, false), ("r1".to_owned(), true, 0));
    let mut completed = cluster();
    add_rollout(&mut completed, "Completed");
    assert_eq!(announced(&completed, false), ("r2".to_owned(), false, 0));
    completed.apply(Change::State(KINDS[0], WatchState::Failing));
    assert!(announced(&completed, false).1);
}

#[test]
fn t3_condition_rollout_held_holds_without_policy_and_memory() {
    let mut cluster = cluster();
    let condition = json!([{"type": "RolloutHeld", "status": "True"}]);
    let change = json!({"metadata": {"resourceVersion": "40"}, "status": {"conditions": condition}});
    cluster.apply(Change::DaemonSet(Event::Changed(agent_with(change))));
    assert_eq!(announced(&cluster, false), ("r2".to_owned(), true, 0));
    // What is remembered counts more.
    add_rollout(&mut cluster, "Completed");
    assert_eq!(announced(&cluster, false), ("r2".to_owned(), false, 0));
}

#[test]
fn t3_failing_watch_of_namespaces_holds_if_there_is_a_policy_of_the_cluster() {
    let mut cluster = cluster();
    cluster.apply(Change::State("Namespace", WatchState::Failing));
    assert!(!announced(&cluster, false).1);
    let metadata = json!({"name": "all", "uid": "c-1", "resourceVersion": "30"});
    let selector = json!({"matchLabels": {"team": "a"}});
    let policy = json!({"metadata": metadata, "spec": {"namespaceSelector": selector}});
    cluster.apply(Change::ClusterPolicy(Event::Changed(read(&policy))));
    assert!(announced(&cluster, false).1);
}

#[test]
fn daemon_set_that_a_driver_operator_upgrades_is_managed_by_it() {
    let managed_by = |name: &str, labels: serde_json::Value, strategy: &str, nodes: serde_json::Value| {
        let mut cluster = Cluster::default();
        let change = json!({
            "metadata": {"name": name, "labels": labels}, "spec": {"updateStrategy": {"type": strategy}},
        });
        cluster.apply(Change::DaemonSet(Event::Changed(agent_with(change))));
        let node = json!({"metadata": {"name": "n1", "uid": "u", "resourceVersion": "1", "labels": nodes}});
        cluster.apply(Change::Node(Event::Changed(read(&node))));
        other_driver(&cluster, cluster.daemon_set("ds-1").unwrap())
    };
    let gpu = json!({"nvidia.com/gpu-driver-upgrade-state": "upgrade-done"});
    let found = Some("nvidia.com/gpu-driver-upgrade-state".to_owned());
    let driver = "nvidia-driver-daemonset";
    assert_eq!(managed_by(driver, json!({}), "OnDelete", gpu.clone()), found);
    let ofed = json!({"nvidia.com/ofed-driver": ""});
    assert_eq!(managed_by("mofed-ds", ofed, "OnDelete", gpu.clone()), found);
    for (name, strategy, nodes) in [
        (driver, "RollingUpdate", gpu.clone()),
        (driver, "OnDelete", json!({})),
        ("nvidia-device-plugin", "OnDelete", gpu.clone()),
        ("csi-driver", "OnDelete", gpu),
    ] {
        assert_eq!(managed_by(name, json!({}), strategy, nodes), None, "{name}");
    }
}
