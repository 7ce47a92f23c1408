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
        lines[1].starts_with("everynode-planner: standard input:6: node b: metadata.labels.disk: "),
        "{run:?}"
    );
    assert_eq!(run.code, 1);
}

#[test]
fn filters_select_daemonsets_nodes_and_verdicts() {
    let folder = folder("filters");
    let args = [
        "explain",
        "-f",
        "ds.yaml",
        "-f",
        "-",
        "-f",
        "nodes.json",
        "-o",
        "csv",
    ];
    let other = DAEMON_SET
        .replace("name: agent,", "name: other, namespace: a, labels: {tier: test},")
        .replace("disk: ssd", "disk: none");
    for (flags, rows) in [
        (&[][..], 6),
        (&["-A"], 6),
        (&["-n", "a"], 3),
        (&["--daemon-set", "agent"], 3),
        (&["--daemon-set", "agent", "--daemon-set", "a/other"], 6),
        (&["-l", "tier=test"], 3),
        (&["-l", "!tier"], 3),
        (&["--node", "worker-1"], 2),
        (&["--node", "*-1", "--node", "*-2"], 4),
        (&["--verdict", "run"], 1),
        (&["--verdict", "KEEP", "--verdict", "exclude"], 5),
        (&["-n", "a", "--node", "worker-3", "--verdict", "exclude"], 1),
    ] {
        let run = run(&folder, &[&args[..], flags].concat(), &other);
        assert_eq!(run.out.lines().count(), 1 + rows, "{flags:?}: {run:?}");
        assert_eq!((run.err.as_str(), run.code), ("", 1), "{flags:?}: {run:?}");
    }
    for flags in [&["-n", "b"][..], &["-l", "tier=prod"], &["--node", "gpu"]] {
        let run = run(&folder, &[&args[..], flags].concat(), &other);
        assert_eq!((run.out.as_str(), run.code), ("", 66), "{flags:?}: {run:?}");
    }
}

#[test]
fn json_has_only_pairs_with_the_chosen_verdict() {
    let folder = folder("verdict-json");
    let args = [
        "explain",
        "-f",
        "ds.yaml",
        "-f",
        "nodes.json",
        "-o",
        "json",
        "--verdict",
        "keep",
    ];
    let run = run(&folder, &args, "");
    let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let nodes: Vec<_> = json["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| verdict["node"].clone())
        .collect();
    assert_eq!(nodes, ["worker-3"]);
    assert_eq!(json["summaries"][0]["runNodes"], 1);
    assert_eq!(run.code, 1);
}

#[test]
fn quiet_command_has_only_an_exit_code_and_problems() {
    let folder = folder("quiet");
    let stdin = "
{kind: Service, apiVersion: v1}
---
{kind: Node, metadata: {name: a, labels: {disk: ssd}}}
";
    let args = ["explain", "-f", "ds.yaml", "-f", "-", "-q"];
    let quiet = run(&folder, &args, stdin);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str(), quiet.code), ("", "", 0));
    let broken = "{kind: Node, metadata: {name: a, labels: {disk: ssd}}}\n---\n{kind: Node, metadata: {name: b, labels: 7}}";
    for (flags, code) in [(&["-o", "json"][..], 1), (&["--detailed-exit-code"], 3)] {
        let run = run(&folder, &[&args[..], flags].concat(), broken);
        assert_eq!((run.out.as_str(), run.code), ("", code), "{run:?}");
        assert!(
            run.err
                .starts_with("everynode-planner: standard input:3: node b: metadata.labels: "),
            "{run:?}"
        );
    }
}

#[test]
fn problems_name_the_file_and_the_line_of_the_field() {
    let folder = folder("places");
    let tolerations = "{disk: ssd},\n      tolerations: [\n      {key: dedicated,\n      operator: exists}]";
    let daemon_set = DAEMON_SET.replace("{disk: ssd}", tolerations);
    let node = "kind: Node\nmetadata: {name: a, labels: {disk: ssd}}\n";
    std::fs::write(folder.join("typo.yaml"), format!("{node}---{daemon_set}")).unwrap();
    let run = run(&folder, &["explain", "-f", "typo.yaml"], "");
    assert!(run.out.contains("default/agent   a      RUN"), "{run:?}");
    let expected = "everynode-planner: typo.yaml:14: daemonset default/agent: spec.template.spec.tolerations[0].operator: ";
    assert!(run.err.starts_with(expected), "{run:?}");
    assert_eq!(run.code, 1);
}

#[test]
fn daemonsets_of_other_api_versions_are_problems() {
    let folder = folder("versions");
    let old = |api_version: &str| {
        DAEMON_SET
            .replace("apps/v1", api_version)
            .replace("name: agent", "name: old")
    };
    let node = "---\nkind: Node\nmetadata: {name: a, labels: {disk: ssd}}\n";
    let message = |api_version: &str| {
        format!(
            "everynode-planner: standard input:2: daemonset default/old: apiVersion: API servers don't serve the kind \
             DaemonSet in {api_version}; change apiVersion to apps/v1\n"
        )
    };
    let input = format!("{}{node}", old("extensions/v1beta1"));
    let alone = run(&folder, &["explain", "-f", "-"], &input);
    let no_daemon_set = "everynode-planner: the input has no DaemonSet that API servers accept\n";
    assert_eq!(alone.err, message("extensions/v1beta1") + no_daemon_set);
    assert_eq!((alone.out.as_str(), alone.code), ("", 65));
    for (api_version, rows, code) in [("extensions/v1beta1", 1, 3), ("apps/v1beta2", 2, 2)] {
        let input = format!("{}{node}", old(api_version));
        for command in ["explain", "plan", "simulate"] {
            let args = [command, "-f", "ds.yaml", "-f", "-"];
            let beside = run(&folder, &[&args[..], &["-q"]].concat(), &input);
            assert_eq!(beside.err, message(api_version), "{command}");
            assert_eq!(beside.code, 1, "{command}");
            let detailed = run(&folder, &[&args[..], &["--detailed-exit-code"]].concat(), &input);
            assert_eq!(detailed.code, code, "{command}: {detailed:?}");
        }
        let args = ["explain", "-f", "ds.yaml", "-f", "-", "-o", "json"];
        let json = run(&folder, &args, &input);
        let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(json["verdicts"].as_array().unwrap().len(), rows);
        assert_eq!(json["problems"][0]["field"], "apiVersion");
        let other = run(&folder, &[&args[..], &["--daemon-set", "agent"]].concat(), &input);
        assert_eq!((other.err.as_str(), other.code), ("", 0), "{other:?}");
    }
}
