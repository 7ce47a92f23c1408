use serde_json::{Value, json};

use super::*;
use crate::testing::read;

/// The reason of a pod with this spec and status, as one line.
fn shown(spec: &Value, status: &Value) -> String {
    let pod: Pod = read(&json!({"metadata": {"name": "p"}, "spec": spec, "status": status}));
    of(&pod).map_or_else(String::new, |reason| reason.to_string())
}

fn on_node() -> Value {
    json!({"nodeName": "n1", "containers": []})
}

fn not_bound() -> Value {
    json!({"containers": []})
}

fn container_status(name: &str, state: &Value, last: &Value) -> Value {
    json!({
        "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 1, "state": state, "lastState": last,
    })
}

#[test]
fn unbound_pod_has_the_schedulers_words() {
    let message = "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    let condition =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
    let shown_text = shown(
        &not_bound(),
        &json!({"phase": "Pending", "conditions": [condition]}),
    );
    assert_eq!(shown_text, format!("Unschedulable: {message}"));
    let gated = json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    });
    assert_eq!(
        shown(&not_bound(), &json!({"conditions": [gated]})),
        "SchedulingGated: Scheduling is blocked due to non-empty scheduling gates"
    );
}

#[test]
fn pod_that_no_scheduler_has_looked_at_names_its_scheduler() {
    let silent = "the scheduler default-scheduler has not reported on it yet";
    assert_eq!(shown(&not_bound(), &json!({})), silent);
    assert_eq!(
        shown(&json!({"containers": [], "schedulerName": "mine"}), &json!({})),
        "the scheduler mine has not reported on it yet"
    );
}

#[test]
fn waiting_container_is_named_with_its_reason_and_its_last_end() {
    let crashing = container_status(
        "main",
        &json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}),
        &json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
    );
    let starting = container_status(
        "first",
        &json!({"waiting": {"reason": "PodInitializing"}}),
        &json!({}),
    );
    let status = json!({"phase": "Running", "containerStatuses": [starting, crashing]});
    assert_eq!(
        shown(&on_node(), &status),
        "CrashLoopBackOff: container main: back-off 40s restarting failed container; it last ended with OOMKilled \
         (exit code 137)"
    );
    let image = container_status(
        "init",
        &json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x/y:1\""}}),
        &json!({}),
    );
    let status = json!({"phase": "Pending", "initContainerStatuses": [image]});
    assert_eq!(
        shown(&on_node(), &status),
        "ImagePullBackOff: container init: Back-off pulling image \"x/y:1\""
    );
    let starting = container_status(
        "main",
        &json!({"waiting": {"reason": "ContainerCreating"}}),
        &json!({}),
    );
    let status = json!({"phase": "Pending", "containerStatuses": [starting]});
    assert_eq!(shown(&on_node(), &status), "ContainerCreating: container main");
}

#[test]
fn failed_container_is_named_with_its_exit_code() {
    let done = container_status(
        "init",
        &json!({"terminated": {"exitCode": 0, "reason": "Completed"}}),
        &json!({}),
    );
    let failed = container_status(
        "main",
        &json!({"terminated": {"exitCode": 2, "reason": "Error", "message": "no config"}}),
        &json!({}),
    );
    let status = json!({
        "phase": "Failed", "initContainerStatuses": [done], "containerStatuses": [failed],
    });
    assert_eq!(
        shown(&on_node(), &status),
        "Error: container main ended with exit code 2: no config"
    );
}

#[test]
fn evicted_pod_has_the_kubelets_words() {
    let status = json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.",
    });
    assert_eq!(
        shown(&on_node(), &status),
        "Evicted: The node was low on resource: memory."
    );
}

#[test]
fn running_pod_whose_probe_fails_has_the_words_of_its_ready_condition() {
    let running = container_status(
        "main",
        &json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}),
        &json!({}),
    );
    let condition = json!({
        "type": "Ready", "status": "False", "reason": "ContainersNotReady",
        "message": "containers with unready status: [main]",
    });
    let status = json!({"phase": "Running", "conditions": [condition], "containerStatuses": [running]});
    assert_eq!(
        shown(&on_node(), &status),
        "ContainersNotReady: containers with unready status: [main]"
    );
}

#[test]
fn ready_pod_and_pod_that_nobody_reports_on_have_no_reason() {
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    for status in [
        ready,
        json!({}),
        json!({"phase": "Failed"}),
        json!({"conditions": null}),
    ] {
        assert_eq!(shown(&on_node(), &status), "", "{status}");
    }
    assert_eq!(of(&Pod::default()).unwrap().reason, "");
}

#[test]
fn long_messages_are_cut() {
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "x".repeat(5_000), "message": "é".repeat(5_000),
    });
    let pod: Pod = read(&json!({"metadata": {}, "spec": not_bound(), "status": {"conditions": [condition]}}));
    let PodReason { reason, message } = of(&pod).unwrap();
    assert!(
        reason.len() <= 1_024 && message.len() <= 1_024,
        "{} {}",
        reason.len(),
        message.len()
    );
}
