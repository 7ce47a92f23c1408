//! What the programs are built from, as the bills of materials say that come with them.

use std::collections::BTreeSet;
use std::process::Command;

use everynode_tests::programs::workspace;
use serde_json::Value;

/// Each program with the package that it is of.
const PROGRAMS: [(&str, &str); 3] = [
    ("everynode-planner", "everynode-planner"),
    ("everynode-executor", "everynode-executor"),
    ("kubectl-everynode", "everynode-executor"),
];

/// What the programs in the images are built for.
const TARGET: &str = "x86_64-unknown-linux-musl";

fn output_of(command: &mut Command) -> String {
    let output = command.current_dir(workspace()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {words}");
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that a package is built from, as `name version`, by some kinds of dependencies.
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

/// The names of what only the tests and benchmarks of a package need.
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

fn check(bill: &Value, program: &str, package: &str) {
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
            "{name} is there twice"
        );
        names.insert(format!("{name} {version}"));
    }
    for dependency in bill["dependencies"].as_array().unwrap() {
        let on = dependency["dependsOn"].as_array().into_iter().flatten();
        for reference in on.chain([&dependency["ref"]]) {
            assert!(
                known.contains(reference.as_str().unwrap()),
                "{reference} is nowhere"
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
    assert!(!for_tests.is_empty());
    let wrong = components
        .iter()
        .filter(|component| for_tests.contains(component["name"].as_str().unwrap()));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Value>::new());
}

#[test]
fn the_bill_of_materials_of_each_program_lists_all_that_is_linked_into_it_and_nothing_of_its_tests() {
    let folder = tempfile::tempdir().unwrap();
    output_of(Command::new("deploy/sbom").arg(folder.path()));
    for (program, package) in PROGRAMS {
        let text = std::fs::read_to_string(folder.path().join(format!("{program}.cdx.json"))).unwrap();
        assert!(
            !text.contains(&workspace().display().to_string()),
            "it tells where it was made"
        );
        check(&serde_json::from_str(&text).unwrap(), program, package);
    }
}
