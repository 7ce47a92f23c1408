//! Uses buf to check that the wire follows buf's rules and is compatible with the last release.
//!
//! `proto/released` holds one file, `VERSION.binpb`: the descriptor set of the last release. The programs must work
//! with peers of that release, so an incompatible change fails here. For a release, first raise the workspace's
//! version, then run `EVERYNODE_RELEASE=VERSION cargo test -p everynode-tests --test it -- wire`. The test then
//! replaces the file with the current wire. It fails if the version isn't newer or if the wire breaks the previous
//! release. The next change of the wire needs a newer version.

use std::path::{Path, PathBuf};

use everynode_tests::programs::workspace;
use everynode_tests::proxy::last_release;
use everynode_tests::toolbox::Toolbox;
use tokio::process::Command;

/// When set to the workspace's version, the test stores the current wire as the wire of that release.
const RELEASE: &str = "EVERYNODE_RELEASE";
/// A proxy address where no server listens, so that buf can't use the network.
const NOWHERE: &str = "http://127.0.0.1:9";

fn proto() -> PathBuf {
    workspace().join("proto")
}

/// Runs buf in a folder. The error is buf's output.
async fn buf(folder: &Path, args: &[&str]) -> Result<(), String> {
    let cache = tempfile::tempdir().unwrap();
    let output = Command::new(Toolbox::buf().await.unwrap())
        .args(args)
        .current_dir(folder)
        .env("BUF_CACHE_DIR", cache.path())
        .env("HTTP_PROXY", NOWHERE)
        .env("HTTPS_PROXY", NOWHERE)
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    output.status.success().then_some(()).ok_or(text.concat())
}

async fn check_breaking(folder: &Path, released: &Released) -> Result<(), String> {
    buf(
        folder,
        &["breaking", "--against", released.path.to_str().unwrap()],
    )
    .await
}

/// The descriptor set of the current wire, without comments.
async fn descriptors() -> Vec<u8> {
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("wire.binpb");
    let args = ["build", "--exclude-source-info", "-o", path.to_str().unwrap()];
    buf(&proto(), &args).await.unwrap();
    std::fs::read(&path).unwrap()
}

/// The wire of the last release.
#[derive(Debug)]
struct Released {
    version: Version,
    path: PathBuf,
}

impl Released {
    fn last() -> Self {
        let path = last_release::descriptor_set_path().unwrap();
        let version = Version::read(path.file_stem().unwrap().to_str().unwrap());
        Self { version, path }
    }
}

/// Major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version([u64; 3]);

impl Version {
    fn read(text: &str) -> Self {
        let numbers: Vec<_> = text.split('.').map(|number| number.parse().unwrap()).collect();
        Self(numbers.try_into().unwrap())
    }

    fn of_workspace() -> Self {
        Self::read(env!("CARGO_PKG_VERSION"))
    }
}

/// Why `wanted` can't be released after `released`; `None` if it can.
fn release_error(released: Version, workspace: Version, wanted: Version) -> Option<String> {
    if wanted != workspace {
        return Some(format!(
            "{RELEASE} is {wanted:?}, but the workspace has the version {workspace:?}"
        ));
    }
    (wanted <= released).then(|| format!("{wanted:?} is not newer than {released:?}, which is released"))
}

#[tokio::test]
async fn wire_follows_bufs_lint_rules() {
    if let Err(output) = buf(&proto(), &["lint"]).await {
        panic!("{output}");
    }
}

#[tokio::test]
async fn wire_is_compatible_with_the_last_release_and_any_change_raises_the_version() {
    let (released, workspace) = (Released::last(), Version::of_workspace());
    if let Err(output) = check_breaking(&proto(), &released).await {
        panic!("incompatible with peers of {:?}:\n{output}", released.version);
    }
    let wire = descriptors().await;
    if let Ok(wanted) = std::env::var(RELEASE) {
        let error = release_error(released.version, workspace, Version::read(&wanted));
        assert_eq!(error, None);
        // Another test may read the folder at the same time, so it must hold exactly one file at every moment.
        std::fs::write(&released.path, wire).unwrap();
        std::fs::rename(
            &released.path,
            released.path.with_file_name(format!("{wanted}.binpb")),
        )
        .unwrap();
        return;
    }
    let is_same = std::fs::read(&released.path).unwrap() == wire;
    assert!(
        is_same || workspace > released.version,
        "the wire differs from that of {:?}: raise the workspace's version",
        released.version
    );
}

/// A copy of the .proto files in which one file is changed.
fn changed_copy(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(proto().join("buf.yaml"), folder.path().join("buf.yaml")).unwrap();
    for package in ["everynode/executor/v1", "everynode/planner/v1"] {
        let copy = folder.path().join(package);
        std::fs::create_dir_all(&copy).unwrap();
        for entry in std::fs::read_dir(proto().join(package)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            let mut text = std::fs::read_to_string(&path).unwrap();
            if name == file {
                assert_eq!(text.matches(from).count(), 1, "{file}: {from}");
                text = text.replace(from, to);
            }
            std::fs::write(copy.join(name), text).unwrap();
        }
    }
    folder
}

#[tokio::test]
async fn breaking_wire_changes_are_reported() {
    let released = Released::last();
    for (file, from, to, named) in [
        (
            "facts.proto",
            "  bool bound = 5;\n",
            "",
            r#"field "5" with name "bound" on message "PodFacts" was deleted"#,
        ),
        (
            "facts.proto",
            "bool bound = 5;",
            "string bound = 5;",
            r#"Field "5" with name "bound" on message "PodFacts" changed type"#,
        ),
        (
            "session.proto",
            "  ACTION_OUTCOME_SKIPPED = 3;\n",
            "",
            r#"enum value "3" on enum "ActionOutcome" was deleted"#,
        ),
        (
            "planner.proto",
            "rpc Explain(",
            "rpc Judge(",
            r#"RPC "Explain" on service "PlannerService" was deleted"#,
        ),
    ] {
        let folder = changed_copy(file, from, to);
        let output = check_breaking(folder.path(), &released).await.unwrap_err();
        assert!(output.contains(named), "{named}: {output}");
    }
    let same = changed_copy("facts.proto", "bool bound = 5;", "bool bound = 5; // As ever.");
    assert_eq!(check_breaking(same.path(), &released).await, Ok(()));
}

#[tokio::test]
async fn lint_violations_are_reported() {
    for (file, from, to, named) in [
        (
            "facts.proto",
            "POD_PHASE_FAILED = 4",
            "FAILED = 4",
            r#"Enum value name "FAILED" should be prefixed with "POD_PHASE_""#,
        ),
        (
            "facts.proto",
            "bool bound = 5;",
            "bool isBound = 5;",
            r#"Field name "isBound" should be lower_snake_case"#,
        ),
    ] {
        let folder = changed_copy(file, from, to);
        let output = buf(folder.path(), &["lint"]).await.unwrap_err();
        assert!(output.contains(named), "{named}: {output}");
    }
}

#[test]
fn only_the_workspaces_newer_version_can_be_released() {
    let [old, new, newer] = ["0.9.0", "0.10.0", "1.0.0"].map(Version::read);
    assert_eq!(release_error(old, new, new), None);
    assert!(release_error(new, new, new).is_some());
    assert!(release_error(new, old, old).is_some());
    assert!(release_error(old, new, newer).is_some());
}
