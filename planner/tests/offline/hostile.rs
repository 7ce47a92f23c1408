//! Control characters in objects, flags and errors are escaped in all output.

use super::{DAEMON_SET, Run, folder, run};

/// A text that clears the screen, sets the title, overwrites its own line, and recolors and reverses what follows.
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
        for format in ["table", "wide", "json", "yaml", "csv"] {
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
            66,
        ),
        (
            &["explain", "--node", HOSTILE, "-f", "ds.yaml", "-f", "nodes.json"],
            "",
            66,
        ),
        (
            &["explain", "-n", HOSTILE, "-f", "ds.yaml", "-f", "nodes.json"],
            "",
            66,
        ),
        (&["explain", "-f", "ds.yaml", "-l", HOSTILE], "", 64),
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
