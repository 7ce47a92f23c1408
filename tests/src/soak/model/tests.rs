//! Provokes each violation that the checker must notice.

use serde_json::{Value, json};

use super::super::quiet;
use super::super::views::VERSION;
use super::*;

const UID: &str = "set-uid";

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn node(name: &str, taints: &Value) -> Node {
    read(json!({"metadata": {"name": name}, "spec": {"taints": taints}}))
}

/// The `DaemonSet` with this template version and update strategy.
fn set(version: &str, strategy: &Value) -> DaemonSet {
    read(json!({
        "metadata": {"name": "agent", "uid": UID, "generation": 1},
        "spec": {
            "selector": {},
            "template": {"metadata": {"labels": {VERSION: version}}, "spec": {"containers": []}},
            "updateStrategy": strategy,
        },
        "status": {
            "observedGeneration": 1, "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberReady": 3,
            "numberAvailable": 3, "updatedNumberScheduled": 3, "numberMisscheduled": 0,
        },
    }))
}

fn rolling(unavailable: u32, surge: u32) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}})
}

/// A ready pod of the `DaemonSet`.
fn pod(name: &str, node: &str, version: &str) -> Pod {
    read(json!({
        "metadata": {
            "name": name, "uid": name, "labels": {VERSION: version},
            "ownerReferences": [{"kind": "DaemonSet", "name": "agent", "uid": UID, "apiVersion": "apps/v1"}],
        },
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }))
}

fn terminating(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp = Some(read(json!("2026-01-01T00:00:00Z")));
    pod
}

/// Three nodes, each with a ready pod of version 1.
fn at_rest(strategy: &Value) -> Picture {
    let mut picture = Picture::default();
    for name in ["a", "b", "c"] {
        picture.saw_node(&node(name, &json!([])));
    }
    picture.saw_set(&set("1", strategy));
    for name in ["a", "b", "c"] {
        picture.saw_pod(&pod(&format!("on-{name}"), name, "1"));
    }
    assert_eq!(picture.violations, [""; 0]);
    assert_eq!(quiet::faults(&picture), [""; 0]);
    picture
}

fn judged(picture: &mut Picture, name: &str) -> Result<&'static str, String> {
    let judged = picture.judge_deletion(name, None).expect("the pod was seen");
    judged.map_err(|doubt| doubt.words)
}

#[test]
fn two_live_pods_on_a_node_are_noticed_even_if_one_goes_at_once() {
    let mut picture = at_rest(&rolling(1, 0));
    picture.saw_pod(&terminating(pod("on-a", "a", "1")));
    picture.saw_pod(&pod("next-a", "a", "1"));
    picture.saw_pod(&pod("third-a", "a", "1"));
    picture.lost_pod(&pod("third-a", "a", "1"));
    assert_eq!(picture.crowds.len(), 1);
    // It becomes a violation when the checker hasn't heard of a surge for a while.
    picture.crowds[0].0 -= LAG;
    picture.judge_crowds();
    assert_eq!(picture.violations.len(), 1, "{:?}", picture.violations);
}

#[test]
fn two_live_pods_are_right_after_all_if_news_of_a_surge_was_late() {
    let mut picture = at_rest(&rolling(1, 0));
    picture.saw_pod(&pod("next-a", "a", "2"));
    assert!(picture.has_doubts());
    let mut surging = set("2", &rolling(0, 1));
    surging.metadata.generation = Some(2);
    picture.changed_set(&surging);
    // The watch lags, and the DaemonSet is deleted before the checker sees its pods.
    picture.saw_set(&set("1", &rolling(1, 0)));
    picture.lost_set(UID);
    picture.saw_pod(&pod("next-b", "b", "2"));
    picture.crowds[0].0 -= LAG;
    picture.judge_crowds();
    assert!(!picture.has_doubts());
    assert_eq!(picture.violations, [""; 0]);
}

#[test]
fn with_surge_a_node_may_have_two_and_not_three() {
    let mut picture = at_rest(&rolling(0, 1));
    picture.saw_pod(&pod("next-a", "a", "2"));
    assert_eq!(picture.violations, [""; 0]);
    picture.saw_pod(&pod("third-a", "a", "2"));
    assert_eq!(picture.violations.len(), 1, "{:?}", picture.violations);
}

#[test]
fn a_deletion_of_the_only_pod_of_the_current_template_has_no_reason() {
    let mut picture = at_rest(&rolling(1, 0));
    assert!(judged(&mut picture, "on-a").is_err());
    assert_eq!(picture.judge_deletion("never-seen", None), None);
    assert!(!picture.may_have_missed_a_pod(LAG));
    // It still has none if the pod is gone by the time the checker judges it.
    picture.saw_pod(&terminating(pod("on-a", "a", "1")));
    picture.lost_pod(&pod("on-a", "a", "1"));
    assert!(judged(&mut picture, "on-a").is_err());
}

#[test]
fn a_deletion_has_a_reason_where_no_pod_belongs_or_it_is_over() {
    let mut picture = at_rest(&rolling(1, 0));
    let taints = json!([{"key": "out", "effect": "NoExecute"}]);
    picture.saw_node(&node("a", &taints));
    assert_eq!(judged(&mut picture, "on-a"), Ok("excluded (N2)"));
    let mut failed = pod("on-b", "b", "1");
    failed.status.as_mut().unwrap().phase = Some("Failed".to_owned());
    picture.saw_pod(&failed);
    assert_eq!(judged(&mut picture, "on-b"), Ok("finished (N3)"));
    picture.lost_node("c");
    assert_eq!(
        judged(&mut picture, "on-c"),
        Ok("excluded (N2)"),
        "the node was removed a moment ago"
    );
    picture.lost_set(UID);
    assert_eq!(judged(&mut picture, "on-b"), Ok("its DaemonSet is gone"));
}

#[test]
fn an_update_may_take_as_many_pods_as_may_be_missing_and_no_more() {
    let mut picture = at_rest(&rolling(1, 0));
    picture.saw_set(&set("2", &rolling(1, 0)));
    assert_eq!(judged(&mut picture, "on-a"), Ok("old, within the budget (R4)"));
    let doubt = picture.judge_deletion("on-b", None).unwrap().unwrap_err();
    // A replacement of the first pod in the meantime doesn't excuse this deletion; a larger budget does.
    picture.saw_pod(&pod("next-a", "a", "2"));
    assert!(picture.judge_deletion("on-b", Some(&doubt)).unwrap().is_err());
    picture.saw_set(&set("2", &rolling(2, 0)));
    assert!(picture.judge_deletion("on-b", Some(&doubt)).unwrap().is_ok());
    // A relist excuses it too, because nobody knows when the first pod was replaced.
    let mut picture = at_rest(&rolling(1, 0));
    picture.saw_set(&set("2", &rolling(1, 0)));
    assert!(judged(&mut picture, "on-a").is_ok());
    let doubt = picture.judge_deletion("on-b", None).unwrap().unwrap_err();
    picture.keep_pods(&[pod("next-a", "a", "2"), pod("on-c", "c", "1")]);
    assert!(picture.judge_deletion("on-b", Some(&doubt)).unwrap().is_ok());
    // The next pod may go once the first has been replaced.
    let mut picture = at_rest(&rolling(1, 0));
    picture.saw_set(&set("2", &rolling(1, 0)));
    assert!(judged(&mut picture, "on-a").is_ok());
    picture.saw_pod(&terminating(pod("on-a", "a", "1")));
    picture.saw_pod(&pod("next-a", "a", "2"));
    assert_eq!(judged(&mut picture, "on-b"), Ok("old, within the budget (R4)"));
}

#[test]
fn a_pod_that_an_update_took_isnt_missing_while_none_is_wanted_there() {
    let mut picture = at_rest(&rolling(1, 0));
    picture.saw_set(&set("2", &rolling(1, 0)));
    assert!(judged(&mut picture, "on-a").is_ok());
    picture.lost_pod(&pod("on-a", "a", "1"));
    // The node gets a taint before the pod's successor is created.
    let taints = json!([{"key": "out", "effect": "NoSchedule"}]);
    picture.saw_node(&node("a", &taints));
    assert_eq!(judged(&mut picture, "on-b"), Ok("old, within the budget (R4)"));
    picture.saw_pod(&terminating(pod("on-b", "b", "1")));
    picture.saw_pod(&pod("next-b", "b", "2"));
    // Without the taint, the node lacks a pod again. Everynode may hear of that a little later.
    picture.saw_node(&node("a", &json!([])));
    let key = (UID.to_owned(), "a".to_owned());
    let cell = picture.cells.get_mut(&key).unwrap();
    assert!(cell.unwanted.is_within(LINGERS_BRIEFLY, Instant::now()));
    cell.unwanted = Lately::default();
    let doubt = picture.judge_deletion("on-c", None).unwrap().unwrap_err();
    assert!(picture.judge_deletion("on-c", Some(&doubt)).unwrap().is_err());
    // It is right if the node got another taint and the news of it was late.
    picture.saw_node(&node("a", &taints));
    assert!(picture.judge_deletion("on-c", Some(&doubt)).unwrap().is_ok());
}

#[test]
fn pods_may_have_been_missed_when_they_are_listed_anew() {
    let mut picture = at_rest(&rolling(1, 0));
    picture.keep_pods(&[pod("on-a", "a", "1")]);
    assert!(picture.may_have_missed_a_pod(LAG));
    assert!(!picture.may_have_missed_a_pod(Duration::ZERO));
}

#[test]
fn updates_on_deletion_delete_nothing_and_those_that_surge_nothing_without_a_successor() {
    let mut picture = at_rest(&json!({"type": "OnDelete"}));
    picture.saw_set(&set("2", &json!({"type": "OnDelete"})));
    assert!(judged(&mut picture, "on-a").is_err());

    let mut picture = at_rest(&rolling(0, 1));
    picture.saw_set(&set("2", &rolling(0, 1)));
    assert!(judged(&mut picture, "on-a").is_err());
    picture.saw_pod(&pod("next-a", "a", "2"));
    assert_eq!(judged(&mut picture, "on-a"), Ok("old, beside a new one (R5)"));
}

#[test]
fn at_rest_a_missing_an_old_and_a_foreign_pod_and_a_false_status_are_noticed() {
    let faults_after = |change: &dyn Fn(&mut Picture)| {
        let mut picture = at_rest(&rolling(1, 0));
        change(&mut picture);
        quiet::faults(&picture)
    };
    let missing = faults_after(&|picture| picture.lost_pod(&pod("on-a", "a", "1")));
    assert!(missing.iter().any(|fault| fault.contains("on a")), "{missing:?}");
    let old = faults_after(&|picture| picture.saw_set(&set("2", &rolling(1, 0))));
    assert!(old.iter().any(|fault| fault.contains("old pod")), "{old:?}");
    let foreign = faults_after(&|picture| {
        picture.saw_node(&node("d", &json!([{"key": "out", "effect": "NoExecute"}])));
        picture.saw_pod(&pod("on-d", "d", "1"));
    });
    assert!(foreign.iter().any(|fault| fault.contains("on d")), "{foreign:?}");
    let false_status = faults_after(&|picture| {
        let mut set = set("1", &rolling(1, 0));
        set.status.as_mut().unwrap().number_ready = 2;
        picture.saw_set(&set);
    });
    assert!(false_status[0].contains("its status says"), "{false_status:?}");
}
