//! The offline commands of the real program: whole outputs and exit codes.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

mod explain;
mod hostile;
mod plan;
mod rollout;
mod simulate;
mod usage;

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
    spec: {nodeSelector: {disk: ssd}, containers: [{name: agent}]}
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
