//! Tests of changes in the middle of a rollout.

use super::old_on;
use crate::{
    decide::rolling_update,
    model::{Budget, DaemonSet, Pod, Strategy},
    testing::{
        NOW, PodVariants, TestCell, check, daemon_set, exclude, gone, keep, max_surge, max_unavailable, pod,
        run, seconds, with_strategy,
    },
};

/// A pod of a revision that was current between the old one and the new one.
fn middle(name: &str, node: &str) -> Pod {
    Pod {
        revision: "middle".into(),
        ..pod(name, node).created_at(5)
    }
}

/// A `DaemonSet` that was rolled back to the old revision.
fn rolled_back(strategy: Strategy) -> DaemonSet {
    DaemonSet {
        update_revision: "old".into(),
        ..with_strategy(strategy)
    }
}

fn deleting(pod: &'static str, cell: TestCell) -> TestCell {
    TestCell {
        delete_in_flight: vec![pod],
        ..cell
    }
}

#[test]
fn r3_percentage_is_of_the_nodes_that_should_run_a_pod() {
    let others = [
        keep("w", [pod("w", "w")]),
        exclude("x", []),
        gone("y", [pod("y", "y").old()]),
    ];
    for (percent, expected) in [
        (1, &["a"][..]),
        (33, &["a"]),
        (34, &["a", "b"]),
        (67, &["a", "b", "c"]),
    ] {
        let cells = [old_on(3), others.to_vec()].concat();
        let budget = Some(Budget::Percent(percent));
        let unavailable: Vec<_> = expected
            .iter()
            .map(|node| format!("delete {node}: Update"))
            .collect();
        let surging: Vec<_> = expected.iter().map(|node| format!("create {node}")).collect();
        for (strategy, expected) in [
            (rolling_update(budget, None), unavailable),
            (rolling_update(Some(Budget::Count(0)), budget), surging),
        ] {
            let expected: Vec<_> = expected.iter().map(String::as_str).collect();
            check(
                &with_strategy(strategy),
                &cells,
                &expected,
                format!("{percent}% of 3"),
            );
        }
    }
}

#[test]
fn r3_changed_budget_applies_to_the_next_plan() {
    let begun = |first: TestCell, second: TestCell| [vec![first, second], old_on(5).split_off(2)].concat();
    let two_are_gone = || {
        begun(
            run("a", [pod("a", "a").unready()]),
            run("b", [pod("b", "b").deleting()]),
        )
    };
    for (strategy, expected) in [
        (max_unavailable(1), &[][..]),
        (max_unavailable(2), &[]),
        (max_unavailable(3), &["delete c: Update"]),
        (rolling_update(Some(Budget::Percent(40)), None), &[]),
        (
            rolling_update(Some(Budget::Percent(61)), None),
            &["delete c: Update", "delete d: Update"],
        ),
    ] {
        check(
            &with_strategy(strategy),
            &two_are_gone(),
            expected,
            format!("{strategy:?}"),
        );
    }
    let beside = |node| {
        let new = pod("new", node).created_at(5).unready();
        run(node, [pod(node, node).old(), new])
    };
    for (strategy, expected) in [
        (max_surge(1), &[][..]),
        (max_surge(3), &["create c"]),
        (
            rolling_update(Some(Budget::Count(0)), Some(Budget::Percent(61))),
            &["create c", "create d"],
        ),
    ] {
        check(
            &with_strategy(strategy),
            &begun(beside("a"), beside("b")),
            expected,
            format!("{strategy:?}"),
        );
    }
}

#[test]
fn r2_switch_to_on_delete_stops_a_rollout() {
    let on_delete = with_strategy(Strategy::OnDelete);
    let replaced = [
        run("a", [pod("a", "a")]),
        run("b", []),
        run("c", [pod("c", "c").old()]),
        run("d", [pod("d", "d").old().unready()]),
    ];
    check(
        &on_delete,
        &replaced,
        &["create b"],
        "a deleted pod gets a successor",
    );
    let surged = [
        run("a", [pod("a", "a").old(), pod("n", "a").created_at(5)]),
        run("b", [pod("b", "b").old()]),
    ];
    check(
        &on_delete,
        &surged,
        &["delete n: Excess"],
        "the older pod stays (N4)",
    );
}

#[test]
fn r4_rollout_with_surge_continues_without_surge() {
    let one = with_strategy(max_unavailable(1));
    let beside = |node| {
        run(
            node,
            [pod(node, node).old(), pod("n", node).created_at(5).unready()],
        )
    };
    check(
        &one,
        &[beside("a"), run("b", [pod("b", "b").old()])],
        &["delete n: Excess", "delete a: Update"],
        "one pod stays on the node, within the budget",
    );
    let landing = TestCell {
        create_in_flight: true,
        ..run("a", [pod("a", "a").old().unready()])
    };
    check(
        &one,
        &[landing, run("b", [pod("b", "b").old()])],
        &["delete a: Update"],
        "a creation is in flight, and its node counts as unavailable",
    );
}

#[test]
fn r5_rollout_without_surge_continues_with_surge() {
    let one = with_strategy(max_surge(1));
    let old = || run("b", [pod("b", "b").old()]);
    check(
        &one,
        &[run("a", [pod("a", "a").old().deleting()]), old()],
        &["create a", "create b"],
        "a terminating pod gets a successor at once, without surge",
    );
    check(
        &one,
        &[deleting("a", run("a", [pod("a", "a").old()])), old()],
        &["create a", "create b"],
        "so does a pod whose deletion is in flight",
    );
    check(
        &one,
        &[run("a", [pod("a", "a").unready()]), old()],
        &["create b"],
        "a new pod alone on its node is no surge",
    );
}

#[test]
fn r4_pods_of_all_earlier_templates_are_old() {
    let cells = [
        run("a", [middle("a", "a")]),
        run("b", [middle("b", "b").unready()]),
        run("c", [pod("c", "c").old()]),
    ];
    check(
        &with_strategy(max_unavailable(1)),
        &cells,
        &["delete b: Update"],
        "the unavailable pod needs no budget, but uses it up",
    );
    check(
        &with_strategy(max_unavailable(2)),
        &cells,
        &["delete b: Update", "delete a: Update"],
        "age makes no difference",
    );
    check(
        &rolled_back(max_unavailable(1)),
        &[
            run("a", [pod("a", "a").unready()]),
            run("b", [pod("b", "b")]),
            run("c", [pod("c", "c").old()]),
        ],
        &["delete a: Update"],
        "back to the old template, whose pods stay",
    );
}

#[test]
fn n5_pod_of_a_third_revision_is_created_when_the_second_is_terminating() {
    let one = with_strategy(max_surge(1));
    let beside = |second: Pod| run("a", [pod("p", "a").old(), second]);
    let cells = |cell: TestCell| [cell, run("b", [pod("r", "b").old()])];
    check(
        &one,
        &cells(beside(middle("q", "a").unready())),
        &["delete q: Excess"],
        "the pod is deleted, and uses the surge until then",
    );
    check(
        &one,
        &cells(deleting("q", beside(middle("q", "a").unready()))),
        &[],
        "its deletion is in flight",
    );
    check(
        &one,
        &cells(beside(middle("q", "a").unready().deleting())),
        &["create a"],
        "it is terminating",
    );
    let both = || [pod("p", "a").old(), middle("q", "a")];
    let both_in_flight = TestCell {
        delete_in_flight: vec!["p", "q"],
        ..run("a", both())
    };
    check(&one, &[both_in_flight], &[], "neither is known to be terminating");
    let [first, second] = both();
    check(
        &one,
        &[deleting("q", run("a", [first.deleting(), second]))],
        &["create a"],
        "one is terminating, the deletion of the other is in flight",
    );
}

#[test]
fn r5_rolling_back_keeps_the_old_pods() {
    let back = rolled_back(max_surge(1));
    let beside = |old: Pod, new: Pod| [run("a", [old, new.created_at(5)])];
    let (old, new) = (|| pod("p", "a").old(), || pod("q", "a"));
    check(
        &back,
        &beside(old(), new().unready()),
        &["delete q: Update"],
        "the new pod isn't needed",
    );
    check(
        &back,
        &beside(old(), new()),
        &["delete q: Update"],
        "whether it is available or not",
    );
    check(
        &back,
        &beside(old().unready(), new()),
        &[],
        "the new pod stays until the old pod is available",
    );
}

#[test]
fn r4_pod_deleted_on_a_kept_node_uses_the_budget_until_it_is_gone() {
    let one = with_strategy(max_unavailable(1));
    let cells = |kept: TestCell| [kept, run("b", [pod("b", "b").old()])];
    let kept = || keep("a", [pod("a", "a").old()]);
    check(&one, &cells(kept()), &["delete a: Update"], "it takes the budget");
    check(
        &one,
        &cells(deleting("a", kept())),
        &[],
        "its deletion is in flight",
    );
    check(
        &one,
        &cells(keep("a", [pod("a", "a").old().deleting()])),
        &[],
        "it is terminating",
    );
    check(
        &one,
        &cells(keep("a", [])),
        &["delete b: Update"],
        "the pod is gone, and no pod should run there",
    );
}

#[test]
fn r5_creation_in_flight_counts_on_a_node_that_has_become_kept() {
    let one = with_strategy(max_surge(1));
    let landing = TestCell {
        create_in_flight: true,
        ..keep("a", [pod("a", "a").old()])
    };
    let cells = [landing, run("b", [pod("b", "b").old()])];
    check(
        &one,
        &cells,
        &[],
        "it was requested within the budget, and uses it up",
    );
}

#[test]
fn r5_available_new_pod_counts_beside_a_failed_old_one() {
    let failed = TestCell {
        backoff_until: Some(seconds(NOW + 9)),
        ..run("b", [pod("q", "b").old().failed(), pod("r", "b").created_at(5)])
    };
    check(
        &with_strategy(max_surge(1)),
        &[keep("a", [pod("p", "a").old()]), failed],
        &["delete p: Update"],
        "two pods are available, one is desired",
    );
}

#[test]
fn r4_failed_pods_of_any_revision_are_unavailable() {
    let waiting = |pod: Pod| TestCell {
        backoff_until: Some(seconds(NOW + 9)),
        ..run("a", [pod])
    };
    for (cell, expected) in [
        (waiting(pod("a", "a").failed()), &[][..]),
        (waiting(pod("a", "a").old().failed()), &["delete a: Update"]),
        (run("a", [pod("a", "a").failed()]), &["delete a: Failed"]),
        (run("a", [pod("a", "a").succeeded()]), &["delete a: Succeeded"]),
        (run("a", [pod("a", "a").failed().deleting()]), &["create a"]),
    ] {
        let cells = [cell, run("b", [pod("b", "b").old()])];
        check(&daemon_set(), &cells, expected, "the budget of one is spent");
    }
}
