//! Which test holds which clause of the contract: `tests/clauses.md`, made from the names of the tests.
//!
//! A test's name begins with the clauses that it holds, as `n3_…` or `p1_p2_…`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use everynode_tests::programs::workspace;

use crate::tidy::sources;

/// The clauses of the `DaemonSet` contract: what users, kubectl and Kubernetes' conformance suite expect of whoever controls
/// `DaemonSet`s.
const CLAUSES: [(&str, &str, &[(&str, &str)]); 7] = [
    (
        "Placement (planner)",
        "whether a pod belongs on a node: RUN, KEEP (none is made, one that is there stays) or EXCLUDE",
        &[
            (
                "P1",
                "Pods are judged with the tolerations that are added to each: NoExecute not-ready and unreachable; NoSchedule \
                 disk-pressure, memory-pressure, pid-pressure, unschedulable, and on the host's network network-unavailable.",
            ),
            (
                "P2",
                "spec.nodeName of the template, if set, must be the node's name.",
            ),
            (
                "P3",
                "nodeSelector and required node affinity must match. A term that can't be parsed matches nothing, is reported, and \
                 fails nothing else.",
            ),
            (
                "P4",
                "An untolerated NoSchedule taint keeps new pods away (KEEP), an untolerated NoExecute taint every pod (EXCLUDE).",
            ),
            (
                "P5",
                "Only labels, taints and the name of a node matter: not readiness, capacity or spec.unschedulable as such.",
            ),
            (
                "P6",
                "An empty selector selects nothing: no pods, and a Warning event SelectingAll.",
            ),
        ],
    ),
    (
        "One node (planner)",
        "what is done on a node",
        &[
            (
                "N1",
                "RUN and no pod: one is created. A terminating pod still counts as there, unless it is over as well.",
            ),
            ("N2", "EXCLUDE: every pod that isn't terminating is deleted."),
            (
                "N3",
                "A failed pod is deleted (event FailedDaemonPod) with a backoff of 1 s, doubling to 15 min, for each DaemonSet and \
                 node; a succeeded one at once (event SucceededDaemonPod).",
            ),
            (
                "N4",
                "Without surge the oldest pod stays: bound before unbound, then by creation, then by name.",
            ),
            (
                "N5",
                "With surge the oldest current and the oldest old pod stay, until one makes the other needless.",
            ),
            (
                "N6",
                "Unbound pods of a node that is gone are deleted; bound ones are the pod garbage collector's.",
            ),
            (
                "N7",
                "Better than kube-controller-manager: the counters follow at once when a node is deleted, and when a taint comes that \
                 the pod there may stay with.",
            ),
        ],
    ),
    (
        "Created pods (executor)",
        "what pods are made of",
        &[
            (
                "C1",
                "The name begins with the DaemonSet's, generateName is NAME-, and the DaemonSet is the controlling owner.",
            ),
            (
                "C2",
                "Labels, annotations and finalizers are the template's, plus controller-revision-hash, plus pod-template-generation \
                 where the DaemonSet has that annotation.",
            ),
            (
                "C3",
                "The tolerations of P1 are added; required node affinity is replaced by the node's name; preferred affinity stays; \
                 the scheduler binds the pod.",
            ),
            (
                "C4",
                "Everything else of the template reaches the pod, known to our libraries or not.",
            ),
            (
                "C5",
                "Events SuccessfulCreate, FailedCreate, SuccessfulDelete, FailedDelete, in the server's words, rate limited.",
            ),
        ],
    ),
    (
        "Rolling update (planner)",
        "how pods of an old template give way",
        &[
            (
                "R1",
                "A pod is current by its controller-revision-hash, or by its pod-template-generation.",
            ),
            ("R2", "OnDelete: nothing is replaced until somebody deletes it."),
            (
                "R3",
                "maxUnavailable and maxSurge: a number or a percentage of desired, rounded up; both 0 means maxUnavailable 1.",
            ),
            (
                "R4",
                "Without surge, unavailable old pods go at once and count; available ones go while the budget lasts. A node that \
                 lacks its pod counts as unavailable.",
            ),
            (
                "R5",
                "With surge, new pods come beside available old ones up to maxSurge, beside unavailable ones without limit; an old \
                 pod goes when its new one is available.",
            ),
            (
                "R6",
                "Better than kube-controller-manager: nodes are served in the order of their names, so the same state gives the same \
                 plan.",
            ),
        ],
    ),
    (
        "History (executor)",
        "ControllerRevisions",
        &[
            (
                "H1",
                "One revision a template, reused when the template comes back; duplicates are merged; a taken name raises \
                 status.collisionCount.",
            ),
            (
                "H2",
                "The data is byte for byte what kube-controller-manager writes, and is compared by meaning: taking over and handing \
                 back restarts no pod.",
            ),
            (
                "H3",
                "Revisions beyond revisionHistoryLimit go, oldest first, but none that a pod still carries.",
            ),
            ("H4", "kubectl rollout history, undo, status and restart work."),
        ],
    ),
    (
        "Ownership (executor)",
        "whose pods and revisions they are",
        &[
            (
                "A1",
                "Orphans that match the selector are adopted, after a fresh read of the DaemonSet.",
            ),
            ("A2", "Owned pods that don't match any more are released."),
            ("A3", "Pods of another controller are never touched."),
            ("A4", "A DaemonSet that is being deleted is left alone."),
        ],
    ),
    (
        "Status (planner counts, executor writes)",
        "what the status says",
        &[
            ("S1", "Each counter, by the oldest pod of each node."),
            (
                "S2",
                "observedGeneration rises only to what has been acted on; collisionCount is kept; written only on change, and again on a \
                 conflict.",
            ),
            (
                "S3",
                "With minReadySeconds the status changes when the time has passed, whatever the clocks say.",
            ),
        ],
    ),
];

/// Set to have the table written anew instead of compared.
const BLESS: &str = "EVERYNODE_BLESS";

/// The tests of each clause, as (file, names).
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

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let begins = before
        .split_whitespace()
        .all(|word| matches!(word, "pub(super)" | "async"));
    let end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_')?;
    begins.then(|| rest.get(..end))?
}

/// The clauses that a name begins with, in capitals.
fn clauses_of(name: &str) -> Vec<String> {
    let is_clause = |part: &&str| {
        let mut letters = part.chars();
        let (letter, number) = (letters.next(), letters.next());
        letter.is_some_and(|letter| "pncrhas".contains(letter))
            && number.is_some_and(|number| number.is_ascii_digit())
            && letters.next().is_none()
    };
    name.split('_')
        .take_while(is_clause)
        .map(str::to_uppercase)
        .collect()
}

fn table() -> String {
    let tests = tests_by_clause();
    let mut page = "# The DaemonSet contract, clause by clause\n\n\
        The tests of a clause begin with its name. Those in `tests/it/differential` are scenarios that run under \
        kube-controller-manager's\nown controller and under Everynode, and must leave the same behind. This page is made from the \
        names of the tests:\n`EVERYNODE_BLESS=1 cargo test -p everynode-tests --test it -- clauses` writes it anew.\n"
        .to_owned();
    for (group, what, clauses) in CLAUSES {
        let _ = write!(page, "\n## {group}: {what}\n");
        for (clause, statement) in clauses {
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
fn every_clause_has_a_test_and_every_test_names_a_clause_that_there_is() {
    let tests = tests_by_clause();
    let known: Vec<_> = CLAUSES
        .iter()
        .flat_map(|(_, _, clauses)| clauses.iter().map(|(clause, _)| *clause))
        .collect();
    let bare: Vec<_> = known
        .iter()
        .filter(|clause| !tests.contains_key(**clause))
        .collect();
    assert!(bare.is_empty(), "no test holds {bare:?}");
    let strange: Vec<_> = tests
        .iter()
        .filter(|(clause, _)| !known.contains(&clause.as_str()))
        .collect();
    assert!(strange.is_empty(), "there are no such clauses: {strange:?}");
}

#[test]
fn the_page_of_clauses_lists_the_tests_that_there_are() {
    let path = workspace().join("tests/clauses.md");
    let wanted = table();
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == wanted,
        "tests/clauses.md doesn't list the tests that there are: {BLESS}=1 cargo test -p everynode-tests --test it -- clauses \
         writes it anew"
    );
}

#[test]
fn a_name_may_hold_several_clauses() {
    assert_eq!(clauses_of("p1_p4_both"), ["P1", "P4"]);
    assert_eq!(clauses_of("a_pod_p1"), Vec::<String>::new());
    assert_eq!(
        function("    pub(super) async fn n1_joins(lockstep: &mut Lockstep) {"),
        Some("n1_joins")
    );
    assert_eq!(function("// fn p1_x() is a comment"), None);
}
