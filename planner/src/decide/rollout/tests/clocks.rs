//! Tests of rollouts when the clock was changed, or differs from the kubelets' clocks.

use super::{NODES, old_on};
use crate::{
    model::{DaemonSet, Strategy},
    testing::{
        NOW, PodVariants, TestCell, brief, check, decide, keep, max_surge, max_unavailable, pod, run,
        seconds, with_strategy,
    },
};

const HOUR: i64 = 3_600;

fn waiting(strategy: Strategy) -> DaemonSet {
    DaemonSet {
        min_ready_millis: 30_000,
        ..with_strategy(strategy)
    }
}

/// Nodes whose old pods became ready a minute before the clock was set back by an hour.
fn ready_ahead(nodes: &[&str]) -> Vec<TestCell> {
    let old = |node: &&str| run(node, [pod(node, node).old().ready_since(NOW + HOUR - 60)]);
    nodes.iter().map(old).collect()
}

#[test]
fn s3_available_pods_wait_for_their_turn_when_the_clock_is_set_back() {
    for budget in [1, 2, 7] {
        check(
            &waiting(max_unavailable(budget)),
            &ready_ahead(&NODES),
            &[],
            format!("all seven count as unavailable, {budget} may be"),
        );
    }
    let two = waiting(max_unavailable(2));
    let one_ahead = [ready_ahead(&["a"]), old_on(3).split_off(1)].concat();
    check(
        &two,
        &one_ahead,
        &["delete a: Update"],
        "a node whose clock is always fast is updated within the budget",
    );
    let unready = [
        ready_ahead(&["a", "b"]),
        vec![run("c", [pod("c", "c").old().unready()])],
    ]
    .concat();
    check(
        &two,
        &unready,
        &["delete c: Update"],
        "an unready pod needs no budget",
    );
    check(
        &two,
        &[
            keep("a", [pod("a", "a").old().ready_since(NOW + 1)]),
            run("b", []),
            run("c", []),
        ],
        &["create b", "create c"],
        "pods on kept nodes need the budget too",
    );
}

#[test]
fn s3_max_surge_holds_when_the_clock_is_set_back() {
    let one = waiting(max_surge(1));
    check(
        &one,
        &ready_ahead(&["a", "b", "c"]),
        &["create a"],
        "within the budget",
    );
    let beside = [
        pod("a", "a").old().ready_since(NOW + HOUR - 60),
        pod("a2", "a").created_at(5).ready_since(NOW + HOUR),
    ];
    let cells = [vec![run("a", beside)], ready_ahead(&["b", "c"])].concat();
    check(
        &one,
        &cells,
        &[],
        "the old pod stays until the new pod is available",
    );
    let kept = keep("d", [pod("d", "d").old().ready_since(NOW + HOUR - 60)]);
    check(
        &one,
        &[cells, vec![kept]].concat(),
        &[],
        "no other pod is deleted",
    );
}

#[test]
fn s3_rollout_continues_when_the_clock_is_correct_again() {
    for (strategy, expected) in [(max_unavailable(2), "delete"), (max_surge(2), "create")] {
        let decision = decide(&waiting(strategy), NOW + HOUR, &ready_ahead(&NODES));
        let actions: Vec<_> = decision.actions.iter().map(brief).collect();
        assert_eq!(actions.len(), 2, "{strategy:?}: {actions:?}");
        assert!(
            actions.iter().all(|action| action.starts_with(expected)),
            "{actions:?}"
        );
    }
}

#[test]
fn s3_old_pod_is_reconsidered_when_the_clock_reaches_its_ready_time() {
    let one = waiting(max_unavailable(1));
    let ahead = [
        run("a", [pod("a", "a").old().ready_since(NOW + 5)]),
        run("b", [pod("b", "b").ready_since(NOW + 2)]),
    ];
    let decision = decide(&one, NOW, &ahead);
    assert_eq!(
        (decision.actions, decision.reconsider_at),
        (Vec::new(), Some(seconds(NOW + 5))),
        "the ready time of a current pod changes nothing yet"
    );
    let decision = decide(&one, NOW + 5, &ahead);
    let actions: Vec<_> = decision.actions.iter().map(brief).collect();
    assert_eq!(
        actions,
        ["delete a: Update"],
        "the pod is ready but not available (R4)"
    );
}
