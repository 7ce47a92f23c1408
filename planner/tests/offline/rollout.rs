//! `rollout`, and what `explain` says of a rollout: whole outputs and exit codes, from files.

use std::fs;

use super::{folder, run};

const POLICY: &str = "
apiVersion: everynode.io/v1alpha1
kind: DaemonSetRolloutPolicy
metadata: {name: careful}
spec:
  targetRefs: [{name: agent}]
  maxUnavailable: 1
  stages:
  - {name: canary, nodes: 1, soak: 10m}
";

/// Two nodes that the `DaemonSet` runs on, in one zone each.
const NODES: &str = r#"{"kind": "List", "items": [
  {"kind": "Node", "metadata": {"name": "a", "labels": {"disk": "ssd"}}},
  {"kind": "Node", "metadata": {"name": "b", "labels": {"disk": "ssd"}}}
]}"#;

fn run_with_policy(test: &str, policy: &str, args: &[&str]) -> super::Run {
    let folder = folder(test);
    fs::write(folder.join("policy.yaml"), policy).unwrap();
    let files = ["-f", "ds.yaml", "-f", "policy.yaml", "-f", "-"];
    run(&folder, &[args, &files].concat(), NODES)
}

#[test]
fn rollout_shows_every_step_and_exits_with_0_without_a_warning() {
    let run = run_with_policy("rollout", POLICY, &["rollout"]);
    assert_eq!(
        run.out,
        "\
DaemonSetRolloutPolicy default/careful on DaemonSet default/agent, 2 nodes

AFTER    STAGE           EVENT       NODES   UPDATED   UNAVAILABLE   WORST
0s       canary          opened      1       0         0             0
40s      canary          updated     1       1         0             1
10m40s   canary          done        1       1         0             0
10m40s   (other nodes)   opened      1       1         0             0
11m20s   -               completed   2       2         0             1

The rollout completes after 11m20s.
Nodes without an available pod at the same time: at most 1 of 2.
"
    );
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn rollout_warns_of_a_short_soak_and_exits_with_1() {
    let run = run_with_policy("short-soak", &POLICY.replace("10m", "10s"), &["rollout"]);
    assert!(
        run.out
            .contains("stage canary soaks for 10 s, which protects little"),
        "{}",
        run.out
    );
    assert_eq!(run.code, 1, "{}", run.err);
}

#[test]
fn mistake_in_a_policy_is_named_with_its_file_and_field() {
    let policy = POLICY.replace("soak: 10m", "soack: 10m");
    let run = run_with_policy("misspelled", &policy, &["rollout"]);
    assert!(
        run.err.contains("policy.yaml") && run.err.contains("spec.stages[0].soack"),
        "{}",
        run.err
    );
    assert!(
        run.err.contains("soak"),
        "the right name is suggested: {}",
        run.err
    );
}

#[test]
fn explain_says_in_which_stage_a_node_is_and_why_it_waits() {
    let run = run_with_policy("stages", POLICY, &["explain", "--node", "b"]);
    assert!(
        run.out.contains(
            "rollout: in the last stage (2 of 2) of rollout 1, which opens when stage canary is done"
        ),
        "{}",
        run.out
    );
    assert_eq!(run.code, 0, "{}", run.err);
}
