//! Histories with a revision that upkeep hasn't looked at.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

/// The agent's cluster, to which a revision of the agent has been added.
fn unsettled() -> Cluster {
    let mut cluster = with_agent();
    cluster.apply(Change::Revision(Event::Changed(revision(&revision_json(
        "r1", 1,
    )))));
    assert!(cluster.touched.upkeep.is_empty());
    cluster
}

fn upkeep_after(cluster: &mut Cluster, change: Change) -> String {
    cluster.apply(change);
    touched(&std::mem::take(&mut cluster.touched).upkeep).join(" ")
}

#[tokio::test(start_paused = true)]
async fn h1_added_revision_is_looked_at_when_a_node_or_a_pod_or_its_daemon_set_changes() {
    let labeled = json!({"metadata": {"resourceVersion": "11", "labels": {"a": "b"}}});
    let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let mut cluster = unsettled();
    for (change, what) in [
        (Change::Node(Event::Changed(node("n1"))), "a node joins"),
        (Change::Pod(Event::Changed(pod("p1", 3))), "a pod appears"),
        (
            Change::Pod(Event::Changed(read(&with(pod_json("p1", 4), deleting)))),
            "a pod changes",
        ),
        (Change::Pod(Event::Gone(pod("p1", 5))), "a pod is gone"),
        (
            Change::DaemonSet(Event::Changed(agent_with(labeled))),
            "the DaemonSet changes",
        ),
    ] {
        assert_eq!(upkeep_after(&mut cluster, change), "ds-1", "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn h1_heartbeats_of_nodes_and_pods_of_others_start_no_upkeep() {
    let mut cluster = unsettled();
    assert_eq!(
        upkeep_after(&mut cluster, Change::Node(Event::Changed(node("n1")))),
        "ds-1"
    );
    let heartbeat: Node = read(&json!({"metadata": {"name": "n1", "resourceVersion": "2"}}));
    assert_eq!(
        upkeep_after(&mut cluster, Change::Node(Event::Changed(heartbeat))),
        ""
    );
    let other = json!({"metadata": {"ownerReferences": owned_by("ds-9")}});
    let other = read(&with(pod_json("p2", 3), other));
    assert_eq!(upkeep_after(&mut cluster, Change::Pod(Event::Changed(other))), "");
    let named = json!({"metadata": {"namespace": "elsewhere"}});
    let named = read(&with(pod_json("p3", 3), named));
    assert_eq!(upkeep_after(&mut cluster, Change::Pod(Event::Changed(named))), "");
}

#[tokio::test(start_paused = true)]
async fn h1_settled_history_starts_no_upkeep() {
    let mut cluster = unsettled();
    cluster.settle_history("ds-1");
    assert_eq!(
        upkeep_after(&mut cluster, Change::Node(Event::Changed(node("n1")))),
        ""
    );
    assert!(
        cluster
            .overdue_histories(Instant::now() + Duration::from_mins(1))
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn h1_unsettled_history_is_overdue_after_some_seconds_until_its_daemon_set_is_gone() {
    let mut cluster = unsettled();
    assert!(cluster.overdue_histories(Instant::now()).is_empty());
    let later = Instant::now() + Duration::from_secs(5);
    // Another revision doesn't put it off.
    tokio::time::advance(Duration::from_secs(4)).await;
    cluster.apply(Change::Revision(Event::Changed(revision(&revision_json(
        "r2", 2,
    )))));
    let overdue = cluster.overdue_histories(later);
    assert!(overdue.iter().map(AsRef::as_ref).eq(["ds-1"]), "{overdue:?}");
    cluster.apply(Change::DaemonSet(Event::Gone(agent())));
    assert!(cluster.overdue_histories(later).is_empty());
}

#[tokio::test(start_paused = true)]
async fn revision_of_an_unknown_daemon_set_leaves_nothing_behind() {
    let mut cluster = Cluster::default();
    cluster.apply(Change::Revision(Event::Changed(revision(&revision_json(
        "r1", 1,
    )))));
    let later = Instant::now() + Duration::from_mins(1);
    assert!(cluster.overdue_histories(later).is_empty());
    assert_eq!(
        upkeep_after(&mut cluster, Change::DaemonSet(Event::Changed(agent()))),
        "ds-1"
    );
}
