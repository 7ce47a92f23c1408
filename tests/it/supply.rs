//! The supply chain of the programs: bills of materials list all linked crates, base images and ready-made programs are
//! pinned, and a client needs only the wire crate.

use std::collections::BTreeSet;
use std::process::Command;

use everynode_tests::programs::workspace;
use serde_json::Value;

/// Each program with its package.
const PROGRAMS: [(&str, &str); 3] = [
    ("everynode-planner", "everynode-planner"),
    ("everynode-executor", "everynode-executor"),
    ("kubectl-everynode", "kubectl-everynode"),
];

/// The target that the programs in the images are built for.
const TARGET: &str = "x86_64-unknown-linux-musl";

fn output_of(command: &mut Command) -> String {
    let output = command.current_dir(workspace()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that a package is built from, as `name version`, following these kinds of dependencies.
fn crates(package: &str, kinds: &str) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--prefix=none", "--format={p}"]);
    command.args(["--package", package, "--edges", kinds, "--target", TARGET]);
    let tree = output_of(&mut command);
    let lines = tree.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name} {}", rest.split(' ').next()?))
    });
    lines.collect()
}

/// The names of the crates that only the tests and benchmarks of a package need.
fn only_for_tests(package: &str) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&output_of(&mut command)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|found| found["name"] == package).unwrap();
    let built_from = crates(package["name"].as_str().unwrap(), "normal,build");
    let is_built_from = |name: &String| {
        let start = format!("{name} ");
        built_from.iter().any(|known| known.starts_with(&start))
    };
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let names = dependencies.filter(|dependency| dependency["kind"] == "dev");
    let names = names.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
    names.filter(|name| !is_built_from(name)).collect()
}

fn check_bill(bill: &Value, program: &str, package: &str) {
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["specVersion"], "1.5");
    let about = &bill["metadata"]["component"];
    assert_eq!(about["name"], program);
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));

    let components = bill["components"].as_array().unwrap();
    let mut known = BTreeSet::from([about["bom-ref"].as_str().unwrap()]);
    let mut names = BTreeSet::new();
    for component in components {
        let (name, version) = (
            component["name"].as_str().unwrap(),
            component["version"].as_str().unwrap(),
        );
        let purl = component["purl"].as_str().unwrap();
        assert!(purl.starts_with(&format!("pkg:cargo/{name}@")), "{purl}");
        assert!(
            !component["licenses"].as_array().unwrap().is_empty(),
            "{component}"
        );
        assert!(
            known.insert(component["bom-ref"].as_str().unwrap()),
            "{name} is listed twice"
        );
        names.insert(format!("{name} {version}"));
    }
    for dependency in bill["dependencies"].as_array().unwrap() {
        let on = dependency["dependsOn"].as_array().into_iter().flatten();
        for reference in on.chain([&dependency["ref"]]) {
            assert!(
                known.contains(reference.as_str().unwrap()),
                "{reference} is not a listed component"
            );
        }
    }

    let linked = crates(package, "normal,no-proc-macro");
    assert!(linked.len() > 50, "{linked:?}");
    let itself = format!("{package} {}", env!("CARGO_PKG_VERSION"));
    let missing: Vec<_> = linked
        .difference(&names)
        .filter(|name| **name != itself)
        .collect();
    assert!(missing.is_empty(), "the bill of {program} lacks {missing:?}");
    let for_tests = only_for_tests(package);
    let wrong = components
        .iter()
        .filter(|component| for_tests.contains(component["name"].as_str().unwrap()));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Value>::new());
}

#[test]
fn bill_of_materials_lists_all_linked_crates_and_no_test_dependencies() {
    assert!(
        PROGRAMS
            .iter()
            .any(|(_, package)| !only_for_tests(package).is_empty()),
        "no crate is only for tests, so the bills can't contain one"
    );
    let folder = tempfile::tempdir().unwrap();
    output_of(Command::new("deploy/sbom").arg(folder.path()));
    for (program, package) in PROGRAMS {
        let text = std::fs::read_to_string(folder.path().join(format!("{program}.cdx.json"))).unwrap();
        assert!(
            !text.contains(&workspace().display().to_string()),
            "the bill of {program} contains the path of the workspace"
        );
        check_bill(&serde_json::from_str(&text).unwrap(), program, package);
    }
}

#[test]
fn client_of_the_wire_crate_alone_is_built_without_what_only_the_programs_need() {
    let built_from = |package: &str| -> BTreeSet<String> {
        let crates = crates(package, "normal").into_iter();
        let name = |line: String| line.split(' ').next().unwrap().to_owned();
        crates.map(name).collect()
    };
    let client = built_from("everynode-proto");
    assert!(client.contains("tonic"), "{client:?}");
    let programs: BTreeSet<_> = PROGRAMS
        .into_iter()
        .flat_map(|(_, package)| built_from(package))
        .collect();
    for name in [
        "axum",
        "clap",
        "prometheus-client",
        "tracing-subscriber",
        "x509-parser",
    ] {
        assert!(programs.contains(name), "no program needs {name} any more");
        assert!(!client.contains(name), "{name} is in {client:?}");
    }
}

/// Every Dockerfile of the workspace, with its text.
fn dockerfiles() -> Vec<(String, String)> {
    let files = output_of(Command::new("git").args(["ls-files", "*Dockerfile*"]));
    let files = files.lines().filter(|file| !file.ends_with(".dockerignore"));
    let read = |file: &str| std::fs::read_to_string(workspace().join(file)).unwrap();
    files.map(|file| (file.to_owned(), read(file))).collect()
}

/// The images that a Dockerfile takes from elsewhere: those after `FROM` and `--from=`, except its own stages and the
/// empty image `scratch`.
fn foreign_images(dockerfile: &str) -> Vec<&str> {
    let mut own = BTreeSet::from(["scratch"]);
    let mut images = Vec::new();
    for line in dockerfile
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let words: Vec<_> = line.split_whitespace().collect();
        if words
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case("FROM"))
        {
            let mut names = words.iter().skip(1).filter(|word| !word.starts_with("--"));
            images.extend(names.next().filter(|image| !own.contains(*image)));
            own.extend(names.nth(1));
        } else {
            let from = words.iter().flat_map(|word| word.split(','));
            let from = from.filter_map(|part| part.trim_start_matches("--").strip_prefix("from="));
            images.extend(from.filter(|image| !own.contains(image)));
        }
    }
    images
}

fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[test]
fn every_base_image_is_pinned_by_digest() {
    let dockerfiles = dockerfiles();
    assert!(dockerfiles.len() >= 3, "{dockerfiles:?}");
    for (file, text) in &dockerfiles {
        for image in foreign_images(text) {
            let digest = image.split_once("@sha256:").map(|(_, digest)| digest);
            assert!(
                digest.is_some_and(is_digest),
                "{file}: {image} is not pinned by digest"
            );
        }
    }
}

#[test]
fn foreign_images_are_found_in_every_dockerfile_instruction() {
    let dockerfile = "\
# FROM nothing
FROM --platform=linux/amd64 a:1 AS build
from b
COPY --from=build /x /x
COPY --from=c:2 /x /x
RUN --mount=type=bind,from=d:3,target=/x --mount=type=bind,from=build true
FROM build
FROM scratch AS last
";
    assert_eq!(foreign_images(dockerfile), ["a:1", "b", "c:2", "d:3"]);
}

#[test]
fn build_image_has_the_pinned_toolchain() {
    let read = |file: &str| std::fs::read_to_string(workspace().join(file)).unwrap();
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \""));
    let channel = channel.unwrap().trim_end_matches('"');
    let dockerfile = read("deploy/Dockerfile.multistage");
    let images = foreign_images(&dockerfile);
    assert_eq!(images.len(), 1, "{images:?}");
    assert!(images[0].starts_with(&format!("rust:{channel}-")), "{images:?}");
}

/// The files that pin ready-made programs, each with the file that names the version to compile instead, and the text
/// before that version.
const READY_MADE: [(&str, &str, &str); 2] = [
    (".ci/requirements.txt", ".ci/run", "deny_version="),
    (
        "tests/buf/requirements.txt",
        "tests/buf/go.mod",
        "github.com/bufbuild/buf v",
    ),
];

/// The packages that a file of requirements pins, as name, version and hashes.
fn pinned(requirements: &str) -> Vec<(String, String, Vec<String>)> {
    let lines = requirements.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let packages = lines.lines().map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = words.next().unwrap().split_once("==").unwrap();
        let hashes = words.map(|word| word.strip_prefix("--hash=sha256:").unwrap().to_owned());
        (name.to_owned(), version.to_owned(), hashes.collect())
    });
    packages.collect()
}

#[test]
fn ready_made_programs_are_pinned_by_hash_and_of_the_version_that_would_be_compiled() {
    let read = |file: &str| std::fs::read_to_string(workspace().join(file)).unwrap();
    for (requirements, compiled, before) in READY_MADE {
        let packages = pinned(&read(requirements));
        assert_eq!(packages.len(), 1, "{requirements}");
        let (name, version, hashes) = &packages[0];
        assert!(!hashes.is_empty(), "{name}");
        assert!(hashes.iter().all(|hash| is_digest(hash)), "{name}: {hashes:?}");
        let text = read(compiled);
        let rest = text.split_once(before).unwrap().1;
        assert_eq!(rest.split_whitespace().next(), Some(version.as_str()), "{name}");
    }
}
