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
  labels: {controller-revision-hash: abc, pod-template-generation: '1'}
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
fn plan_requires_a_name_if_there_are_several_daemonsets() {
    let folder = folder("several");
    let other = DAEMON_SET.replace("name: agent", "name: other");
    let args = ["plan", "-f", "ds.yaml", "-f", "-", "-f", "nodes.json"];
    let none = run(&folder, &args, &other);
    assert_eq!(none.code, 65);
    assert!(
        none.err.contains("--daemon-set: default/agent, default/other"),
        "{none:?}"
    );
    let chosen = run(&folder, &[&args[..], &["--daemon-set", "other"]].concat(), &other);
    assert!(chosen.out.contains("create   worker-1"), "{chosen:?}");
}
