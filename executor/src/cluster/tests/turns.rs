//! Nodes and `DaemonSet`s that the watch reports out of order or twice.

use everynode_proto::facts::Node;

use super::*;

fn tainted(name: &str, version: &str, taint: &str) -> Node {
    read(&json!({
        "metadata": {"name": name, "resourceVersion": version},
        "spec": {"taints": [{"key": taint, "effect": "NoSchedule"}]},
    }))
}

fn saw_node(cluster: &mut Cluster, version: &str, taint: &str) {
    cluster.apply(Change::Node(Event::Changed(tainted("n1", version, taint))));
}

fn lost_node(cluster: &mut Cluster, version: &str) {
    cluster.apply(Change::Node(Event::Gone(tainted("n1", version, "any"))));
}

/// The node's taint, if the node is known.
fn taint(cluster: &Cluster) -> Option<&str> {
    cluster.node("n1").map(|node| node.taints[0].key.as_str())
}

fn saw_agent(cluster: &mut Cluster, version: &str, generation: u32) {
    let metadata = json!({"resourceVersion": version, "generation": generation});
    changed(cluster, agent_with(json!({"metadata": metadata})));
}

fn generation(cluster: &Cluster) -> Option<i64> {
    Some(cluster.daemon_set("ds-1")?.object.metadata.generation)
}

#[test]
fn an_older_event_of_a_node_changes_nothing_and_one_that_comes_twice_neither() {
    let mut cluster = Cluster::default();
    saw_node(&mut cluster, "99999999999999999999", "a");
    saw_node(&mut cluster, "100000000000000000000", "b");
    cluster.touched = Touched::default();
    saw_node(&mut cluster, "99999999999999999999", "a");
    saw_node(&mut cluster, "7", "c");
    saw_node(&mut cluster, "100000000000000000000", "b");
    assert_eq!(taint(&cluster), Some("b"));
    assert!(cluster.touched.nodes.is_empty());
}

#[test]
fn a_node_that_is_gone_is_not_brought_back_by_what_was_before() {
    let mut cluster = Cluster::default();
    saw_node(&mut cluster, "5", "a");
    lost_node(&mut cluster, "9");
    cluster.touched = Touched::default();
    saw_node(&mut cluster, "8", "b");
    lost_node(&mut cluster, "9");
    assert_eq!(taint(&cluster), None);
    assert!(cluster.touched.nodes.is_empty());
    saw_node(&mut cluster, "10", "c");
    assert_eq!(taint(&cluster), Some("c"), "it has been made anew");
}

#[test]
fn a_node_that_was_made_anew_does_not_go_with_the_one_before() {
    let mut cluster = Cluster::default();
    saw_node(&mut cluster, "5", "a");
    saw_node(&mut cluster, "10", "b");
    lost_node(&mut cluster, "9");
    assert_eq!(taint(&cluster), Some("b"));
}

#[test]
fn a_daemon_set_that_is_gone_is_not_brought_back_by_what_was_before() {
    let mut cluster = with_agent();
    let deleting =
        json!({"metadata": {"resourceVersion": "15", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    changed(&mut cluster, agent_with(deleting));
    saw_agent(&mut cluster, "14", 2);
    assert_eq!(generation(&cluster), None, "its deletion has begun");
    cluster.apply(Change::DaemonSet(Event::Gone(agent_with(
        json!({"metadata": {"resourceVersion": "17"}}),
    ))));
    saw_agent(&mut cluster, "16", 3);
    assert_eq!(generation(&cluster), None);
}

#[test]
fn a_daemon_set_whose_deletion_an_answer_has_told_of_is_not_brought_back_by_the_watch() {
    let mut cluster = with_agent();
    let deleting =
        json!({"metadata": {"resourceVersion": "15", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    cluster.wrote_daemon_set(agent_with(deleting));
    saw_agent(&mut cluster, "14", 2);
    assert_eq!(generation(&cluster), None);
}

#[test]
fn a_list_counts_whatever_its_versions_are() {
    let mut cluster = with_agent();
    saw_node(&mut cluster, "50", "a");
    saw_agent(&mut cluster, "60", 6);
    cluster.apply(Change::Pod(Event::Changed(pod("p1", 70))));
    lost_node(&mut cluster, "80");
    cluster.touched = Touched::default();

    cluster.apply(Change::Node(Event::ListBegins));
    saw_node(&mut cluster, "3", "b");
    saw_node(&mut cluster, "2", "c");
    cluster.apply(Change::Node(Event::ListEnds));
    assert_eq!(taint(&cluster), Some("b"), "but out of turn within the list");

    cluster.apply(Change::DaemonSet(Event::ListBegins));
    saw_agent(&mut cluster, "4", 4);
    cluster.apply(Change::DaemonSet(Event::ListEnds));
    assert_eq!(generation(&cluster), Some(4));

    cluster.apply(Change::Pod(Event::ListBegins));
    let moved = json!({"spec": {"nodeName": "elsewhere"}});
    cluster.apply(Change::Pod(Event::Changed(read(&with(pod_json("p1", 5), moved)))));
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(cluster.pods().get("uid of p1").unwrap().node(), Some("elsewhere"));
}

#[test]
fn a_list_does_not_take_back_what_an_answer_has_told_of() {
    let mut cluster = with_agent();
    let written = json!({"metadata": {"resourceVersion": "20"}, "status": {"numberReady": 3}});
    cluster.wrote_daemon_set(agent_with(written));
    cluster.apply(Change::DaemonSet(Event::ListBegins));
    saw_agent(&mut cluster, "19", 1);
    cluster.apply(Change::DaemonSet(Event::ListEnds));
    assert_eq!(cluster.daemon_set("ds-1").unwrap().object.status.number_ready, 3);
}

#[test]
fn only_those_that_went_last_are_remembered() {
    let mut cluster = Cluster::default();
    lost_node(&mut cluster, "9");
    for number in 0..1_000 {
        let other = tainted(&format!("other-{number}"), "10", "any");
        cluster.apply(Change::Node(Event::Gone(other)));
    }
    saw_node(&mut cluster, "8", "a");
    assert_eq!(taint(&cluster), Some("a"));
}
