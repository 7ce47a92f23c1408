//! Tests of `rollout`, which reads and changes objects with kubectl.

use std::fs;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

use crate::{
    forward::Kubectl,
    program::{DEADLINE, Run, finish},
};

const DAEMON_SETS: &str = "daemonsets.apps";
const ROLLOUTS: &str = "daemonsetrollouts.everynode.io";
const POLICIES: &str = "daemonsetrolloutpolicies.everynode.io";
const REVISIONS: &str = "controllerrevisions.apps";

/// A `DaemonSet` at this generation.
fn daemon_set(generation: i64) -> String {
    format!(
        r#"{{"metadata": {{"name": "agent", "namespace": "a", "uid": "ds-1", "generation": {generation}}},
             "status": {{"observedGeneration": {generation}}}}}"#
    )
}

/// The rollout of the `DaemonSet` at generation 4.
fn rollout(version: u32, spec: &str, phase: &str, state: &str) -> String {
    format!(
        r#"{{"metadata": {{"name": "agent", "namespace": "a", "uid": "dsr-1", "resourceVersion": "{version}",
                "generation": 1, "ownerReferences": [{{"uid": "ds-1", "controller": true}}]}},
             "spec": {spec},
             "status": {{"rollout": 7, "daemonSetUid": "ds-1", "daemonSetGeneration": 4, "observedGeneration": 1,
                "policyRef": {{"kind": "DaemonSetRolloutPolicy", "name": "careful"}},
                "currentRevision": "5d9c", "updateRevision": "7f2b", "startedAt": "2026-01-01T00:00:00Z",
                "state": "{state}", "phase": "{phase}", "reason": "{phase}", "message": "as the test says",
                "stage": "canary", "desired": 50, "updated": 1, "updatedAvailable": 1,
                "stages": [{{"name": "canary", "openedAt": "2026-01-01T00:00:00Z",
                    "updatedAt": "2026-01-01T00:01:00Z", "nodes": ["worker-1"]}}],
                "attempts": [{{"rollout": 6, "updateRevision": "5d9c", "outcome": "Completed"}}]}}}}"#
    )
}

const POLICY: &str = r#"{"metadata": {"name": "careful", "generation": 2}, "status": {"observedGeneration": 2},
    "spec": {"stages": [{"name": "canary", "soak": "10m"}, {"name": "half"}]}}"#;

/// A kubectl with a `DaemonSet` in a rollout.
fn kubectl(test: &str, phase: &str, state: &str) -> Kubectl {
    let kubectl = Kubectl::new(&format!("rollout-{test}"), &[]);
    for (file, content) in [
        (DAEMON_SETS, daemon_set(4)),
        (ROLLOUTS, rollout(11, "{}", phase, state)),
        (POLICIES, POLICY.to_owned()),
    ] {
        fs::write(kubectl.file(file), content).unwrap();
    }
    kubectl
}

async fn run(kubectl: &Kubectl, args: &[&str]) -> Run {
    kubectl.run(&[&["rollout", "-n", "a"], args].concat()).await
}

/// The calls of kubectl that change something.
fn changes(kubectl: &Kubectl) -> Vec<String> {
    let is_change = |call: &String| call.starts_with("patch ") || call.starts_with("rollout ");
    kubectl.invocations().into_iter().filter(is_change).collect()
}

#[tokio::test]
async fn status_shows_the_stages_and_reports_the_phase_as_its_exit_code() {
    for (phase, state, code) in [
        ("Completed", "Completed", 0),
        ("Paused", "Progressing", 1),
        ("Stalled", "Progressing", 1),
        ("GoingBack", "GoingBack", 1),
        ("Waiting", "Progressing", 75),
        ("Progressing", "Progressing", 75),
    ] {
        let kubectl = kubectl(&format!("status-{phase}"), phase, state);
        let run = run(&kubectl, &["status", "ds/agent"]).await;
        assert_eq!((run.err.as_str(), run.code), ("", code), "{phase}: {run:?}");
        assert!(run.out.contains("from revision 5d9c to 7f2b"), "{run:?}");
    }
    let kubectl = kubectl("status-stages", "Waiting", "Progressing");
    let shown = run(&kubectl, &["status", "agent"]).await;
    for expected in [
        "canary",
        "half",
        "(other nodes)",
        "kubectl everynode rollout promote ds/agent -n a",
    ] {
        assert!(shown.out.contains(expected), "{expected}: {shown:?}");
    }
    let json = run(&kubectl, &["status", "agent", "-o", "json"]).await;
    assert!(json.out.contains("\"outcome\": \"WaitsForPerson\""), "{json:?}");
}

#[tokio::test]
async fn status_is_neither_0_nor_1_before_the_latest_template_is_observed() {
    for (phase, state) in [("Completed", "Completed"), ("Paused", "Progressing")] {
        let kubectl = kubectl(&format!("unobserved-{phase}"), phase, state);
        fs::write(kubectl.file(DAEMON_SETS), daemon_set(5)).unwrap();
        let run = run(&kubectl, &["status", "agent"]).await;
        assert!(run.out.contains("hasn't observed generation 5"), "{run:?}");
        assert_eq!(run.code, 75);
    }
}

#[tokio::test]
async fn status_waits_for_the_end_and_prints_only_changes() {
    let kubectl = kubectl("watch", "Progressing", "Progressing");
    let mut watch = kubectl
        .command(&["rollout", "status", "ds/agent", "-n", "a", "--watch"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = async || timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap();
    let first = "1 of 50 nodes updated, 1 of them available; Progressing: as the test says";
    assert_eq!(next().await.as_deref(), Some(first));
    let complete = rollout(12, "{}", "Completed", "Completed");
    fs::write(kubectl.file("complete"), complete).unwrap();
    fs::rename(kubectl.file("complete"), kubectl.file(ROLLOUTS)).unwrap();
    let last = "1 of 50 nodes updated, 1 of them available; Completed: as the test says";
    assert_eq!(next().await.as_deref(), Some(last));
    assert_eq!(next().await, None);
    assert_eq!(finish(watch).await.code, 0);
}

#[tokio::test]
async fn waiting_ends_when_the_rollout_is_held_or_the_timeout_passes() {
    let held = kubectl("held", "Paused", "Progressing");
    assert_eq!(run(&held, &["status", "agent", "-w"]).await.code, 1);
    let waiting = kubectl("waiting", "Waiting", "Progressing");
    let ended = run(&waiting, &["status", "agent", "-w", "--exit-on-wait"]).await;
    assert!(
        ended.err.contains("next: kubectl everynode rollout promote"),
        "{ended:?}"
    );
    assert_eq!(ended.code, 1);
    let late = run(&waiting, &["status", "agent", "-w", "--timeout", "1s"]).await;
    assert!(late.err.contains("hasn't ended after 1 s"), "{late:?}");
    assert_eq!(late.code, 75);
}

#[tokio::test]
async fn verbs_patch_their_field_and_say_what_they_do() {
    for (args, patch, expected) in [
        (
            &["pause", "ds/agent"][..],
            r#"{"paused":true}"#,
            "Paused rollout 7 of ds/agent (revision 7f2b).",
        ),
        (
            &["promote", "ds/agent"],
            r#"{"promote":{"rollout":7,"stage":"canary"}}"#,
            "Promoted stage canary",
        ),
        (
            &["promote", "ds/agent", "--full"],
            r#"{"promoteFull":7}"#,
            "past all stages",
        ),
        (
            &["abort", "ds/agent"],
            r#"{"abort":7}"#,
            "the current revision 5d9c",
        ),
        (&["retry", "ds/agent"], r#"{"retry":7}"#, "as rollout 8"),
    ] {
        let kubectl = kubectl(&args.join("-").replace('/', "-"), "Waiting", "Progressing");
        let dry = run(&kubectl, &[args, &["--dry-run"]].concat()).await;
        assert!(dry.out.contains("nothing was changed"), "{dry:?}");
        assert_eq!(changes(&kubectl), [""; 0]);
        let run = run(&kubectl, args).await;
        assert!(run.out.contains(expected), "{run:?}");
        assert_eq!((run.err.as_str(), run.code), ("", 0), "{run:?}");
        let call = format!(
            r#"patch {ROLLOUTS} agent -n a --type merge -p {{"metadata":{{"uid":"dsr-1"}},"spec":{patch}}}"#
        );
        assert_eq!(changes(&kubectl), [call]);
    }
}

#[tokio::test]
async fn verbs_that_make_no_sense_exit_with_1_and_change_nothing() {
    let kubectl = kubectl("refused", "Completed", "Completed");
    for verb in ["promote", "abort", "retry"] {
        let run = run(&kubectl, &[verb, "ds/agent"]).await;
        assert!(run.err.contains("is complete"), "{run:?}");
        assert_eq!((run.out.as_str(), run.code), ("", 1));
    }
    assert_eq!(changes(&kubectl), [""; 0]);
}

#[tokio::test]
async fn update_keeps_the_nodes_that_somebody_else_released_meanwhile() {
    let kubectl = kubectl("update", "Progressing", "Progressing");
    fs::write(kubectl.file("nodes"), "worker-1 worker-2 worker-3").unwrap();
    let spec = r#"{"release": {"rollout": 7, "nodes": ["worker-1"]}}"#;
    let changed = rollout(12, spec, "Progressing", "Progressing");
    fs::write(kubectl.file("conflict"), changed).unwrap();
    let updated = run(&kubectl, &["update", "ds/agent", "--node", "worker-3"]).await;
    assert_eq!(updated.code, 0, "{updated:?}");
    let patch = |version: u32, nodes: &str| {
        format!(
            r#"patch {ROLLOUTS} agent -n a --type merge -p {{"metadata":{{"resourceVersion":"{version}","uid":"dsr-1"}},"spec":{{"release":{{"nodes":[{nodes}],"rollout":7}}}}}}"#
        )
    };
    assert_eq!(
        changes(&kubectl),
        [patch(11, r#""worker-3""#), patch(12, r#""worker-1","worker-3""#)]
    );
    let missing = run(&kubectl, &["update", "ds/agent", "--node", "worker-9"]).await;
    assert!(missing.err.contains("worker-9"), "{missing:?}");
    assert_eq!(missing.code, 66);
}

#[tokio::test]
async fn undo_and_history_use_the_revisions_of_the_daemon_set() {
    let kubectl = kubectl("undo", "Waiting", "Progressing");
    let revision = |number: u32, hash: &str, owner: &str| {
        format!(
            r#"{{"metadata": {{"labels": {{"controller-revision-hash": "{hash}"}},
                 "creationTimestamp": "2026-01-01T00:00:00Z",
                 "ownerReferences": [{{"uid": "{owner}", "controller": true}}]}}, "revision": {number}}}"#
        )
    };
    let revisions = [
        revision(2, "5d9c", "ds-1"),
        revision(3, "7f2b", "ds-1"),
        revision(9, "ffff", "ds-2"),
    ];
    let list = format!(r#"{{"items": [{}]}}"#, revisions.join(", "));
    fs::write(kubectl.file(REVISIONS), list).unwrap();
    let history = run(&kubectl, &["history", "ds/agent"]).await;
    assert_eq!(history.code, 0, "{history:?}");
    assert!(!history.out.contains("ffff"), "{history:?}");
    assert!(
        history.out.contains("current") && history.out.contains("Completed"),
        "{history:?}"
    );
    let undo = run(&kubectl, &["undo", "ds/agent"]).await;
    assert!(undo.out.contains("goes back to it without stages"), "{undo:?}");
    assert_eq!(
        changes(&kubectl),
        ["rollout undo daemonsets.apps/agent -n a --to-revision=2"]
    );
}

#[tokio::test]
async fn missing_objects_are_told_apart() {
    let kubectl = Kubectl::new("rollout-missing", &[]);
    let missing = run(&kubectl, &["status", "ds/agent"]).await;
    assert_eq!(missing.err, "kubectl everynode: there is no DaemonSet a/agent\n");
    assert_eq!(missing.code, 66);
    fs::write(kubectl.file(DAEMON_SETS), daemon_set(1)).unwrap();
    let without_policy = run(&kubectl, &["pause", "ds/agent"]).await;
    assert!(
        without_policy
            .err
            .contains("no rollout policy applies to ds/agent")
            && without_policy.err.contains("DaemonSetRolloutPolicy"),
        "{without_policy:?}"
    );
    assert_eq!(without_policy.code, 66);
    fs::write(kubectl.file(ROLLOUTS), "no object").unwrap();
    let unreadable = run(&kubectl, &["pause", "ds/agent"]).await;
    assert_eq!(unreadable.code, 65, "{unreadable:?}");
    fs::write(kubectl.file("refuse"), "").unwrap();
    let refused = run(&kubectl, &["status", "ds/agent"]).await;
    assert!(refused.err.contains("you must be logged in"), "{refused:?}");
    assert_eq!(refused.code, 69);
}

#[tokio::test]
async fn names_are_completed_for_every_verb() {
    let kubectl = Kubectl::new("rollout-complete", &["agent", "proxy"]);
    let run = kubectl.run(&["complete", "--", "rollout", "pause", "ds/a"]).await;
    assert_eq!((run.out.as_str(), run.code), ("ds/agent\n:4\n", 0), "{run:?}");
}
