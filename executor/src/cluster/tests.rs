mod event_order;
mod ownership;
mod pods;
mod rollouts;
mod unsettled;

use everynode_proto::facts::Node;
use indexmap::IndexSet;
use serde_json::json;

use super::*;
use crate::{
    apiserver::objects::DaemonSet,
    testing::{
        agent, agent_with, node, old_revision_json, owned_by, pod, pod_json, read, revision, revision_json,
        with,
    },
};

fn changed(cluster: &mut Cluster, object: DaemonSet) {
    cluster.apply(Change::DaemonSet(Event::Changed(object)));
}

/// A cluster with only the agent in its caches, and no recorded changes.
fn with_agent() -> Cluster {
    let mut cluster = Cluster::default();
    changed(&mut cluster, agent());
    cluster.touched = Touched::default();
    cluster
}

fn touched(set: &IndexSet<SharedStr>) -> Vec<&str> {
    set.iter().map(|text| &**text).collect()
}

#[test]
fn cluster_is_synced_when_every_list_is_complete() {
    let mut cluster = Cluster::default();
    let ends = [
        Change::Node(Event::ListEnds),
        Change::Pod(Event::ListEnds),
        Change::DaemonSet(Event::ListEnds),
        Change::Revision(Event::ListEnds),
    ];
    for end in ends {
        assert!(!cluster.is_synced());
        cluster.apply(end);
    }
    assert!(cluster.is_synced());
    cluster.apply(Change::Pod(Event::ListBegins));
    assert!(cluster.is_synced(), "the cluster stays synced during a new list");
}

#[test]
fn node_is_touched_only_when_a_fact_changes() {
    let mut cluster = Cluster::default();
    cluster.apply(Change::Node(Event::Changed(node("n1"))));
    assert_eq!(touched(&cluster.touched.nodes), ["n1"]);
    cluster.touched = Touched::default();
    let heartbeat: Node =
        read(&json!({"metadata": {"name": "n1", "resourceVersion": "2"}, "status": {"x": 1}}));
    cluster.apply(Change::Node(Event::Changed(heartbeat)));
    assert!(cluster.touched.nodes.is_empty());
    let cordoned = json!({
        "metadata": {"name": "n1", "resourceVersion": "3"},
        "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
    });
    cluster.apply(Change::Node(Event::Changed(read(&cordoned))));
    assert_eq!(touched(&cluster.touched.nodes), ["n1"]);
}

#[test]
fn objects_missing_from_a_list_are_gone_when_the_list_is_complete() {
    let mut cluster = with_agent();
    for name in ["n1", "n2"] {
        cluster.apply(Change::Node(Event::Changed(node(name))));
    }
    cluster.touched = Touched::default();
    cluster.apply(Change::Node(Event::ListBegins));
    cluster.apply(Change::Node(Event::Changed(node("n2"))));
    assert!(cluster.node("n1").is_some());
    cluster.apply(Change::Node(Event::ListEnds));
    assert_eq!(touched(&cluster.touched.nodes), ["n1"]);
    assert!(cluster.node("n1").is_none() && cluster.node("n2").is_some());
    cluster.apply(Change::DaemonSet(Event::ListBegins));
    cluster.apply(Change::DaemonSet(Event::ListEnds));
    assert!(cluster.daemon_set("ds-1").is_none());
    assert_eq!(touched(&cluster.touched.daemon_sets), ["ds-1"]);
}

#[test]
fn a4_daemon_set_that_is_being_deleted_is_removed_from_the_cache() {
    let mut cluster = with_agent();
    let deleting =
        json!({"metadata": {"resourceVersion": "11", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    changed(&mut cluster, agent_with(deleting));
    assert!(cluster.daemon_set("ds-1").is_none());
    assert_eq!(touched(&cluster.touched.daemon_sets), ["ds-1"]);
    assert!(cluster.touched.upkeep.is_empty());
}

#[test]
fn response_to_a_write_does_not_restore_a_deleted_daemon_set() {
    let mut cluster = with_agent();
    cluster.apply(Change::DaemonSet(Event::Gone(agent())));
    cluster.touched = Touched::default();
    cluster.apply_written_daemon_set(agent_with(json!({"metadata": {"resourceVersion": "99"}})));
    assert!(cluster.daemon_set("ds-1").is_none());
    assert!(cluster.touched.daemon_sets.is_empty());
}

#[test]
fn older_daemon_set_changes_nothing() {
    let mut cluster = with_agent();
    let newer = json!({"metadata": {"resourceVersion": "12", "generation": 2}});
    cluster.apply_written_daemon_set(agent_with(newer));
    cluster.touched = Touched::default();
    changed(
        &mut cluster,
        agent_with(json!({"metadata": {"resourceVersion": "11"}})),
    );
    assert_eq!(cluster.daemon_set("ds-1").unwrap().object.metadata.generation, 2);
    assert!(cluster.touched.daemon_sets.is_empty());
}

#[test]
fn new_status_does_not_touch_the_daemon_set_unless_its_collision_count_rises() {
    let mut cluster = with_agent();
    let status = json!({"metadata": {"resourceVersion": "11"}, "status": {"numberReady": 3}});
    changed(&mut cluster, agent_with(status));
    assert!(cluster.touched.daemon_sets.is_empty());
    assert_eq!(cluster.daemon_set("ds-1").unwrap().object.status.number_ready, 3);
    let collision = json!({"metadata": {"resourceVersion": "12"}, "status": {"collisionCount": 1}});
    changed(&mut cluster, agent_with(collision));
    assert_eq!(touched(&cluster.touched.upkeep), ["ds-1"]);
}

#[test]
fn revision_change_marks_its_daemon_set_for_upkeep_unless_created_with_an_owner() {
    let mut cluster = with_agent();
    let apply_revision = |cluster: &mut Cluster, json: &serde_json::Value| {
        cluster.apply(Change::Revision(Event::Changed(revision(json))));
        touched(&std::mem::take(&mut cluster.touched).upkeep).join(" ")
    };
    let owned = revision_json("r1", 1);
    assert_eq!(
        apply_revision(&mut cluster, &owned),
        "",
        "its creator may still be using it"
    );
    let changed = with(
        owned.clone(),
        json!({"metadata": {"resourceVersion": "6", "labels": {"a": "b"}}}),
    );
    assert_eq!(apply_revision(&mut cluster, &changed), "ds-1");
    let orphan = with(
        revision_json("r2", 1),
        json!({"metadata": {"ownerReferences": []}}),
    );
    assert_eq!(apply_revision(&mut cluster, &orphan), "ds-1");
    let other = with(
        revision_json("r9", 1),
        json!({"metadata": {"ownerReferences": owned_by("ds-9")}}),
    );
    assert_eq!(apply_revision(&mut cluster, &other), "");
    cluster.apply(Change::Revision(Event::Gone(revision(&owned))));
    assert_eq!(touched(&cluster.touched.upkeep), ["ds-1"]);
}

#[test]
fn revision_of_another_controller_or_in_deletion_is_not_cached() {
    let mut cluster = with_agent();
    let stateful = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "uid": "s", "controller": true}]);
    let foreign = with(
        revision_json("a", 1),
        json!({"metadata": {"ownerReferences": stateful}}),
    );
    let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    for object in [foreign, with(revision_json("b", 1), deleting)] {
        cluster.apply(Change::Revision(Event::Changed(revision(&object))));
    }
    assert_eq!(cluster.revisions("default").count(), 0);
}

#[test]
fn response_to_a_write_does_not_restore_a_deleted_revision() {
    let mut cluster = with_agent();
    let mut written = revision_json("r1", 1);
    cluster.apply_written_revision(&revision(&written));
    assert_eq!(cluster.revisions("default").count(), 1);
    written["metadata"]["resourceVersion"] = json!("9");
    cluster.apply(Change::Revision(Event::Gone(revision(&written))));
    cluster.apply_written_revision(&revision(&revision_json("r1", 2)));
    assert_eq!(cluster.revisions("default").count(), 0);
}

#[test]
fn older_revision_changes_nothing() {
    let mut cluster = with_agent();
    let newer = with(
        old_revision_json("r1", 4),
        json!({"metadata": {"resourceVersion": "8"}}),
    );
    cluster.apply_written_revision(&revision(&newer));
    cluster.apply(Change::Revision(Event::Changed(revision(&old_revision_json(
        "r1", 1,
    )))));
    let numbers: Vec<_> = cluster
        .revisions("default")
        .map(|revision| revision.revision)
        .collect();
    assert_eq!(numbers, [4]);
}

#[test]
fn new_planner_gets_everything() {
    let mut cluster = with_agent();
    cluster.apply(Change::Node(Event::Changed(node("n1"))));
    cluster.apply(Change::Pod(Event::Changed(pod("p1", 3))));
    cluster.touched = Touched::default();
    cluster.touch_all();
    let Touched {
        nodes,
        pods,
        daemon_sets,
        statuses,
        competitor_pods,
        upkeep,
        ..
    } = &cluster.touched;
    assert_eq!(
        (touched(nodes), touched(pods), touched(daemon_sets)),
        (vec!["n1"], vec!["uid of p1"], vec!["ds-1"])
    );
    assert!(upkeep.is_empty() && statuses.is_empty() && competitor_pods.is_empty());
}

#[test]
fn heartbeat_of_a_node_changes_nothing_until_its_readiness_or_lifecycle_does() {
    let mut cluster = with_agent();
    let mut apply = |version: &str, time: &str, ready: &str, drained: &str| {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastHeartbeatTime": time, "reason": time});
        let conditions = [
            condition("MemoryPressure", "False"),
            condition("Ready", ready),
            condition("Drained", drained),
        ];
        let node = json!({
            "metadata": {"name": "n1", "uid": "n1", "resourceVersion": version},
            "status": {"conditions": conditions},
        });
        cluster.touched = Touched::default();
        cluster.apply(Change::Node(Event::Changed(read(&node))));
        !cluster.touched.nodes.is_empty()
    };
    assert!(apply("1", "2026-01-01T00:00:00Z", "True", "False"));
    assert!(!apply("2", "2026-01-01T00:05:00Z", "True", "False"));
    assert!(apply("3", "2026-01-01T00:10:00Z", "Unknown", "False"));
    assert!(!apply("4", "2026-01-01T00:15:00Z", "Unknown", "False"));
    assert!(apply("5", "2026-01-01T00:20:00Z", "Unknown", "True"));
}
