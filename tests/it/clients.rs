//! Tests of the clients in `docs/examples/clients`. Each is built and run as its README.md says, against a real
//! planner, and against a planner that is busy at first and newer than the client.

mod relay;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use everynode_tests::programs::{Profile, Programs, workspace};
use everynode_tests::service::{Planner, ServiceOptions};
use everynode_tests::toolbox::Toolbox;
use tempfile::TempDir;

use self::relay::Relay;
use crate::page::{Page, Shell};

/// The planner's address in the README.md.
const PLANNER: &str = "localhost:50051";
/// How long a busy planner asks its callers to wait.
const DELAY: Duration = Duration::from_millis(300);
/// The client's final output.
const CHOICE: &str = "a pod with cpu 1500m, memory 2Gi, pods 1 fits on g5.xlarge";

/// A client in a copy of the files that it needs from the workspace, so that generated code doesn't end up in the
/// workspace.
struct Client {
    planner: Planner,
    folder: PathBuf,
    page: String,
    _copy: TempDir,
}

impl Client {
    async fn new(language: &str) -> Self {
        let programs = Programs::built(Profile::Dev).await.unwrap();
        let planner = Planner::start(&programs, ServiceOptions::default())
            .await
            .unwrap();
        let copied = tempfile::tempdir().unwrap();
        for part in ["proto/everynode", "proto/buf.yaml", "docs/examples"] {
            copy(&workspace().join(part), &copied.path().join(part));
        }
        let folder = format!("docs/examples/clients/{language}");
        Self {
            planner,
            folder: copied.path().join(&folder),
            page: format!("{folder}/README.md"),
            _copy: copied,
        }
    }

    /// The client's README.md. Its last command runs the client.
    fn page(&self) -> Page {
        Page::read(&self.page)
    }

    /// Checks that the client retries when a planner is busy at first, and prints a problem code that no client knows.
    /// Also checks that it doesn't retry when a planner refuses a request as too large.
    async fn check_retries(&self, shell: impl Fn() -> Shell) {
        let commands = self.page().commands().concat();
        let command = commands.last().unwrap().replace("../../daemonsets.json", "-");
        let command = format!("{command} < ../../daemonsets.json 2>&1");

        let relay = Relay::start(&self.planner, [relay::busy(DELAY)]).await;
        let shell_with_relay = shell().server(PLANNER, relay.address());
        let (succeeded, printed) = shell_with_relay.run(&command).await;
        assert!(succeeded && printed.contains(CHOICE), "{printed}");
        assert!(printed.contains("asking again in"), "{printed}");
        let problem = format!("{} {}: {}", relay::CODE, relay::OBJECT, relay::MESSAGE);
        assert!(printed.lines().any(|line| line == problem), "{printed}");
        let calls = relay.calls();
        assert!(calls.len() == 2 && calls[1] - calls[0] >= DELAY, "{calls:?}");

        let relay = Relay::start(&self.planner, [relay::too_large()]).await;
        let shell_with_relay = shell().server(PLANNER, relay.address());
        let (succeeded, printed) = shell_with_relay.run(&command).await;
        assert!(!succeeded && printed.contains("split the request"), "{printed}");
        assert_eq!(
            relay.calls().len(),
            1,
            "the client doesn't retry a request that is too large"
        );
    }
}

/// Copies a file or a folder without its generated files.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "gen" && name != ".venv" {
            copy(&from.join(&name), &to.join(&name));
        }
    }
}

#[tokio::test]
async fn go_client_matches_its_page_obeys_retry_delays_and_prints_unknown_codes() {
    let client = Client::new("go").await;
    let buf = Toolbox::buf().await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let shell = || {
        Shell::new(&client.folder)
            .programs(buf.parent().unwrap())
            .variable("BUF_CACHE_DIR", cache.path())
    };
    let shell_with_planner = shell().server(PLANNER, client.planner.address());
    client.page().check(&shell_with_planner, ..).await;
    client.check_retries(shell).await;
}

#[tokio::test]
async fn python_client_matches_its_page_obeys_retry_delays_and_prints_unknown_codes() {
    let client = Client::new("python").await;
    let installs = client.page().commands()[0].clone();
    let made = Toolbox::python(client.folder.join("requirements.txt"), installs)
        .await
        .unwrap();
    std::os::unix::fs::symlink(made.join(".venv"), client.folder.join(".venv")).unwrap();
    // Unlike Go's gRPC, Python's would use a proxy even for an address of this machine.
    let shell = || Shell::new(&client.folder).variable("no_grpc_proxy", "localhost,127.0.0.1");
    let shell_with_planner = shell().server(PLANNER, client.planner.address());
    client.page().check(&shell_with_planner, 1..).await;
    client.check_retries(shell).await;
}
