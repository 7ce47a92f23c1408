//! Generates `docs/contract.md`, which lists the tests of each clause of the contract, from the names of the tests.
//!
//! A test's name begins with the clauses that it tests, as in `n3_…` or `p1_p2_…`.

mod contract;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use everynode_tests::programs::workspace;

use self::contract::CONTRACT;
use crate::tidy::sources;

/// The generated page, in the workspace.
const PAGE: &str = "docs/contract.md";
/// If this variable is set, the test writes the page instead of comparing it.
const BLESS: &str = "EVERYNODE_BLESS";
/// The text before the clauses.
const HEADER: &str = "\
# The DaemonSet contract

The contract states what users, kubectl and Kubernetes' conformance suite expect of a DaemonSet controller. Each clause
is listed with the tests that check it.
[ARCHITECTURE.md](../ARCHITECTURE.md#differences-from-kube-controller-manager) lists where Everynode differs from
kube-controller-manager on purpose.

The name of a test begins with the clauses that it tests: `n3_…` tests N3, `p1_p2_…` tests P1 and P2. Tests in
`tests/it/differential` are scenarios. They run under kube-controller-manager's own controller and under Everynode, and
both must leave the same state behind.

This page is generated from the clauses in `tests/it/clauses/contract.rs` and from the names of the tests. After a
change of either, regenerate it:

```
EVERYNODE_BLESS=1 cargo test -p everynode-tests --test it -- clauses
```
";

/// The names of the tests of each clause, by file.
fn tests_by_clause() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for member in ["proto", "planner", "executor", "tests"] {
        for file in sources(&workspace().join(member)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let path = file
                .strip_prefix(workspace())
                .unwrap()
                .to_string_lossy()
                .into_owned();
            for name in text.lines().filter_map(function) {
                for clause in clauses_of(name) {
                    let tests = found.entry(clause).or_default().entry(path.clone()).or_default();
                    tests.push(name.to_owned());
                }
            }
        }
    }
    found
}

/// The name of the function that is declared on this line, if there is one.
fn function(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let begins = before
        .split_whitespace()
        .all(|word| matches!(word, "pub(super)" | "async"));
    let end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_')?;
    begins.then(|| rest.get(..end))?
}

/// The clauses that a test name begins with, in upper case.
fn clauses_of(name: &str) -> Vec<String> {
    let is_clause = |part: &&str| {
        let mut letters = part.chars();
        let (letter, number) = (letters.next(), letters.next());
        letter.is_some_and(|letter| "pncrthas".contains(letter))
            && number.is_some_and(|number| number.is_ascii_digit())
            && letters.all(|digit| digit.is_ascii_digit())
    };
    name.split('_')
        .take_while(is_clause)
        .map(str::to_uppercase)
        .collect()
}

/// The whole page.
fn page() -> String {
    let tests = tests_by_clause();
    let mut page = HEADER.to_owned();
    for group in &CONTRACT {
        let _ = write!(page, "\n## {}\n\n{}\n", group.name, group.about);
        for (clause, statement) in group.clauses {
            let _ = write!(page, "\n**{clause}** {statement}\n\n");
            for (file, names) in tests.get(*clause).into_iter().flatten() {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                let _ = writeln!(page, "- `{file}`: {}", names.join(", "));
            }
        }
    }
    page
}

#[test]
fn every_clause_has_a_test_and_tests_name_only_existing_clauses() {
    let tests = tests_by_clause();
    let clauses = CONTRACT.iter().flat_map(|group| group.clauses);
    let known: Vec<_> = clauses.map(|(clause, _)| *clause).collect();
    let untested: Vec<_> = known
        .iter()
        .filter(|clause| !tests.contains_key(**clause))
        .collect();
    assert!(untested.is_empty(), "clauses without a test: {untested:?}");
    let unknown: Vec<_> = tests
        .iter()
        .filter(|(clause, _)| !known.contains(&clause.as_str()))
        .collect();
    assert!(unknown.is_empty(), "tests name unknown clauses: {unknown:?}");
}

#[test]
fn contract_page_lists_the_current_tests() {
    let path = workspace().join(PAGE);
    let wanted = page();
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == wanted,
        "{PAGE} is outdated; regenerate it: {BLESS}=1 cargo test -p everynode-tests --test it -- clauses"
    );
}

#[test]
fn clauses_are_read_from_test_names() {
    assert_eq!(clauses_of("p1_p4_both"), ["P1", "P4"]);
    assert_eq!(clauses_of("t13_t3_both"), ["T13", "T3"]);
    assert_eq!(clauses_of("a_pod_p1"), Vec::<String>::new());
    assert_eq!(
        function("    pub(super) async fn n1_node_joins(lockstep: &mut Lockstep) {"),
        Some("n1_node_joins")
    );
    assert_eq!(function("// fn p1_x() is a comment"), None);
}
