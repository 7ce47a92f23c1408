//! How the cache of pods merges watch events with the answers to writes.

use std::time::Duration;

use everynode_proto::facts::Pod;
use tokio::time::Instant;

use super::*;

fn apply_changed(cluster: &mut Cluster, name: &str, version: u64) {
    cluster.apply(Change::Pod(Event::Changed(pod(name, version))));
}

fn apply_gone(cluster: &mut Cluster, name: &str, version: u64) {
    cluster.apply(Change::Pod(Event::Gone(pod(name, version))));
}

/// A pod whose revision is its resourceVersion, so that tests can tell which version the cache holds.
fn marked(name: &str, version: u64) -> Pod {
    let labels = json!({"controller-revision-hash": version.to_string()});
    read(&with(
        pod_json(name, version),
        json!({"metadata": {"labels": labels}}),
    ))
}

fn known(cluster: &Cluster, name: &str) -> Option<String> {
    let uid = format!("uid of {name}");
    Some(cluster.pods().get(&uid)?.facts(&uid)?.revision)
}

fn is_deleting(cluster: &Cluster, name: &str) -> bool {
    let uid = format!("uid of {name}");
    let pod = cluster.pods().get(&uid).unwrap();
    assert_eq!(pod.deleting, pod.facts(&uid).unwrap().deleting);
    pod.deleting
}

fn overdue(cluster: &Cluster, after: u64) -> usize {
    cluster
        .pods()
        .overdue(Instant::now() + Duration::from_secs(after))
        .len()
}

#[test]
fn write_is_cached_before_the_watch_reports_it() {
    let mut cluster = with_agent();
    cluster.apply_written_pod(&marked("p1", 7));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("7"));
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
    cluster.touched = Touched::default();
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 7))));
    assert!(
        cluster.touched.pods.is_empty(),
        "nothing has changed for the planner"
    );
}

#[test]
fn event_older_than_a_write_changes_nothing() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 3))));
    cluster.apply_written_pod(&marked("p1", 7));
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 5))));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("7"));
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 8))));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("8"));
}

#[test]
fn write_older_than_an_event_changes_nothing() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 8))));
    cluster.apply_written_pod(&marked("p1", 7));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("8"));
}

#[test]
fn write_is_cached_during_a_list_that_has_named_only_newer_pods() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::ListBegins));
    apply_changed(&mut cluster, "p2", 9);
    cluster.apply_written_pod(&marked("p1", 7));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("7"));
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 8))));
    cluster.apply_written_pod(&marked("p1", 7));
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("8"));
    assert_eq!(overdue(&cluster, 60), 0);
    // The list is complete now and would have named this pod.
    cluster.apply_written_pod(&marked("p3", 6));
    assert_eq!(known(&cluster, "p3"), None);
}

#[test]
fn created_pod_is_not_restored_after_the_watch_reported_its_deletion() {
    let mut cluster = with_agent();
    apply_changed(&mut cluster, "p1", 7);
    apply_gone(&mut cluster, "p1", 9);
    cluster.touched = Touched::default();
    cluster.apply_written_pod(&pod("p1", 7));
    assert_eq!(known(&cluster, "p1"), None);
    assert!(cluster.touched.pods.is_empty());
    assert_eq!(overdue(&cluster, 3600), 0);
}

#[test]
fn relist_removes_missing_pods_only_at_its_end() {
    let mut cluster = with_agent();
    apply_changed(&mut cluster, "p1", 3);
    apply_changed(&mut cluster, "p2", 4);
    cluster.touched = Touched::default();
    cluster.apply(Change::Pod(Event::ListBegins));
    apply_changed(&mut cluster, "p2", 4);
    assert!(known(&cluster, "p1").is_some());
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(
        (known(&cluster, "p1"), known(&cluster, "p2").is_some()),
        (None, true)
    );
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
}

#[test]
fn restarted_list_discards_the_incomplete_list() {
    let mut cluster = with_agent();
    apply_changed(&mut cluster, "p1", 3);
    cluster.apply(Change::Pod(Event::ListBegins));
    apply_changed(&mut cluster, "p1", 3);
    cluster.apply(Change::Pod(Event::ListBegins));
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(known(&cluster, "p1"), None);
}

#[test]
fn pod_created_before_or_during_a_relist_survives_it() {
    let mut cluster = with_agent();
    apply_changed(&mut cluster, "p1", 3);
    cluster.apply_written_pod(&pod("before", 7));
    cluster.apply(Change::Pod(Event::ListBegins));
    cluster.apply_written_pod(&pod("during", 8));
    apply_changed(&mut cluster, "p1", 3);
    cluster.apply(Change::Pod(Event::ListEnds));
    assert!(known(&cluster, "before").is_some() && known(&cluster, "during").is_some());
    assert_eq!(
        overdue(&cluster, 60),
        2,
        "they are looked up if the watch never reports them"
    );
}

#[test]
fn pod_patched_during_a_relist_without_it_is_gone() {
    let mut cluster = with_agent();
    apply_changed(&mut cluster, "p1", 3);
    cluster.apply(Change::Pod(Event::ListBegins));
    cluster.apply_written_pod(&marked("p1", 5));
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(known(&cluster, "p1"), None);
}

#[test]
fn pod_known_only_from_a_write_becomes_overdue() {
    let mut cluster = with_agent();
    cluster.apply_written_pod(&pod("p1", 7));
    assert_eq!((overdue(&cluster, 5), overdue(&cluster, 11)), (0, 1));
    cluster.pods_mut().confirm("uid of p1");
    assert_eq!(overdue(&cluster, 3600), 0);
    cluster.apply_written_pod(&pod("p2", 8));
    apply_changed(&mut cluster, "p2", 8);
    assert_eq!(overdue(&cluster, 3600), 0);
    cluster.apply_written_pod(&marked("p2", 9));
    assert_eq!(overdue(&cluster, 3600), 0, "the watch has reported it before");
}

#[test]
fn started_deletion_is_not_undone_by_an_older_event() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 3))));
    cluster.touched = Touched::default();
    cluster.apply_pod_deletion("uid of p1", false);
    assert!(is_deleting(&cluster, "p1"));
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 4))));
    assert!(is_deleting(&cluster, "p1"));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("4"));
    cluster.touched = Touched::default();
    cluster.apply_pod_deletion("uid of p1", false);
    assert!(cluster.touched.pods.is_empty());
}

#[test]
fn pod_found_to_be_gone_is_removed() {
    let mut cluster = with_agent();
    apply_changed(&mut cluster, "p1", 3);
    cluster.touched = Touched::default();
    cluster.apply_pod_deletion("uid of p1", true);
    assert_eq!(known(&cluster, "p1"), None);
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
    cluster.apply_pod_deletion("uid of p1", true);
    cluster.apply_pod_deletion("never seen", false);
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
}

#[test]
fn pod_known_only_from_an_out_of_order_event_becomes_overdue() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::ListBegins));
    apply_changed(&mut cluster, "p1", 9);
    apply_changed(&mut cluster, "p2", 3);
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(overdue(&cluster, 3600), 0, "a list is in no order");

    apply_changed(&mut cluster, "p2", 4);
    assert_eq!(overdue(&cluster, 3600), 0, "it was known before");
    apply_gone(&mut cluster, "p1", 12);
    apply_changed(&mut cluster, "p1", 11);
    apply_changed(&mut cluster, "p1", 10);
    assert!(
        known(&cluster, "p1").is_some(),
        "it isn't known yet whether it is gone"
    );
    assert_eq!((overdue(&cluster, 5), overdue(&cluster, 11)), (0, 1));
    apply_changed(&mut cluster, "p3", 13);
    assert_eq!(
        overdue(&cluster, 3600),
        1,
        "an event in order needs no confirmation"
    );
}
