//! `explain`: verdicts, output formats, and notes on the input.

use super::{DAEMON_SET, folder, run};

#[test]
fn explain_shows_every_reason_and_exits_with_1_when_a_pair_doesnt_run() {
    let folder = folder("explain");
    let run = run(&folder, &["explain", "-f", "ds.yaml", "-f", "nodes.json"], "");
    assert_eq!(
        run.out,
        "\
DAEMONSET       NODE       VERDICT   REASON
default/agent   worker-1   RUN       the node fits the nodeSelector and the required node affinity, and every taint is tolerated
default/agent   worker-2   EXCLUDE   nodeSelector wants disk=ssd, the node has disk=hdd
default/agent   worker-3   KEEP      taint dedicated=db:NoSchedule is not tolerated (an existing pod stays, none is created); a toleration {key: dedicated, operator: Exists, effect: NoSchedule} would admit it

DAEMONSET       VERDICT   NODES   UNMET CONDITION
default/agent   EXCLUDE   1       nodeSelector disk=ssd
default/agent   KEEP      1       taint dedicated=db:NoSchedule

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   1     1      1
"
    );
    assert_eq!((run.err.as_str(), run.code), ("", 1));
}

#[test]
fn explain_exits_with_0_when_every_pair_runs_for_any_order_of_inputs() {
    let folder = folder("runs");
    let node = "kind: Node\nmetadata: {name: a, labels: {disk: ssd}}\n";
    let expected = "\
DAEMONSET       NODE   VERDICT   REASON
default/agent   a      RUN       the node fits the nodeSelector and the required node affinity, and every taint is tolerated
";
    for (args, stdin) in [
        (&["explain", "-f", "ds.yaml", "-f", "-"][..], node.to_owned()),
        (&["explain", "-f", "-", "-f", "ds.yaml"], node.to_owned()),
        (&["explain", "--filename=-"], format!("{node}---{DAEMON_SET}")),
        (&["explain", "-f-"], format!("{DAEMON_SET}---\n{node}")),
    ] {
        let run = run(&folder, args, &stdin);
        assert_eq!(
            (run.out.as_str(), run.err.as_str(), run.code),
            (expected, "", 0),
            "{args:?}"
        );
    }
}

#[test]
fn json_and_yaml_are_the_services_response() {
    let folder = folder("formats");
    let node = "kind: Node\nmetadata: {name: a, labels: {disk: hdd}}\n";
    let json = run(
        &folder,
        &["explain", "-f", "ds.yaml", "-f", "-", "-o", "json"],
        node,
    );
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["verdicts"][0]["verdict"], "VERDICT_EXCLUDE");
    assert_eq!(
        json["verdicts"][0]["reasons"][0]["code"],
        "REASON_CODE_NODE_SELECTOR"
    );
    let yaml = run(
        &folder,
        &["explain", "-f", "ds.yaml", "-f", "-", "-o", "yaml"],
        node,
    );
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml.out).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn ignored_objects_and_problems_are_reported_beside_the_answer() {
    let folder = folder("notes");
    let stdin = "
{kind: Service, apiVersion: v1}
---
{kind: Node, metadata: {name: a, labels: {disk: ssd}}}
---
{kind: Node, metadata: {name: b, labels: {disk: 7}}}
";
    let run = run(&folder, &["explain", "-f", "ds.yaml", "-f", "-"], stdin);
    assert!(run.out.contains("default/agent   a      RUN"), "{run:?}");
    let lines: Vec<_> = run.err.lines().collect();
    assert_eq!(lines[0], "everynode-planner: note: ignored objects: Service (1)");
    assert!(
        lines[1].starts_with("everynode-planner: node b: metadata.labels.disk: "),
        "{run:?}"
    );
    assert_eq!(run.code, 1);
}
