//! Commits each violation on purpose, and checks that the model reports it.

use serde_json::{Value, json};

use super::super::objects::VERSION;
use super::super::steady_state;
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
fn converged(strategy: &Value) -> ClusterModel {
    let mut model = ClusterModel::default();
    for name in ["a", "b", "c"] {
        model.on_node_applied(&node(name, &json!([])));
    }
    model.on_set_applied(&set("1", strategy));
    for name in ["a", "b", "c"] {
        model.on_pod_applied(&pod(&format!("on-{name}"), name, "1"));
    }
    assert_eq!(model.violations, [""; 0]);
    assert_eq!(steady_state::problems(&model), [""; 0]);
    model
}

fn judged(model: &mut ClusterModel, name: &str) -> Result<&'static str, String> {
    let judged = model.judge_deletion(name, None).expect("the pod was seen");
    judged.map_err(|suspicion| suspicion.message)
}

#[test]
fn two_live_pods_on_a_node_are_a_violation_even_if_one_is_deleted_at_once() {
    let mut model = converged(&rolling(1, 0));
    model.on_pod_applied(&terminating(pod("on-a", "a", "1")));
    model.on_pod_applied(&pod("next-a", "a", "1"));
    model.on_pod_applied(&pod("third-a", "a", "1"));
    model.on_pod_deleted(&pod("third-a", "a", "1"));
    assert_eq!(model.duplicates.len(), 1);
    // It becomes a violation if no event shows a surge within `LAG`.
    model.duplicates[0].0 -= LAG;
    model.judge_duplicates();
    assert_eq!(model.violations.len(), 1, "{:?}", model.violations);
}

#[test]
fn two_live_pods_are_no_violation_if_a_surge_is_reported_late() {
    let mut model = converged(&rolling(1, 0));
    model.on_pod_applied(&pod("next-a", "a", "2"));
    assert!(model.has_pending_duplicates());
    let mut surging = set("2", &rolling(0, 1));
    surging.metadata.generation = Some(2);
    model.on_set_changed(&surging);
    // The watch lags, and the DaemonSet is deleted before the checker sees its pods.
    model.on_set_applied(&set("1", &rolling(1, 0)));
    model.on_set_deleted(UID);
    model.on_pod_applied(&pod("next-b", "b", "2"));
    model.duplicates[0].0 -= LAG;
    model.judge_duplicates();
    assert!(!model.has_pending_duplicates());
    assert_eq!(model.violations, [""; 0]);
}

#[test]
fn with_surge_a_node_may_have_two_pods_but_not_three() {
    let mut model = converged(&rolling(0, 1));
    model.on_pod_applied(&pod("next-a", "a", "2"));
    assert_eq!(model.violations, [""; 0]);
    model.on_pod_applied(&pod("third-a", "a", "2"));
    assert_eq!(model.violations.len(), 1, "{:?}", model.violations);
}

#[test]
fn deletion_of_the_only_current_pod_has_no_valid_reason() {
    let mut model = converged(&rolling(1, 0));
    assert!(judged(&mut model, "on-a").is_err());
    assert_eq!(model.judge_deletion("never-seen", None), None);
    assert!(!model.may_have_missed_pod(LAG));
    // The same holds if the pod is gone when the checker judges its deletion.
    model.on_pod_applied(&terminating(pod("on-a", "a", "1")));
    model.on_pod_deleted(&pod("on-a", "a", "1"));
    assert!(judged(&mut model, "on-a").is_err());
}

#[test]
fn deletion_is_valid_if_the_node_is_excluded_or_the_pod_has_finished() {
    let mut model = converged(&rolling(1, 0));
    let taints = json!([{"key": "out", "effect": "NoExecute"}]);
    model.on_node_applied(&node("a", &taints));
    assert_eq!(judged(&mut model, "on-a"), Ok("excluded (N2)"));
    let mut failed = pod("on-b", "b", "1");
    failed.status.as_mut().unwrap().phase = Some("Failed".to_owned());
    model.on_pod_applied(&failed);
    assert_eq!(judged(&mut model, "on-b"), Ok("finished (N3)"));
    model.on_node_deleted("c");
    assert_eq!(
        judged(&mut model, "on-c"),
        Ok("excluded (N2)"),
        "the node was removed recently"
    );
    model.on_set_deleted(UID);
    assert_eq!(judged(&mut model, "on-b"), Ok("its DaemonSet is gone"));
}

#[test]
fn update_may_delete_pods_only_within_its_budget() {
    let mut model = converged(&rolling(1, 0));
    model.on_set_applied(&set("2", &rolling(1, 0)));
    assert_eq!(judged(&mut model, "on-a"), Ok("old, within the budget (R4)"));
    let suspicion = model.judge_deletion("on-b", None).unwrap().unwrap_err();
    // A replacement of the first pod in the meantime doesn't excuse this deletion; a larger budget does.
    model.on_pod_applied(&pod("next-a", "a", "2"));
    assert!(model.judge_deletion("on-b", Some(&suspicion)).unwrap().is_err());
    model.on_set_applied(&set("2", &rolling(2, 0)));
    assert!(model.judge_deletion("on-b", Some(&suspicion)).unwrap().is_ok());
    // A relist excuses it too, because the model can't know when the first pod was replaced.
    let mut model = converged(&rolling(1, 0));
    model.on_set_applied(&set("2", &rolling(1, 0)));
    assert!(judged(&mut model, "on-a").is_ok());
    let suspicion = model.judge_deletion("on-b", None).unwrap().unwrap_err();
    model.on_pods_listed(&[pod("next-a", "a", "2"), pod("on-c", "c", "1")]);
    assert!(model.judge_deletion("on-b", Some(&suspicion)).unwrap().is_ok());
    // The next pod may go once the first has been replaced.
    let mut model = converged(&rolling(1, 0));
    model.on_set_applied(&set("2", &rolling(1, 0)));
    assert!(judged(&mut model, "on-a").is_ok());
    model.on_pod_applied(&terminating(pod("on-a", "a", "1")));
    model.on_pod_applied(&pod("next-a", "a", "2"));
    assert_eq!(judged(&mut model, "on-b"), Ok("old, within the budget (R4)"));
}

#[test]
fn pod_deleted_by_an_update_does_not_count_while_its_node_is_tainted() {
    let mut model = converged(&rolling(1, 0));
    model.on_set_applied(&set("2", &rolling(1, 0)));
    assert!(judged(&mut model, "on-a").is_ok());
    model.on_pod_deleted(&pod("on-a", "a", "1"));
    // The node gets a taint before the pod's successor is created.
    let taints = json!([{"key": "out", "effect": "NoSchedule"}]);
    model.on_node_applied(&node("a", &taints));
    assert_eq!(judged(&mut model, "on-b"), Ok("old, within the budget (R4)"));
    model.on_pod_applied(&terminating(pod("on-b", "b", "1")));
    model.on_pod_applied(&pod("next-b", "b", "2"));
    // Without the taint, the node lacks a pod again. Everynode may learn of that a little later.
    model.on_node_applied(&node("a", &json!([])));
    let key = (UID.to_owned(), "a".to_owned());
    let cell = model.cells.get_mut(&key).unwrap();
    assert!(cell.unwanted.is_within(SHORT_GRACE, Instant::now()));
    cell.unwanted = LastTime::default();
    let suspicion = model.judge_deletion("on-c", None).unwrap().unwrap_err();
    assert!(model.judge_deletion("on-c", Some(&suspicion)).unwrap().is_err());
    // The deletion is valid if the node got another taint whose event was late.
    model.on_node_applied(&node("a", &taints));
    assert!(model.judge_deletion("on-c", Some(&suspicion)).unwrap().is_ok());
}

#[test]
fn model_may_have_missed_pods_after_a_relist() {
    let mut model = converged(&rolling(1, 0));
    model.on_pods_listed(&[pod("on-a", "a", "1")]);
    assert!(model.may_have_missed_pod(LAG));
    assert!(!model.may_have_missed_pod(Duration::ZERO));
}

#[test]
fn on_delete_never_deletes_and_surge_deletes_only_after_a_replacement_is_available() {
    let mut model = converged(&json!({"type": "OnDelete"}));
    model.on_set_applied(&set("2", &json!({"type": "OnDelete"})));
    assert!(judged(&mut model, "on-a").is_err());

    let mut model = converged(&rolling(0, 1));
    model.on_set_applied(&set("2", &rolling(0, 1)));
    assert!(judged(&mut model, "on-a").is_err());
    model.on_pod_applied(&pod("next-a", "a", "2"));
    assert_eq!(judged(&mut model, "on-a"), Ok("old, beside a new one (R5)"));
}

#[test]
fn missing_old_and_misplaced_pods_and_a_wrong_status_are_problems() {
    let problems_after = |change: &dyn Fn(&mut ClusterModel)| {
        let mut model = converged(&rolling(1, 0));
        change(&mut model);
        steady_state::problems(&model)
    };
    let missing = problems_after(&|model| model.on_pod_deleted(&pod("on-a", "a", "1")));
    assert!(
        missing.iter().any(|problem| problem.contains("on a")),
        "{missing:?}"
    );
    let old = problems_after(&|model| model.on_set_applied(&set("2", &rolling(1, 0))));
    assert!(old.iter().any(|problem| problem.contains("old pod")), "{old:?}");
    let misplaced = problems_after(&|model| {
        model.on_node_applied(&node("d", &json!([{"key": "out", "effect": "NoExecute"}])));
        model.on_pod_applied(&pod("on-d", "d", "1"));
    });
    assert!(
        misplaced.iter().any(|problem| problem.contains("on d")),
        "{misplaced:?}"
    );
    let wrong_status = problems_after(&|model| {
        let mut set = set("1", &rolling(1, 0));
        set.status.as_mut().unwrap().number_ready = 2;
        model.on_set_applied(&set);
    });
    assert!(wrong_status[0].contains("the status has"), "{wrong_status:?}");
}
