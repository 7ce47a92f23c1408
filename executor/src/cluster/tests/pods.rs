//! How the cache of pods merges watch events with the answers to writes.

use std::time::Duration;

use everynode_proto::facts::Pod;
use tokio::time::Instant;

use super::*;

fn saw(cluster: &mut Cluster, name: &str, version: u64) {
    cluster.apply(Change::Pod(Event::Changed(pod(name, version))));
}

fn gone(cluster: &mut Cluster, name: &str, version: u64) {
    cluster.apply(Change::Pod(Event::Gone(pod(name, version))));
}

/// A pod that has its own version as its revision, which shows which version is known.
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
fn a_write_is_known_before_the_watch_tells_of_it() {
    let mut cluster = with_agent();
    cluster.wrote_pod(&marked("p1", 7));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("7"));
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
    cluster.touched = Touched::default();
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 7))));
    assert!(cluster.touched.pods.is_empty(), "the planner knows already");
}

#[test]
fn an_event_that_is_older_than_a_write_changes_nothing() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 3))));
    cluster.wrote_pod(&marked("p1", 7));
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 5))));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("7"));
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 8))));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("8"));
}

#[test]
fn a_write_that_is_older_than_an_event_changes_nothing() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 8))));
    cluster.wrote_pod(&marked("p1", 7));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("8"));
}

#[test]
fn a_write_is_known_while_a_list_comes_in_that_has_told_of_younger_pods_only() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::ListBegins));
    saw(&mut cluster, "p2", 9);
    cluster.wrote_pod(&marked("p1", 7));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("7"));
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 8))));
    cluster.wrote_pod(&marked("p1", 7));
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("8"));
    assert_eq!(overdue(&cluster, 60), 0);
    // The list is complete now and would have named this pod.
    cluster.wrote_pod(&marked("p3", 6));
    assert_eq!(known(&cluster, "p3"), None);
}

#[test]
fn a_created_pod_does_not_come_back_when_the_watch_has_told_of_its_deletion() {
    let mut cluster = with_agent();
    saw(&mut cluster, "p1", 7);
    gone(&mut cluster, "p1", 9);
    cluster.touched = Touched::default();
    cluster.wrote_pod(&pod("p1", 7));
    assert_eq!(known(&cluster, "p1"), None);
    assert!(cluster.touched.pods.is_empty());
    assert_eq!(overdue(&cluster, 3600), 0);
}

#[test]
fn a_relist_drops_what_it_leaves_out_only_at_its_end() {
    let mut cluster = with_agent();
    saw(&mut cluster, "p1", 3);
    saw(&mut cluster, "p2", 4);
    cluster.touched = Touched::default();
    cluster.apply(Change::Pod(Event::ListBegins));
    saw(&mut cluster, "p2", 4);
    assert!(known(&cluster, "p1").is_some());
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(
        (known(&cluster, "p1"), known(&cluster, "p2").is_some()),
        (None, true)
    );
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
}

#[test]
fn a_list_that_begins_anew_forgets_the_half_list_before() {
    let mut cluster = with_agent();
    saw(&mut cluster, "p1", 3);
    cluster.apply(Change::Pod(Event::ListBegins));
    saw(&mut cluster, "p1", 3);
    cluster.apply(Change::Pod(Event::ListBegins));
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(known(&cluster, "p1"), None);
}

#[test]
fn a_pod_created_before_or_during_a_relist_survives_it() {
    let mut cluster = with_agent();
    saw(&mut cluster, "p1", 3);
    cluster.wrote_pod(&pod("before", 7));
    cluster.apply(Change::Pod(Event::ListBegins));
    cluster.wrote_pod(&pod("during", 8));
    saw(&mut cluster, "p1", 3);
    cluster.apply(Change::Pod(Event::ListEnds));
    assert!(known(&cluster, "before").is_some() && known(&cluster, "during").is_some());
    assert_eq!(
        overdue(&cluster, 60),
        2,
        "they are looked up if the watch never tells of them"
    );
}

#[test]
fn a_pod_patched_before_a_relist_that_leaves_it_out_is_gone() {
    let mut cluster = with_agent();
    saw(&mut cluster, "p1", 3);
    cluster.apply(Change::Pod(Event::ListBegins));
    cluster.wrote_pod(&marked("p1", 5));
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(known(&cluster, "p1"), None);
}

#[test]
fn a_pod_that_only_a_write_has_told_of_is_overdue_after_a_while() {
    let mut cluster = with_agent();
    cluster.wrote_pod(&pod("p1", 7));
    assert_eq!((overdue(&cluster, 5), overdue(&cluster, 11)), (0, 1));
    cluster.pods_mut().confirm("uid of p1");
    assert_eq!(overdue(&cluster, 3600), 0);
    cluster.wrote_pod(&pod("p2", 8));
    saw(&mut cluster, "p2", 8);
    assert_eq!(overdue(&cluster, 3600), 0);
    cluster.wrote_pod(&marked("p2", 9));
    assert_eq!(overdue(&cluster, 3600), 0, "the watch has told of it before");
}

#[test]
fn a_deletion_that_has_begun_is_not_undone_by_an_older_event() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 3))));
    cluster.touched = Touched::default();
    cluster.deleted_pod("uid of p1", false);
    assert!(is_deleting(&cluster, "p1"));
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
    cluster.apply(Change::Pod(Event::Changed(marked("p1", 4))));
    assert!(is_deleting(&cluster, "p1"));
    assert_eq!(known(&cluster, "p1").as_deref(), Some("4"));
    cluster.touched = Touched::default();
    cluster.deleted_pod("uid of p1", false);
    assert!(cluster.touched.pods.is_empty());
}

#[test]
fn a_pod_that_turns_out_to_be_gone_is_gone() {
    let mut cluster = with_agent();
    saw(&mut cluster, "p1", 3);
    cluster.touched = Touched::default();
    cluster.deleted_pod("uid of p1", true);
    assert_eq!(known(&cluster, "p1"), None);
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
    cluster.deleted_pod("uid of p1", true);
    cluster.deleted_pod("never seen", false);
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
}

#[test]
fn a_pod_that_the_watch_tells_of_out_of_turn_is_overdue_after_a_while() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::ListBegins));
    saw(&mut cluster, "p1", 9);
    saw(&mut cluster, "p2", 3);
    cluster.apply(Change::Pod(Event::ListEnds));
    assert_eq!(overdue(&cluster, 3600), 0, "a list is in no order");

    saw(&mut cluster, "p2", 4);
    assert_eq!(overdue(&cluster, 3600), 0, "it has been there before");
    gone(&mut cluster, "p1", 12);
    saw(&mut cluster, "p1", 11);
    saw(&mut cluster, "p1", 10);
    assert!(
        known(&cluster, "p1").is_some(),
        "nobody knows yet whether it is gone"
    );
    assert_eq!((overdue(&cluster, 5), overdue(&cluster, 11)), (0, 1));
    saw(&mut cluster, "p3", 13);
    assert_eq!(
        overdue(&cluster, 3600),
        1,
        "what comes in turn is taken at its word"
    );
}
