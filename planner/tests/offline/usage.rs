//! Invalid input and flags, help, and completions.

use std::fs;

use super::{folder, run};

#[test]
fn invalid_input_is_named_with_its_place_and_has_its_own_exit_code() {
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
            "binary",
            65,
            "everynode-planner: binary:1: not a Kubernetes object, which has the fields apiVersion, kind and metadata\n",
        ),
    ] {
        let run = run(&folder, &["explain", "-f", "ds.yaml", "-f", file], "");
        assert_eq!(
            (run.out.as_str(), run.err.as_str(), run.code),
            ("", message, code)
        );
    }
    let broken = run(&folder, &["explain", "-f", "broken.yaml"], "");
    assert!(
        broken.err.starts_with("everynode-planner: broken.yaml:4: "),
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
        "everynode-planner: standard input:1: the object has no kind; kind must be text\n"
    );
}

#[test]
fn invalid_flags_are_named_and_exit_with_64() {
    let folder = folder("flags");
    for (args, expected) in [
        (&["explain"][..], "--filename"),
        (&["explain", "-f", "ds.yaml", "-o", "xml"], "--output"),
        (&["explain", "-f", ""], "use -f - to read standard input"),
        (&["plan", "-f", "https://example.com/ds.yaml"], "curl"),
        (&["explain", "-f", "ds.yaml", "-l", "a in (b"], "--selector"),
        (&["explain", "-f", "ds.yaml", "-n", ""], "--namespace"),
        (&["explain", "-f", "ds.yaml", "-A", "-n", "a"], "--namespace"),
        (&["explain", "-f", "ds.yaml", "--verdict", "stay"], "--verdict"),
        (&["explain", "-f", "ds.yaml", "--all", "--summary"], "--summary"),
        (&["simulate", "-f", "ds.yaml", "--sort", "age"], "--sort"),
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
        for code in [
            "  0   ", "  1   ", "  2   ", "  3   ", "  64  ", "  65  ", "  66  ", "  70  ",
        ] {
            assert!(run.out.contains(code), "{code}: {run:?}");
        }
        assert_eq!(run.code, 0);
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let folder = folder("completions");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = run(&folder, &["completions", shell], "");
        assert!(run.out.contains("unknown-label"), "{shell}");
        assert_eq!((run.err.as_str(), run.code), ("", 0));
    }
}
