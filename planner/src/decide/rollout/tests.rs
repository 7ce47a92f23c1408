mod clocks;
mod midway;

use crate::{
    decide::rolling_update,
    model::{Action, Budget, DaemonSet, Pod, Strategy, Text},
    testing::{
        NOW, PodVariants, TestCell, check, daemon_set, decide, exclude, keep, max_surge, max_unavailable,
        pod, run, seconds, with_strategy,
    },
};

const NODES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Nodes with one available old pod each, named like its node.
fn old_on(nodes: usize) -> Vec<TestCell> {
    NODES
        .iter()
        .take(nodes)
        .map(|node| run(node, [pod(node, node).old()]))
        .collect()
}

fn with_min_ready_seconds(daemon_set: DaemonSet) -> DaemonSet {
    DaemonSet {
        min_ready_millis: 10_000,
        ..daemon_set
    }
}

#[test]
fn r2_on_delete_replaces_nothing() {
    let on_delete = with_strategy(Strategy::OnDelete);
    let cells = [
        run("a", [pod("p", "a").old()]),
        run("b", [pod("q", "b").old().unready()]),
        run("c", []),
        run("d", [pod("r", "d").old().failed()]),
    ];
    check(
        &on_delete,
        &cells,
        &["create c", "delete r: Failed"],
        "old pods stay, and other rules still apply",
    );
}

#[test]
fn r3_budgets_are_numbers_or_percentages_rounded_up() {
    for (budget, desired, expected) in [
        (Budget::Count(2), 7, 2),
        (Budget::Count(0), 7, 0),
        (Budget::Count(-1), 7, 0),
        (Budget::Percent(0), 7, 0),
        (Budget::Percent(1), 7, 1),
        (Budget::Percent(14), 7, 1),
        (Budget::Percent(15), 7, 2),
        (Budget::Percent(50), 7, 4),
        (Budget::Percent(100), 7, 7),
        (Budget::Percent(10), 0, 0),
        (Budget::Percent(-5), 7, 0),
        (Budget::Percent(i32::MAX), usize::MAX, usize::MAX / 100 + 1),
    ] {
        assert_eq!(budget.of(desired), expected, "{budget:?} of {desired}");
    }
}

#[test]
fn r3_update_deletes_as_many_old_pods_as_the_budget_allows() {
    for (budget, expected) in [
        (Budget::Count(1), 1),
        (Budget::Count(3), 3),
        (Budget::Count(9), 7),
        (Budget::Percent(15), 2),
        (Budget::Percent(100), 7),
        // If both budgets are 0, one node may be unavailable.
        (Budget::Count(0), 1),
        (Budget::Percent(0), 1),
    ] {
        let daemon_set = with_strategy(rolling_update(Some(budget), None));
        let actions = decide(&daemon_set, NOW, &old_on(7)).actions;
        assert_eq!(actions.len(), expected, "{budget:?}: {actions:?}");
    }
    check(
        &with_strategy(rolling_update(None, None)),
        &old_on(2),
        &["delete a: Update"],
        "no budget is set",
    );
    let both_zero = with_strategy(rolling_update(Some(Budget::Count(0)), Some(Budget::Percent(0))));
    check(&both_zero, &old_on(2), &["delete a: Update"], "both are 0");
    check(
        &both_zero,
        &[keep("a", [pod("p", "a").old()])],
        &[],
        "no pod should run, so no progress is needed",
    );
}

#[test]
fn r4_unavailable_nodes_use_up_the_budget() {
    let two = with_strategy(max_unavailable(2));
    let with = |cell: TestCell| [vec![cell], old_on(7).split_off(1)].concat();
    let one_left = ["delete b: Update"];
    check(
        &two,
        &with(run("a", [pod("p", "a")])),
        &["delete b: Update", "delete c: Update"],
        "all are available",
    );
    check(
        &two,
        &with(run("a", [pod("p", "a").unready()])),
        &one_left,
        "a new pod that isn't ready",
    );
    check(
        &two,
        &with(run("a", [pod("p", "a").deleting()])),
        &one_left,
        "a node with only a terminating pod",
    );
    let in_flight = TestCell {
        delete_in_flight: vec!["p"],
        ..run("a", [pod("p", "a")])
    };
    check(
        &two,
        &with(in_flight),
        &one_left,
        "a node whose pod's deletion is in flight",
    );
    let creating = TestCell {
        create_in_flight: true,
        ..run("a", [])
    };
    check(
        &two,
        &with(creating),
        &one_left,
        "a node whose creation is in flight",
    );
    check(
        &two,
        &with(run("a", [])),
        &["create a", "delete b: Update"],
        "a node without a pod",
    );
    let waiting = TestCell {
        backoff_until: Some(seconds(NOW + 9)),
        ..run("a", [pod("p", "a").failed()])
    };
    check(&two, &with(waiting), &one_left, "a node with a failed pod");
    check(
        &two,
        &with(run("a", [pod("p", "a").failed()])),
        &["delete p: Failed", "delete b: Update"],
        "a node whose failed pod is deleted now",
    );
    check(
        &two,
        &with(keep("a", [])),
        &["delete b: Update", "delete c: Update"],
        "a node that should run no pod",
    );
    let spent = [
        run("a", []),
        run("b", [pod("b", "b").unready()]),
        run("c", [pod("c", "c").old()]),
    ];
    check(&two, &spent, &["create a"], "the budget is used up");
    let early = run("a", [pod("p", "a").ready_since(NOW - 9)]);
    check(
        &with_min_ready_seconds(two.clone()),
        &with(early),
        &one_left,
        "a new pod that has not been ready for minReadySeconds",
    );
}

#[test]
fn r4_unavailable_old_pods_are_deleted_at_once_and_use_up_the_budget() {
    let one = with_strategy(max_unavailable(1));
    let cells = [
        run("a", [pod("a", "a").old()]),
        run("b", [pod("b", "b").old().unready()]),
        run("c", [pod("c", "c").old().unready()]),
        run("d", [pod("d", "d").old().ready_since(NOW - 9)]),
    ];
    check(
        &one,
        &cells,
        &["delete b: Update", "delete c: Update"],
        "unavailable pods use up the budget",
    );
    check(
        &with_min_ready_seconds(one.clone()),
        &cells,
        &["delete b: Update", "delete c: Update", "delete d: Update"],
        "a pod that has not been ready for minReadySeconds is unavailable",
    );
    let failed = TestCell {
        backoff_until: Some(seconds(NOW + 9)),
        ..run("a", [pod("a", "a").old().failed()])
    };
    check(
        &one,
        &[failed],
        &["delete a: Update"],
        "an update doesn't wait for a failed old pod's backoff",
    );
}

#[test]
fn r4_old_pods_on_kept_nodes_are_deleted_without_a_successor() {
    let one = with_strategy(max_unavailable(1));
    check(
        &one,
        &[keep("a", [pod("p", "a").old()])],
        &["delete p: Update"],
        "within the budget",
    );
    let cells = [
        keep("a", [pod("p", "a").unready()]),
        run("b", [pod("q", "b").old()]),
    ];
    check(
        &one,
        &cells,
        &[],
        "an unavailable pod on a kept node uses the budget",
    );
    check(&one, &[keep("a", [pod("p", "a")])], &[], "a current pod stays");
    check(
        &one,
        &[exclude("a", [pod("p", "a").old()])],
        &["delete p: Excluded"],
        "an excluded node needs no budget",
    );
}

#[test]
fn r4_oldest_of_several_pods_on_a_node_decides() {
    let one = with_strategy(max_unavailable(1));
    let pods = [pod("p", "a").old().created_at(1), pod("q", "a").created_at(2)];
    check(
        &one,
        &[run("a", pods)],
        &["delete q: Excess", "delete p: Update"],
        "the oldest pod is old",
    );
    let pods = [pod("p", "a").created_at(1), pod("q", "a").old().created_at(2)];
    let cells = [run("a", pods), run("b", [pod("r", "b").old()])];
    check(
        &one,
        &cells,
        &["delete q: Excess", "delete r: Update"],
        "the oldest pod is current and available",
    );
}

#[test]
fn r5_new_pods_beside_available_old_ones_are_limited_by_max_surge() {
    check(
        &with_strategy(max_surge(2)),
        &old_on(4),
        &["create a", "create b"],
        "old pods are not deleted first",
    );
    let percent = with_strategy(rolling_update(Some(Budget::Count(0)), Some(Budget::Percent(30))));
    check(
        &percent,
        &old_on(7),
        &["create a", "create b", "create c"],
        "30% of 7, rounded up",
    );
    let one = with_strategy(max_surge(1));
    let surging = |cell| [vec![cell], old_on(3).split_off(1)].concat();
    let creating = TestCell {
        create_in_flight: true,
        ..run("a", [pod("p", "a").old()])
    };
    check(&one, &surging(creating), &[], "one creation is in flight");
    let beside = run("a", [pod("p", "a").old(), pod("q", "a").created_at(5).unready()]);
    check(&one, &surging(beside), &[], "one new pod isn't available yet");
    let done = run("a", [pod("p", "a").old(), pod("q", "a").created_at(5)]);
    check(
        &one,
        &surging(done),
        &["delete p: Update", "create b"],
        "one node is done, the next one begins",
    );
    check(
        &one,
        &surging(run("a", [])),
        &["create a", "create b"],
        "a creation on an empty node uses no budget",
    );
}

#[test]
fn r5_new_pods_beside_unavailable_old_ones_are_not_limited() {
    let one = with_strategy(max_surge(1));
    let cells = [
        run("a", [pod("a", "a").old()]),
        run("b", [pod("b", "b").old().unready()]),
        run("c", [pod("c", "c").old().unready()]),
    ];
    check(
        &one,
        &cells,
        &["create b", "create c", "create a"],
        "unavailable old pods use no budget",
    );
    let failed = TestCell {
        backoff_until: Some(seconds(NOW + 9)),
        ..run("a", [pod("a", "a").old().failed()])
    };
    check(
        &one,
        &[failed],
        &["create a"],
        "a failed old pod that waits for its deletion is unavailable",
    );
}

#[test]
fn r5_surging_pod_succeeds_the_youngest_pod_of_its_node() {
    let one = with_strategy(max_surge(1));
    let succeeded = |pods: Vec<Pod>| match decide(&one, NOW, &[run("a", pods)]).actions.as_slice() {
        [Action::Create { succeeds, .. }] => succeeds.clone(),
        other => panic!("one creation was expected: {other:?}"),
    };
    assert_eq!(succeeded(vec![pod("p", "a").old()]), Some(Text::from("p-uid")));
    let beside = pod("q", "a").created_at(5).deleting();
    assert_eq!(
        succeeded(vec![pod("p", "a").old(), beside]),
        Some(Text::from("q-uid")),
        "its name is still taken"
    );
}

#[test]
fn r5_old_pods_on_kept_nodes_stay_until_enough_pods_are_available() {
    let one = with_strategy(max_surge(1));
    let moved = |successor: Pod| [keep("a", [pod("p", "a").old()]), run("b", [successor])];
    check(
        &one,
        &moved(pod("q", "b").unready()),
        &[],
        "one pod is available, one is desired",
    );
    check(
        &one,
        &moved(pod("q", "b")),
        &["delete p: Update"],
        "two pods are available, one is desired",
    );
    let several = [
        keep("a", [pod("p", "a").old()]),
        keep("b", [pod("q", "b").old()]),
        run("c", [pod("r", "c")]),
        run("d", [pod("s", "d").unready()]),
    ];
    check(
        &one,
        &several,
        &["delete p: Update"],
        "three pods are available, two are desired",
    );
    check(
        &one,
        &[keep("a", [pod("p", "a").old().unready()])],
        &["delete p: Update"],
        "an unavailable pod needs no budget",
    );
    check(&one, &[keep("a", [pod("p", "a")])], &[], "a current pod stays");
}

#[test]
fn completed_update_plans_nothing() {
    let cells: Vec<_> = NODES.iter().map(|node| run(node, [pod(node, node)])).collect();
    for strategy in [max_unavailable(1), max_surge(1), Strategy::OnDelete] {
        check(&with_strategy(strategy), &cells, &[], format!("{strategy:?}"));
    }
    check(&daemon_set(), &[], &[], "an empty cluster");
}
