//! Rules that the code as a whole must keep.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use everynode_tests::programs::workspace;
use serde_json::Value;

/// The names of a workspace member and of all its normal dependencies, direct and indirect.
fn built_from(member: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names: BTreeMap<_, _> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let needs: BTreeMap<_, Vec<_>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let runtime = node["deps"].as_array().unwrap().iter().filter(|dependency| {
                dependency["dep_kinds"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            });
            (
                text(&node["id"]),
                runtime.map(|dependency| text(&dependency["pkg"])).collect(),
            )
        })
        .collect();
    let root = names.iter().find(|(_, name)| *name == member).unwrap().0.clone();
    let (mut found, mut queue) = (BTreeSet::new(), vec![root]);
    while let Some(id) = queue.pop() {
        if found.insert(id.clone()) {
            queue.extend(needs[&id].iter().cloned());
        }
    }
    found.iter().map(|id| names[id].clone()).collect()
}

/// All Rust files in a folder and its subfolders, sorted.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn planner_has_no_cluster_client() {
    let crates = built_from("everynode-planner");
    assert!(crates.contains("tonic"), "{crates:?}");
    for forbidden in [
        "kube",
        "kube-client",
        "kube-core",
        "k8s-openapi",
        "reqwest",
        "everynode-executor",
    ] {
        assert!(
            !crates.contains(forbidden),
            "the planner is built from {forbidden}"
        );
    }
    assert!(
        !built_from("everynode-executor").contains("everynode-planner"),
        "the executor must not be built from the planner"
    );
}

#[test]
fn decisions_use_no_clock_io_randomness_or_wire_types() {
    let planner = workspace().join("planner/src");
    let mut files = sources(&planner.join("decide"));
    files.extend(sources(&planner.join("fleet")));
    files.extend(["decide.rs", "fleet.rs", "model.rs"].map(|file| planner.join(file)));
    let files: Vec<_> = files
        .into_iter()
        .filter(|file| !file.ends_with("tests.rs"))
        .collect();
    assert!(files.len() > 8, "{files:?}");
    for file in files
        .iter()
        .filter(|file| !file.components().any(|part| part.as_os_str() == "tests"))
    {
        let text = std::fs::read_to_string(file).unwrap();
        let forbidden = [
            "Instant",
            "SystemTime",
            "std::fs",
            "std::net",
            "tokio",
            "tracing",
            "rand",
            "everynode_proto",
            "serde",
        ];
        for word in forbidden {
            let used = text
                .lines()
                .any(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            assert!(!used, "{} uses {word}", file.display());
        }
    }
}

/// The folders of the workspace's members, from Cargo.toml.
fn members() -> Vec<String> {
    let root = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let members = root.lines().find_map(|line| line.strip_prefix("members = "));
    let members: Vec<String> = serde_json::from_str(members.unwrap()).unwrap();
    assert!(members.len() >= 4, "{members:?}");
    members
}

#[test]
fn every_crate_has_the_workspace_lints_which_forbid_unsafe_code() {
    let read = |file: &str| std::fs::read_to_string(workspace().join(file)).unwrap();
    for member in members() {
        let manifest = read(&format!("{member}/Cargo.toml"));
        assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{member}");
    }
    assert!(read("Cargo.toml").contains("\nunsafe_code = \"forbid\"\n"));
}

#[test]
fn toolchain_is_pinned_to_the_manifests_rust_version() {
    let read = |file: &str| std::fs::read_to_string(workspace().join(file)).unwrap();
    let pinned = read("rust-toolchain.toml");
    let channel = pinned.lines().find_map(|line| line.strip_prefix("channel = \""));
    let channel = channel.unwrap().trim_end_matches('"');
    let numbers: Vec<&str> = channel.split('.').collect();
    assert_eq!(numbers.len(), 3, "{channel} is not an exact version");
    assert!(
        numbers.iter().all(|number| number.parse::<u32>().is_ok()),
        "{channel}"
    );
    let (minor, _) = channel.rsplit_once('.').unwrap();
    assert!(read("Cargo.toml").contains(&format!("\nrust-version = \"{minor}\"\n")));
}

#[test]
fn every_source_file_is_part_of_a_crate() {
    for member in members() {
        let root = workspace().join(member).join("src");
        let files = sources(&root);
        let declared: BTreeSet<_> = files
            .iter()
            .flat_map(|file| {
                let text = std::fs::read_to_string(file).unwrap();
                let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
                let is_root = matches!(stem.as_str(), "lib" | "main");
                let base = if is_root {
                    file.parent().unwrap().to_owned()
                } else {
                    file.with_extension("")
                };
                let names = text.lines().filter_map(|line| {
                    let (_, name) = line.trim().split_once("mod ")?;
                    Some(name.strip_suffix(';')?.to_owned())
                });
                names
                    .map(|name| base.join(name).with_extension("rs"))
                    .collect::<Vec<_>>()
            })
            .collect();
        for file in &files {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let is_root = matches!(stem, "lib" | "main") || file.parent().unwrap().ends_with("bin");
            assert!(
                is_root || declared.contains(file),
                "{} is not declared in any module",
                file.display()
            );
        }
    }
}

/// The texts in backticks in a document that look like names of tests.
fn tests_named_in(document: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(workspace().join(document)).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| {
        name.matches('_').count() >= 3
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    quoted.filter(is_test).map(str::to_owned).collect()
}

/// The names of the tests in a source text: of the functions with a test attribute.
fn tests_in(source: &str) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ") {
            let name = rest.split_once('(').map(|(name, _)| name);
            names.extend(name.filter(|_| is_test));
            is_test = false;
        }
    }
    names
}

#[test]
fn every_test_named_in_documents_exists() {
    let folders = ["proto", "planner", "executor", "tests"];
    let files = folders
        .iter()
        .flat_map(|folder| sources(&workspace().join(folder)));
    let code: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let names = tests_in(&code);
    for document in ["ARCHITECTURE.md", "SECURITY.md", "docs/failure-modes.md"] {
        let tests = tests_named_in(document);
        assert!(tests.len() > 20, "{document}: {tests:?}");
        for test in tests {
            assert!(
                names.contains(test.as_str()),
                "{document} names the test {test}, which doesn't exist"
            );
        }
    }
}

/// The places other than Cargo.toml that state the version: the file, the text before the version, and how many of the
/// file's statements to check.
const VERSION_PLACES: [(&str, &str, usize); 11] = [
    ("deploy/base/kustomization.yaml", "newTag: ", 2),
    (
        "deploy/overlays/control-plane/executor.yaml",
        "image: everynode-planner:",
        1,
    ),
    ("deploy/Dockerfile", "org.opencontainers.image.version=\"", 2),
    (
        "deploy/Dockerfile.multistage",
        "org.opencontainers.image.version=\"",
        2,
    ),
    ("docs/switching.md", "everynode-planner:", 1),
    ("docs/switching.md", "everynode-executor:", 1),
    ("docs/api.md", "\"version\": \"", 4),
    ("proto/everynode/planner/v1/planner.proto", "version, such as ", 1),
    ("proto/everynode/planner/v1/session.proto", "version, such as ", 1),
    (
        "proto/everynode/executor/v1/executor.proto",
        "version, such as ",
        1,
    ),
    ("CHANGELOG.md", "## [", 1),
];

#[test]
fn every_place_that_states_the_version_states_that_of_the_workspace() {
    let root = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let line = root.lines().find_map(|line| line.strip_prefix("version = \""));
    let version = line.unwrap().trim_end_matches('"');
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        root.matches(&format!("\"{version}\"")).count(),
        1,
        "Cargo.toml states it once"
    );
    for (file, before, count) in VERSION_PLACES {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap();
        let stated: Vec<&str> = text
            .split(before)
            .skip(1)
            .map(|rest| {
                let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.');
                rest.get(..end.unwrap_or(rest.len()))
                    .unwrap()
                    .trim_end_matches('.')
            })
            .filter(|stated| !stated.is_empty())
            .collect();
        assert!(stated.len() >= count, "{file}: {before}: {stated:?}");
        // The changelog also names earlier versions, after the current one.
        let current = stated.get(..count).unwrap();
        assert!(
            current.iter().all(|stated| *stated == version),
            "{file} states {current:?}, not {version}"
        );
    }
}
