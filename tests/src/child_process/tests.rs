use rustix::process::test_kill_process;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

fn launch(work_dir: &WorkDir, script: &str, grace: Duration) -> ChildProcess {
    ChildProcess::start(&ProcessOptions {
        name: "test".to_owned(),
        program: "sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: Vec::new(),
        directory: None,
        log: work_dir.log("test").unwrap(),
        grace,
    })
    .unwrap()
}

fn is_running(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

async fn wait_exit(pid: i32) {
    eventually(DEADLINE, format!("the end of process {pid}"), async || {
        ensure!(!is_running(pid), "still running");
        Ok(())
    })
    .await
    .unwrap();
}

/// Waits for the end of a child, and returns its exit status.
async fn wait_status(process: &mut ChildProcess) -> ExitStatus {
    eventually(DEADLINE, "the end", async || {
        process.exit_status().context("still running")
    })
    .await
    .unwrap()
}

/// Waits until a child has set its trap and printed `ready`.
async fn wait_trap(process: &ChildProcess) {
    eventually(DEADLINE, "the trap", async || {
        ensure!(process.tail(1) == "ready", "not set");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn dropped_child_has_ended_when_drop_returns() {
    let work_dir = WorkDir::new("child-process").unwrap();
    let process = launch(&work_dir, "exec sleep 1000", DEADLINE);
    let pid = process.pid();
    assert!(is_running(pid));
    drop(process);
    assert!(!is_running(pid));
}

#[tokio::test]
async fn child_that_ignores_sigterm_is_killed_after_its_grace_period() {
    let work_dir = WorkDir::new("child-process").unwrap();
    let mut process = launch(
        &work_dir,
        "trap '' TERM; echo ready; while :; do sleep 0.1; done",
        Duration::from_millis(300),
    );
    wait_trap(&process).await;
    let start = Instant::now();
    process.stop().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300), "no grace period");
    assert!(!is_running(process.pid()));
}

#[tokio::test]
async fn child_that_ends_by_itself_reports_its_exit_status() {
    let work_dir = WorkDir::new("child-process").unwrap();
    let mut process = launch(&work_dir, "echo last words; exit 7", DEADLINE);
    assert_eq!(wait_status(&mut process).await.code(), Some(7));
    assert_eq!(process.tail(5), "last words");
}

#[tokio::test]
async fn signal_to_an_ended_child_reaches_no_process_that_reuses_its_id() {
    let work_dir = WorkDir::new("child-process").unwrap();
    let mut ended = launch(&work_dir, "exit 0", DEADLINE);
    wait_status(&mut ended).await;
    let mut other = launch(
        &work_dir,
        "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done",
        DEADLINE,
    );
    wait_trap(&other).await;
    ended.pid = other.pid;
    ended.signal(Signal::KILL);
    other.signal(Signal::TERM);
    assert_eq!(wait_status(&mut other).await.code(), Some(3));
}

#[tokio::test]
async fn missing_program_is_a_child_with_status_127() {
    let work_dir = WorkDir::new("child-process").unwrap();
    let mut process = launch(&work_dir, "exec /nowhere/at-all", DEADLINE);
    assert_eq!(wait_status(&mut process).await.code(), Some(127));
    assert!(process.tail(5).contains("/nowhere/at-all"), "{}", process.tail(5));
}

#[tokio::test]
async fn kill9_ends_a_child_that_ignores_sigterm() {
    let work_dir = WorkDir::new("child-process").unwrap();
    let mut process = launch(&work_dir, "trap '' TERM; while :; do sleep 0.1; done", DEADLINE);
    process.kill9().await.unwrap();
    assert!(!is_running(process.pid()));
}

#[tokio::test]
async fn work_dir_is_removed_when_it_is_dropped() {
    let work_dir = WorkDir::new("child-process").unwrap();
    let path = work_dir.write("file", "text").unwrap();
    drop(work_dir);
    eventually(DEADLINE, "the folder to be removed", async || {
        ensure!(!path.exists(), "still exists");
        Ok(())
    })
    .await
    .unwrap();
}

/// Environment variable of the harness process that the test below kills. It names the file into which the harness
/// writes its child's process id and the path of its work directory.
const PARENT: &str = "EVERYNODE_TEST_PARENT_PROCESS";

/// This isn't a test. The test below runs this function in another process, as the harness to kill.
#[test]
fn parent_process() {
    let Some(file) = std::env::var_os(PARENT) else {
        return;
    };
    let work_dir = WorkDir::new("child-process").unwrap();
    let process = launch(&work_dir, "exec sleep 1000", DEADLINE);
    fs::write(
        &file,
        format!("{} {}\n", process.pid(), work_dir.path().display()),
    )
    .unwrap();
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn child_and_work_dir_do_not_outlive_a_killed_harness() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut harness = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process::tests::parent_process"])
        .env(PARENT, &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = eventually(DEADLINE, "the harness to start its child", async || {
        let text = fs::read_to_string(&file)?;
        ensure!(text.ends_with('\n'), "still writing");
        Ok(text)
    })
    .await
    .unwrap();
    let (pid, work_dir) = text.trim().split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    assert!(is_running(pid));
    harness.kill().unwrap();
    harness.wait().unwrap();
    wait_exit(pid).await;
    eventually(DEADLINE, "its files to be removed", async || {
        ensure!(!Path::new(work_dir).exists(), "{work_dir} still exists");
        Ok(())
    })
    .await
    .unwrap();
}
