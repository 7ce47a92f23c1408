use rustix::process::test_kill_process;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

fn launch(home: &Home, script: &str, grace: Duration) -> Leash {
    Leash::start(&Launch {
        name: "test".to_owned(),
        program: "sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: Vec::new(),
        directory: None,
        log: home.log("test").unwrap(),
        grace,
    })
    .unwrap()
}

fn alive(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

async fn dead(pid: i32) {
    eventually(DEADLINE, format!("the end of process {pid}"), async || {
        ensure!(!alive(pid), "it is alive");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_dropped_child_is_gone_when_drop_returns() {
    let home = Home::new("leash").unwrap();
    let leash = launch(&home, "exec sleep 1000", DEADLINE);
    let pid = leash.pid();
    assert!(alive(pid));
    drop(leash);
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_child_that_ignores_the_request_is_killed_after_its_grace() {
    let home = Home::new("leash").unwrap();
    let mut leash = launch(
        &home,
        "trap '' TERM; echo ready; while :; do sleep 0.1; done",
        Duration::from_millis(300),
    );
    eventually(DEADLINE, "the trap", async || {
        ensure!(leash.tail(1) == "ready", "it isn't set");
        Ok(())
    })
    .await
    .unwrap();
    let start = Instant::now();
    leash.stop().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300), "it got no grace");
    assert!(!alive(leash.pid()));
}

#[tokio::test]
async fn a_child_may_end_by_itself_and_says_how() {
    let home = Home::new("leash").unwrap();
    let mut leash = launch(&home, "echo last words; exit 7", DEADLINE);
    let status = eventually(DEADLINE, "the end", async || {
        leash.exit_status().context("it runs")
    })
    .await
    .unwrap();
    assert_eq!(status.code(), Some(7));
    assert_eq!(leash.tail(5), "last words");
    // A signal sent now must not reach another process that has got the same process id.
    leash.signal(Signal::KILL);
}

#[tokio::test]
async fn a_program_that_is_missing_is_a_child_that_ended() {
    let home = Home::new("leash").unwrap();
    let mut leash = launch(&home, "exec /nowhere/at-all", DEADLINE);
    let status = eventually(DEADLINE, "the end", async || {
        leash.exit_status().context("it runs")
    })
    .await
    .unwrap();
    assert_eq!(status.code(), Some(127));
    assert!(leash.tail(5).contains("/nowhere/at-all"), "{}", leash.tail(5));
}

#[tokio::test]
async fn kill9_doesnt_ask() {
    let home = Home::new("leash").unwrap();
    let mut leash = launch(&home, "trap '' TERM; while :; do sleep 0.1; done", DEADLINE);
    leash.kill9().await.unwrap();
    assert!(!alive(leash.pid()));
}

#[tokio::test]
async fn a_home_goes_with_its_owner() {
    let home = Home::new("leash").unwrap();
    let path = home.write("file", "text").unwrap();
    drop(home);
    eventually(DEADLINE, "the folder to be removed", async || {
        ensure!(!path.exists(), "it is there");
        Ok(())
    })
    .await
    .unwrap();
}

/// Environment variable of the harness process that the test below kills. It names the file into which the harness
/// writes its child's process id and its folder.
const HOLDER: &str = "EVERYNODE_TEST_LEASH_HOLDER";

/// Not a test by itself: the test below runs it as the harness to kill.
#[test]
fn holder() {
    let Some(file) = std::env::var_os(HOLDER) else {
        return;
    };
    let home = Home::new("leash").unwrap();
    let leash = launch(&home, "exec sleep 1000", DEADLINE);
    fs::write(&file, format!("{} {}\n", leash.pid(), home.path().display())).unwrap();
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn nothing_outlives_a_harness_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut harness = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leash::tests::holder"])
        .env(HOLDER, &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = eventually(DEADLINE, "the harness to start its child", async || {
        let text = fs::read_to_string(&file)?;
        ensure!(text.ends_with('\n'), "it is writing");
        Ok(text)
    })
    .await
    .unwrap();
    let (pid, home) = text.trim().split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    assert!(alive(pid));
    harness.kill().unwrap();
    harness.wait().unwrap();
    dead(pid).await;
    eventually(DEADLINE, "its files to be removed", async || {
        ensure!(!Path::new(home).exists(), "{home} is there");
        Ok(())
    })
    .await
    .unwrap();
}
