//! The offline commands of the real program: whole outputs and exit codes.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail it")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const DAEMON_SET: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, uid: u1, generation: 3, annotations: {deprecated.daemonset.template.generation: '1'}}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {nodeSelector: {disk: ssd}}
";

const NODES: &str = r#"{"kind": "List", "items": [
  {"kind": "Node", "metadata": {"name": "worker-2", "labels": {"disk": "hdd"}}},
  {"kind": "Node", "metadata": {"name": "worker-1", "labels": {"disk": "ssd"}}},
  {"kind": "Node", "metadata": {"name": "worker-3", "labels": {"disk": "ssd"}},
   "spec": {"taints": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]}}
]}"#;

/// The outputs and the exit code of a run.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    out: String,
    err: String,
    code: i32,
}

/// Runs the planner in a folder, with `stdin` on its standard input.
fn run(folder: &Path, args: &[&str], stdin: &str) -> Run {
    let mut planner = Command::new(env!("CARGO_BIN_EXE_everynode-planner"));
    let mut child = planner
        .args(args)
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may have ended without reading its input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

/// A folder for one test, with the `DaemonSet` and the nodes.
fn folder(test: &str) -> PathBuf {
    let folder: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "offline", test].iter().collect();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ds.yaml"), DAEMON_SET).unwrap();
    fs::write(folder.join("nodes.json"), NODES).unwrap();
    folder
}

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

/// Two `DaemonSet`s that want the same host port, and more memory than a small node has.
const DEMANDING: &str = "
kind: DaemonSet
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      runtimeClassName: sandboxed
      containers:
      - {name: a, resources: {requests: {cpu: 100m, memory: 1Gi}}, ports: [{containerPort: 80, hostPort: 9100}]}
---
kind: DaemonSet
metadata: {name: b}
spec:
  selector: {matchLabels: {app: b}}
  template:
    metadata: {labels: {app: b}}
    spec:
      nodeSelector: {zone: z1}
      containers:
      - {name: b, resources: {requests: {cpu: 1, memory: 3Gi}}, ports: [{containerPort: 80, hostPort: 9100}]}
---
kind: RuntimeClass
apiVersion: node.k8s.io/v1
metadata: {name: sandboxed}
handler: sandboxed
overhead: {podFixed: {cpu: 50m}}
";

const TEMPLATE: &str = "
kind: Node
metadata: {name: small, labels: {zone: z1}}
status: {allocatable: {cpu: 2, memory: 3Gi, pods: 110}}
";

#[test]
fn simulate_shows_requests_and_conflicts() {
    let folder = folder("simulate");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let run = run(
        &folder,
        &["simulate", "-f", "demanding.yaml", "-f", "-"],
        TEMPLATE,
    );
    assert_eq!(
        run.out,
        "\
Node template small
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   150m    1Gi      1      9100/TCP
default/b   1       3Gi      1      9100/TCP
requested   1150m   4Gi      2
capacity    2       3Gi      110
left        850m    -1Gi     108
exceeded: memory
conflict: host port 9100/TCP is requested by default/a, default/b
"
    );
    assert_eq!((run.err.as_str(), run.code), ("", 1));
}

#[test]
fn simulate_shows_what_depends_on_unknown_labels() {
    let folder = folder("unknown");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let args = [
        "simulate",
        "-f",
        "demanding.yaml",
        "-f",
        "-",
        "--unknown-label",
        "zone",
    ];
    let run = run(&folder, &args, TEMPLATE);
    assert_eq!(
        run.out,
        "\
Node template small
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   150m    1Gi      1      9100/TCP
requested   150m    1Gi      1
capacity    2       3Gi      110
left        1850m   2Gi      109
undecided: default/b: runs if and only if the node has zone=z1
"
    );
    assert_eq!((run.err.as_str(), run.code), ("", 1));
}

#[test]
fn simulate_exits_with_0_when_everything_fits_and_is_decided() {
    let folder = folder("fits");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let larger = TEMPLATE.replace("zone: z1", "zone: z2");
    let run = run(&folder, &["simulate", "-f", "demanding.yaml", "-f", "-"], &larger);
    assert_eq!((run.err.as_str(), run.code), ("", 0), "{run:?}");
}

#[test]
fn invalid_input_is_named_with_its_place_and_has_its_exit_code() {
    let folder = folder("input");
    fs::write(
        folder.join("broken.yaml"),
        "kind: Node\n---\nkind: Node\n  a: b\n",
    )
    .unwrap();
    fs::write(folder.join("binary"), [0xff, 0xfe, 0xff]).unwrap();
    for (file, code, message) in [
        (
            "missing.yaml",
            66,
            "everynode-planner: missing.yaml: no such file\n",
        ),
        (
            ".",
            65,
            "everynode-planner: can't read .: Is a directory (os error 21)\n",
        ),
        ("binary", 65, "everynode-planner: binary: not valid UTF-8\n"),
    ] {
        let run = run(&folder, &["explain", "-f", "ds.yaml", "-f", file], "");
        assert_eq!(
            (run.out.as_str(), run.err.as_str(), run.code),
            ("", message, code)
        );
    }
    let broken = run(&folder, &["explain", "-f", "broken.yaml"], "");
    assert!(
        broken
            .err
            .starts_with("everynode-planner: broken.yaml, document 2: ")
            && broken.err.contains("line 4"),
        "{broken:?}"
    );
    assert_eq!(broken.code, 65);
    let empty = run(&folder, &["explain", "-f", "ds.yaml", "-f", "-"], "");
    assert_eq!(
        empty.err,
        "everynode-planner: the input has no Node; `kubectl get nodes -o json` prints those of a cluster\n"
    );
    assert_eq!(empty.code, 65);
    let stdin = run(&folder, &["explain", "-f", "-"], "kind: 7");
    assert_eq!(
        stdin.err,
        "everynode-planner: standard input, document 1 (line 1): has no kind\n"
    );
}

#[test]
fn invalid_flags_are_named_and_exit_with_64() {
    let folder = folder("flags");
    for (args, expected) in [
        (&["explain"][..], "--filename"),
        (&["explain", "-f", "ds.yaml", "-o", "xml"], "--output"),
        (&["explain", "-f", "ds.yaml", "--some"], "--some"),
        (&["plan", "-f", "ds.yaml", "--now", "noon"], "--now"),
        (
            &["simulate", "-f", "ds.yaml", "--unknown-label"],
            "--unknown-label",
        ),
        (&["completions", "tcsh"], "tcsh"),
        (
            &["--listen", "127.0.0.1:1", "explain", "-f", "ds.yaml"],
            "--listen",
        ),
    ] {
        let run = run(&folder, args, "");
        assert!(run.err.contains(expected), "{args:?}: {run:?}");
        assert_eq!((run.out.as_str(), run.code), ("", 64), "{args:?}");
    }
}

#[test]
fn every_command_has_help_with_examples_and_exit_codes() {
    let folder = folder("help");
    for command in ["explain", "plan", "simulate"] {
        let run = run(&folder, &[command, "--help"], "");
        assert!(
            run.out.contains("Examples:") && run.out.contains("Exit codes:"),
            "{run:?}"
        );
        assert_eq!(run.code, 0);
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let folder = folder("completions");
    for shell in ["bash", "zsh", "fish"] {
        let run = run(&folder, &["completions", shell], "");
        assert!(run.out.contains("unknown-label"), "{shell}");
        assert_eq!((run.err.as_str(), run.code), ("", 0));
    }
}

/// A text that clears the screen, sets the title, overwrites and forges a line, and recolours and reverses what
/// follows.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;t\u{7}b\rc\u{9b}31md\u{7f}e\u{202e}f";
/// The same text, as it must be shown.
const SHOWN: &str = r"a\x1b[2J\x1b]0;t\x07b\rc\u{9b}31md\x7fe\u{202e}f";

fn assert_is_printable(run: &Run) {
    for text in [&run.out, &run.err] {
        assert_eq!(
            everynode_render::text::printable_lines(text),
            text.as_str(),
            "{run:?}"
        );
    }
}

#[test]
fn control_characters_in_objects_are_escaped() {
    let folder = folder("hostile");
    let objects = serde_json::json!({"kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": HOSTILE, "namespace": HOSTILE, "uid": "u1"},
         "spec": {"selector": {"matchLabels": {"app": "a"}}, "updateStrategy": {"type": HOSTILE}, "template": {
            "metadata": {"labels": {"app": "a"}}, "spec": {"nodeSelector": {HOSTILE: HOSTILE}}}}},
        {"kind": "Node", "metadata": {"name": HOSTILE, "labels": {HOSTILE: "no"}},
         "spec": {"taints": [{"key": HOSTILE, "value": HOSTILE, "effect": "NoSchedule"}]},
         "status": {"allocatable": {"cpu": "1", HOSTILE: "1"}}},
        {"kind": "Node", "metadata": {"name": "worker-1"}},
        {"kind": HOSTILE, "metadata": {"name": HOSTILE}},
    ]});
    for command in ["explain", "plan", "simulate"] {
        for format in ["table", "wide", "json", "yaml"] {
            let run = run(&folder, &[command, "-o", format, "-f", "-"], &objects.to_string());
            assert_is_printable(&run);
            assert!(run.err.contains(SHOWN), "{run:?}");
            if format == "table" && command != "plan" {
                assert!(run.out.contains(SHOWN), "{run:?}");
            }
            assert!([0, 1, 65].contains(&run.code), "{run:?}");
        }
    }
}

#[test]
fn control_characters_in_errors_are_escaped() {
    let folder = folder("hostile-errors");
    let several = format!(
        "{DAEMON_SET}---\n{}",
        DAEMON_SET.replace("agent, uid", "other, uid")
    );
    for (args, stdin, code) in [
        (&["explain", "-f", HOSTILE][..], "", 66),
        (
            &["explain", "-f", "ds.yaml", "-f", "-"],
            "{\"kind\": \"\u{1b}[2J\u{9b}31m\n",
            65,
        ),
        (
            &["explain", "-f", "ds.yaml", "-f", "-"],
            "kind: *\u{9b}31m\u{7f}\n",
            65,
        ),
        (&["explain", "-f", "-"], "- \u{1b}[2J: [\u{1b}", 65),
        (
            &["plan", "--daemon-set", HOSTILE, "-f", "-", "-f", "nodes.json"],
            &several,
            65,
        ),
        (&["explain", "-f", "ds.yaml", "-o", HOSTILE], "", 64),
        (&["plan", "-f", "ds.yaml", "--now", HOSTILE], "", 64),
        (&["explain", HOSTILE], "", 64),
        (&[HOSTILE], "", 64),
        (&["--log", HOSTILE, "--plaintext"], "", 64),
    ] {
        let run = run(&folder, args, stdin);
        assert_is_printable(&run);
        assert!(!run.err.is_empty(), "{args:?}");
        if args.contains(&HOSTILE) && !args.contains(&"--log") {
            assert!(run.err.contains(SHOWN), "{args:?}: {run:?}");
        }
        assert_eq!(run.code, code, "{args:?}: {run:?}");
    }
}
