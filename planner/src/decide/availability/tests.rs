use super::*;
use crate::{
    model::{DaemonSet, Pod},
    testing::{NOW, PodVariants, TestCell, availability, daemon_set, exclude, gone, keep, pod, run},
};

/// A `DaemonSet` whose pods must be ready for 30 s.
fn waiting() -> DaemonSet {
    DaemonSet {
        min_ready_millis: 30_000,
        ..daemon_set()
    }
}

/// The pods that wait, computed from all cells without earlier state.
fn all(daemon_set: &DaemonSet, cells: &[TestCell]) -> Vec<(String, Option<i64>)> {
    availability(&mut Availability::default(), daemon_set, NOW, cells, None)
}

#[test]
fn s3_ready_pods_wait_until_min_ready_seconds_have_passed() {
    let cells = [
        run("a", [pod("young", "a").ready_since(NOW - 29)]),
        run("b", [pod("grown", "b").ready_since(NOW - 30)]),
        run("c", [pod("ahead", "c").ready_since(NOW + 5)]),
        keep("d", [pod("kept", "d").old().ready_since(NOW)]),
    ];
    let expected = [
        ("ahead-uid".to_owned(), Some(NOW + 35)),
        ("kept-uid".to_owned(), Some(NOW + 30)),
        ("young-uid".to_owned(), Some(NOW + 1)),
    ];
    assert_eq!(all(&waiting(), &cells), expected);
    assert_eq!(
        all(&daemon_set(), &cells),
        [],
        "without minReadySeconds, ready is available"
    );
}

#[test]
fn pods_that_can_not_become_available_do_not_wait() {
    let cells = [
        run("a", [pod("unready", "a").unready()]),
        run("b", [pod("deleting", "b").ready_since(NOW).deleting()]),
        run("c", [pod("failed", "c").failed().ready_since(NOW)]),
        run("d", [pod("succeeded", "d").succeeded().ready_since(NOW)]),
        exclude("e", [pod("excluded", "e").ready_since(NOW)]),
        gone("f", [pod("stranded", "f").ready_since(NOW)]),
    ];
    assert_eq!(all(&waiting(), &cells), []);
}

#[test]
fn only_changes_are_reported() {
    let (mut kept, daemon_set) = (Availability::default(), waiting());
    let mut cells = [
        run("a", [pod("p", "a").ready_since(NOW)]),
        run("b", [pod("q", "b").ready_since(NOW)]),
    ];
    let begun = availability(&mut kept, &daemon_set, NOW, &cells, None);
    let waits = |name: &str, since: i64| (format!("{name}-uid"), Some(since + 30));
    assert_eq!(begun, [waits("p", NOW), waits("q", NOW)]);
    assert_eq!(kept.waiting_cells(), 2);
    let same = availability(&mut kept, &daemon_set, NOW + 1, &cells, Some(&[0, 1, 0]));
    assert_eq!(same, [], "updating the same cells again changes nothing");
    assert_eq!(availability(&mut kept, &daemon_set, NOW + 1, &cells, None), []);

    cells[0] = run("a", [pod("p", "a").unready()]);
    cells[1] = run("b", [pod("q", "b").ready_since(NOW + 2)]);
    let untouched = availability(&mut kept, &daemon_set, NOW + 2, &cells, Some(&[]));
    assert_eq!(untouched, []);
    let changed = availability(&mut kept, &daemon_set, NOW + 2, &cells, Some(&[1, 0, 1]));
    assert_eq!(changed, [("p-uid".to_owned(), None), waits("q", NOW + 2)]);
    let passed = availability(&mut kept, &daemon_set, NOW + 32, &cells, Some(&[1]));
    assert_eq!(passed, [("q-uid".to_owned(), None)]);
    assert_eq!(kept.waiting_cells(), 0);
}

#[test]
fn pod_that_moves_to_another_node_keeps_waiting() {
    let (mut kept, daemon_set) = (Availability::default(), waiting());
    let cells = |first: Vec<Pod>, second: Vec<Pod>| [run("a", first), run("b", second)];
    let pod = |node| pod("p", node).ready_since(NOW);
    let there = cells(vec![pod("a")], Vec::new());
    assert_eq!(availability(&mut kept, &daemon_set, NOW, &there, None).len(), 1);
    let moved = cells(Vec::new(), vec![pod("b")]);
    let touched: &[_] = &[1, 0];
    assert_eq!(
        availability(&mut kept, &daemon_set, NOW, &moved, Some(touched)),
        []
    );
    let gone = cells(Vec::new(), Vec::new());
    let changed = availability(&mut kept, &daemon_set, NOW, &gone, Some(touched));
    assert_eq!(changed, [("p-uid".to_owned(), None)]);
}

#[test]
fn pods_stop_waiting_when_min_ready_seconds_is_removed() {
    let mut kept = Availability::default();
    let cells = [run("a", [pod("p", "a").ready_since(NOW)])];
    assert_eq!(availability(&mut kept, &waiting(), NOW, &cells, None).len(), 1);
    let changed = availability(&mut kept, &daemon_set(), NOW, &cells, None);
    assert_eq!(changed, [("p-uid".to_owned(), None)]);
    assert_eq!(kept.clear(), []);
}
