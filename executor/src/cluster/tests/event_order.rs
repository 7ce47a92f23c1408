//! Nodes and `DaemonSet`s that the watch reports out of order or twice.

use everynode_proto::facts::Node;

use super::*;

fn tainted(name: &str, version: &str, taint: &str) -> Node {
    read(&json!({
        "metadata": {"name": name, "resourceVersion": version},
        "spec": {"taints": [{"key": taint, "effect": "NoSchedule"}]},
    }))
}

fn apply_node(cluster: &mut Cluster, version: &str, taint: &str) {
    cluster.apply(Change::Node(Event::Changed(tainted("n1", version, taint))));
}

fn apply_node_gone(cluster: &mut Cluster, version: &str) {
    cluster.apply(Change::Node(Event::Gone(tainted("n1", version, "any"))));
}

/// The node's taint, if the node is known.
fn taint(cluster: &Cluster) -> Option<&str> {
    cluster.node("n1").map(|node| node.taints[0].key.as_str())
}

fn apply_agent(cluster: &mut Cluster, version: &str, generation: u32) {
    let metadata = json!({"resourceVersion": version, "generation": generation});
    changed(cluster, agent_with(json!({"metadata": metadata})));
}

fn generation(cluster: &Cluster) -> Option<i64> {
    Some(cluster.daemon_set("ds-1")?.object.metadata.generation)
}

#[test]
fn older_or_duplicate_event_of_a_node_changes_nothing() {
    let mut cluster = Cluster::default();
    apply_node(&mut cluster, "99999999999999999999", "a");
    apply_node(&mut cluster, "100000000000000000000", "b");
    cluster.touched = Touched::default();
    apply_node(&mut cluster, "99999999999999999999", "a");
    apply_node(&mut cluster, "7", "c");
    apply_node(&mut cluster, "100000000000000000000", "b");
    assert_eq!(taint(&cluster), Some("b"));
    assert!(cluster.touched.nodes.is_empty());
}

#[test]
fn deleted_node_is_not_restored_by_an_older_event() {
    let mut cluster = Cluster::default();
    apply_node(&mut cluster, "5", "a");
    apply_node_gone(&mut cluster, "9");
    cluster.touched = Touched::default();
    apply_node(&mut cluster, "8", "b");
    apply_node_gone(&mut cluster, "9");
    assert_eq!(taint(&cluster), None);
    assert!(cluster.touched.nodes.is_empty());
    apply_node(&mut cluster, "10", "c");
    assert_eq!(taint(&cluster), Some("c"), "it has been recreated");
}

#[test]
fn recreated_node_is_not_removed_with_its_predecessor() {
    let mut cluster = Cluster::default();
    apply_node(&mut cluster, "5", "a");
    apply_node(&mut cluster, "10", "b");
    apply_node_gone(&mut cluster, "9");
    assert_eq!(taint(&cluster), Some("b"));
}

#[test]
fn deleted_daemon_set_is_not_restored_by_an_older_event() {
    let mut cluster = with_agent();
    let deleting =
        json!({"metadata": {"resourceVersion": "15", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    changed(&mut cluster, agent_with(deleting));
    apply_agent(&mut cluster, "14", 2);
    assert_eq!(generation(&cluster), None, "its deletion has begun");
    cluster.apply(Change::DaemonSet(Event::Gone(agent_with(
        json!({"metadata": {"resourceVersion": "17"}}),
    ))));
    apply_agent(&mut cluster, "16", 3);
    assert_eq!(generation(&cluster), None);
}

#[test]
fn daemon_set_deleted_according_to_a_response_is_not_restored_by_the_watch() {
    let mut cluster = with_agent();
    let deleting =
        json!({"metadata": {"resourceVersion": "15", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    cluster.apply_written_daemon_set(agent_with(deleting));
    apply_agent(&mut cluster, "14", 2);
    assert_eq!(generation(&cluster), None);
}

#[test]
fn list_is_applied_even_if_its_versions_are_lower() {
    let mut cluster = with_agent();
    apply_node(&mut cluster, "50", "a");
    apply_agent(&mut cluster, "60", 6);
    cluster.apply(Change::Pod(Event::Changed(pod("p1", 70))));
    apply_node_gone(&mut cluster, "80");
    cluster.touched = Touched::default();

    cluster.apply(Change::Node(Event::ListBegins));
    apply_node(&mut cluster, "3", "b");
    apply_node(&mut cluster, "2", "c");
    cluster.apply(Change::Node(Event::ListEnds));
    assert_eq!(
        taint(&cluster),
        Some("b"),
        "but not an older version within the list"
    );

    cluster.apply(Change::DaemonSet(Event::ListBegins));
    apply_agent(&mut cluster, "4", 4);
    cluster.apply(Change::DaemonSet(Event::ListEnds));
    assert_eq!(generation(&cluster), Some(4));

    cluster.apply(Change::Pod(Event::ListBegins));
    let moved = json!({"spec": {"nodeName": "elsewhere"}});
    cluster.apply(Change::Pod(Event::Changed(read(&with(pod_json("p1", 5), moved)))));
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(cluster.pods().get("uid of p1").unwrap().node(), Some("elsewhere"));
}

#[test]
fn list_does_not_revert_a_newer_response() {
    let mut cluster = with_agent();
    let written = json!({"metadata": {"resourceVersion": "20"}, "status": {"numberReady": 3}});
    cluster.apply_written_daemon_set(agent_with(written));
    cluster.apply(Change::DaemonSet(Event::ListBegins));
    apply_agent(&mut cluster, "19", 1);
    cluster.apply(Change::DaemonSet(Event::ListEnds));
    assert_eq!(cluster.daemon_set("ds-1").unwrap().object.status.number_ready, 3);
}

#[test]
fn only_recently_deleted_objects_are_remembered() {
    let mut cluster = Cluster::default();
    apply_node_gone(&mut cluster, "9");
    for number in 0..1_000 {
        let other = tainted(&format!("other-{number}"), "10", "any");
        cluster.apply(Change::Node(Event::Gone(other)));
    }
    apply_node(&mut cluster, "8", "a");
    assert_eq!(taint(&cluster), Some("a"));
}
