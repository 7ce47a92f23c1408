//! `plan`: actions, and the flags that they depend on.

use std::fs;

use super::{DAEMON_SET, folder, run};

#[test]
fn plan_shows_actions_and_exits_with_1_when_there_are_some() {
    let folder = folder("plan");
    let run = run(&folder, &["plan", "-f", "ds.yaml", "-f", "nodes.json"], "");
    assert_eq!(
        run.out,
        "\
ACTION   NODE       POD   REASON
create   worker-1   -     the node should run a pod

DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   MISSCHEDULED
1         0         0       0            0           0

DAEMONSET       VERDICT   NODES   UNMET CONDITION
default/agent   EXCLUDE   1       nodeSelector disk=ssd
default/agent   KEEP      1       taint dedicated=db:NoSchedule

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   1     1      1
"
    );
    assert_eq!(
        run.err,
        "everynode-planner: note: there are no Pods in the input, so every node lacks a pod\n"
    );
    assert_eq!(run.code, 1);
}

/// A pod of the `DaemonSet` that has been ready since noon.
const POD: &str = "
kind: Pod
metadata:
  name: agent-1
  uid: p1
  creationTimestamp: '2026-01-31T11:59:00Z'
  labels: {app: agent, controller-revision-hash: abc, pod-template-generation: '1'}
  ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: agent, uid: u1, controller: true}]
spec: {nodeName: worker-1}
status:
  phase: Running
  conditions: [{type: Ready, status: 'True', lastTransitionTime: '2026-01-31T12:00:00Z'}]
";

#[test]
fn plan_exits_with_0_when_there_is_nothing_to_do() {
    let folder = folder("settled");
    let args = ["plan", "-f", "ds.yaml", "-f", "nodes.json", "-f", "-"];
    let run = run(&folder, &args, POD);
    assert!(run.out.starts_with("Nothing to do.\n"), "{run:?}");
    assert_eq!((run.err.as_str(), run.code), ("", 0), "{run:?}");
}

#[test]
fn plan_uses_the_revision_and_the_time_of_the_flags() {
    let folder = folder("time");
    let daemon_set = DAEMON_SET.replace("spec:\n  selector", "spec:\n  minReadySeconds: 60\n  selector");
    fs::write(folder.join("ds.yaml"), daemon_set).unwrap();
    let args = ["plan", "-f", "ds.yaml", "-f", "nodes.json", "-f", "-"];
    let soon = run(
        &folder,
        &[&args[..], &["--now", "2026-01-31T12:00:30Z"]].concat(),
        POD,
    );
    assert!(
        soon.out
            .ends_with("\nPlan again in 30 s, even if nothing changes.\n"),
        "{soon:?}"
    );
    let later = run(
        &folder,
        &[&args[..], &["--now", "2026-01-31T12:01:00Z"]].concat(),
        POD,
    );
    assert!(!later.out.contains("Plan again"), "{later:?}");
    let newer = [
        &args[..],
        &["--now", "2026-01-31T12:01:00Z", "--update-revision", "def"],
    ]
    .concat();
    let daemon_set = fs::read_to_string(folder.join("ds.yaml")).unwrap();
    let without = daemon_set.replace(
        ", annotations: {deprecated.daemonset.template.generation: '1'}",
        "",
    );
    fs::write(folder.join("ds.yaml"), without).unwrap();
    let newer = run(&folder, &newer, POD);
    assert!(
        newer
            .out
            .contains("delete   worker-1   agent-1   the pod has an old template"),
        "{newer:?}"
    );
    assert_eq!(newer.code, 1);
}

#[test]
fn every_daemonset_of_the_input_is_planned_unless_flags_choose() {
    let folder = folder("several");
    let other = DAEMON_SET.replace("{name: agent,", "{name: other,");
    let args = ["plan", "-f", "ds.yaml", "-f", "-", "-f", "nodes.json"];
    let all = run(&folder, &args, &other);
    assert!(
        all.out.starts_with("DaemonSet default/agent\nACTION   NODE")
            && all.out.contains("\n\nDaemonSet default/other\nACTION   NODE"),
        "{all:?}"
    );
    assert_eq!(all.code, 1);
    let chosen = run(&folder, &[&args[..], &["--daemon-set", "other"]].concat(), &other);
    assert!(chosen.out.starts_with("ACTION   NODE"), "{chosen:?}");
    let json = run(&folder, &[&args[..], &["-o", "json"]].concat(), &other);
    let documents = serde_json::Deserializer::from_str(&json.out).into_iter::<serde_json::Value>();
    let names: Vec<_> = documents
        .map(|document| document.unwrap()["summary"]["daemonSet"].clone())
        .collect();
    assert_eq!(names, ["default/agent", "default/other"]);
    let csv = run(&folder, &[&args[..], &["-o", "csv"]].concat(), &other);
    assert_eq!(
        csv.out,
        "\
DAEMONSET,ACTION,NODE,POD,REVISION,UID,REASON
default/agent,create,worker-1,,,,the node should run a pod
default/other,create,worker-1,,,,the node should run a pod
"
    );
}

#[test]
fn only_the_candidates_of_an_ambiguous_name_are_listed() {
    let folder = folder("ambiguous");
    let elsewhere = DAEMON_SET.replace("{name: agent,", "{namespace: a, name: agent,");
    let other = DAEMON_SET.replace("{name: agent,", "{name: other,");
    let args = [
        "plan",
        "-f",
        "ds.yaml",
        "-f",
        "-",
        "-f",
        "nodes.json",
        "--daemon-set",
        "agent",
        "-q",
    ];
    let input = format!("{elsewhere}---{other}");
    let ambiguous = run(&folder, &args, &input);
    assert_eq!(
        ambiguous.err,
        "everynode-planner: --daemon-set agent: the input has several DaemonSets of this name; choose one of a/agent, \
         default/agent\n"
    );
    assert_eq!((ambiguous.out.as_str(), ambiguous.code), ("", 65));
    let within = run(&folder, &[&args[..], &["-n", "a"]].concat(), &input);
    assert_eq!((within.err.as_str(), within.code), ("", 1), "{within:?}");
}

#[test]
fn broken_daemonset_beside_others_is_a_problem() {
    let folder = folder("broken");
    let broken = "{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: broken, labels: 7}}";
    let args = ["plan", "-f", "ds.yaml", "-f", "-", "-f", "nodes.json"];
    let run_with = |flags: &[&str]| run(&folder, &[&args[..], flags].concat(), broken);
    let found = run_with(&[]);
    assert!(
        found.err.starts_with(
            "everynode-planner: note: there are no Pods in the input, so every node lacks a pod\n"
        ),
        "{found:?}"
    );
    assert!(
        found
            .err
            .contains("\neverynode-planner: standard input:1: daemonset default/broken: metadata.labels: "),
        "{found:?}"
    );
    assert!(
        found.out.contains("DaemonSet default/agent") || found.out.starts_with("ACTION"),
        "{found:?}"
    );
    assert_eq!(found.code, 1);
    assert_eq!(run_with(&["--detailed-exit-code"]).code, 3);
    let alone = run_with(&["--daemon-set", "broken", "-q"]);
    let expected = "everynode-planner: standard input:1: daemonset broken: metadata.labels: ";
    assert!(alone.err.starts_with(expected), "{alone:?}");
    assert_eq!(alone.code, 65);
}

#[test]
fn node_flag_shows_the_actions_on_some_nodes_of_the_whole_plan() {
    let folder = folder("node-flag");
    let args = ["plan", "-f", "ds.yaml", "-f", "nodes.json", "-q"];
    assert_eq!(
        run(&folder, &[&args[..], &["--node", "worker-1"]].concat(), "").code,
        1
    );
    assert_eq!(
        run(&folder, &[&args[..], &["--node", "*-2"]].concat(), "").code,
        0
    );
    assert_eq!(
        run(&folder, &[&args[..], &["--node", "gpu-*"]].concat(), "").code,
        66
    );
}

#[test]
fn verdict_selects_the_actions_that_are_printed() {
    let folder = folder("plan-verdict");
    let args = ["plan", "-f", "ds.yaml", "-f", "nodes.json", "--verdict"];
    let run_with = |verdict: &str| run(&folder, &[&args[..], &[verdict]].concat(), "");
    let selected = run_with("run");
    assert!(selected.out.contains("create   worker-1"), "{selected:?}");
    assert_eq!(selected.code, 1);
    let others = run_with("exclude");
    assert!(others.out.starts_with("Nothing to do.\n"), "{others:?}");
    assert!(
        others.out.ends_with("default/agent   1     1      1\n"),
        "{others:?}"
    );
    assert_eq!(others.code, 0);
}
