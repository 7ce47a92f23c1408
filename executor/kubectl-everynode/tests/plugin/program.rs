//! Runs the plugin.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// Deadline for anything that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// The output and exit code of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

/// The plugin with an empty environment and no home directory, so that it doesn't use the configuration of the machine
/// that the test runs on.
pub(crate) fn plugin(args: &[&str]) -> Command {
    let mut plugin = Command::new(env!("CARGO_BIN_EXE_kubectl-everynode"));
    plugin
        .args(args)
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    plugin
}

pub(crate) async fn finish(child: Child) -> Run {
    let output = timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    Run {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

pub(crate) async fn run(args: &[&str]) -> Run {
    finish(plugin(args).spawn().unwrap()).await
}

/// Creates an empty folder for one test.
pub(crate) fn folder(test: &str) -> PathBuf {
    let folder: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "plugin", test].iter().collect();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Waits until a file has a complete line, and returns its content.
pub(crate) async fn wait_for_content(file: &Path) -> String {
    let wait = async {
        loop {
            match std::fs::read_to_string(file) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(DEADLINE, wait).await.unwrap()
}

/// Waits until a process is gone, or is a zombie that its parent hasn't noticed yet.
pub(crate) async fn wait_until_exited(pid: &str) {
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, state) = stat.rsplit_once(") ")?;
        (!state.starts_with('Z')).then_some(())
    };
    let wait = async {
        while is_there().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap();
}
