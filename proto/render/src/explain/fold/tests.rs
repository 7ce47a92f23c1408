use everynode_proto::{executor::v1::Wait, planner::v1::NodeVerdict};

use super::*;
use crate::testing::{tainted, verdict};

fn named(daemon_set: &str, mut verdict: NodeVerdict) -> NodeVerdict {
    daemon_set.clone_into(&mut verdict.daemon_set);
    verdict
}

fn fold(verdicts: &[NodeVerdict]) -> Fold<'_> {
    let pairs: Vec<_> = verdicts.iter().map(Pair::of_verdict).collect();
    Fold::new(&pairs)
}

fn members<'a>(groups: &[Group<'a>]) -> Vec<(&'a str, usize)> {
    let member = |group: &Group<'a>| (group.members.first, group.members.count);
    groups.iter().map(member).collect()
}

#[test]
fn condition_counts_its_daemon_sets_nodes_and_pairs() {
    let verdicts = [
        tainted("a", "n1", "gpu"),
        tainted("a", "n2", "gpu"),
        tainted("b", "n1", "gpu"),
        verdict("n3", Verdict::Exclude, &["wants disk=ssd", "wants disk=ssd"]),
    ];
    let fold = fold(&verdicts);
    let counts: Vec<_> = fold
        .conditions
        .iter()
        .map(|condition| {
            (
                condition.daemon_sets.count,
                condition.nodes.count,
                condition.pairs,
            )
        })
        .collect();
    assert_eq!(counts, [(2, 2, 3), (1, 1, 1)]);
    let [taint, selector] = fold.conditions.as_slice() else {
        panic!("{fold:?}");
    };
    assert_eq!(taint.verdict, Verdict::Keep);
    assert!(taint.admitted_by.is_some());
    assert!(selector.admitted_by.is_none());
}

#[test]
fn nodes_are_alike_only_if_every_daemon_set_has_the_same_reasons() {
    let run = |daemon_set, node| named(daemon_set, verdict(node, Verdict::Run, &["fits"]));
    let verdicts = [
        run("a", "n1"),
        run("a", "n2"),
        tainted("a", "n3", "gpu"),
        tainted("a", "n4", "gpu"),
        run("b", "n1"),
        run("b", "n2"),
        tainted("b", "n3", "gpu"),
        tainted("b", "n4", "dedicated"),
    ];
    let fold = fold(&verdicts);
    assert_eq!(members(&fold.nodes), [("n1", 2), ("n3", 1), ("n4", 1)]);
    assert_eq!(members(&fold.daemon_sets), [("a", 1), ("b", 1)]);
    let [first, ..] = fold.each_daemon_set.as_slice() else {
        panic!("{fold:?}");
    };
    assert_eq!((first.run, first.keep, first.exclude), (2, 2, 0));
}

#[test]
fn daemon_sets_are_alike_in_any_order_of_their_nodes() {
    let verdicts = [
        tainted("a", "n1", "gpu"),
        named("a", verdict("n2", Verdict::Run, &["fits"])),
        named("b", verdict("n2", Verdict::Run, &["fits"])),
        tainted("b", "n1", "gpu"),
    ];
    let fold = fold(&verdicts);
    assert_eq!(members(&fold.daemon_sets), [("a", 2)]);
    assert_eq!(members(&fold.each_daemon_set), [("a", 1), ("b", 1)]);
    let [kind] = fold.daemon_sets.as_slice() else {
        panic!("{fold:?}");
    };
    assert_eq!(kind.conditions, [(0, 1)]);
}

#[test]
fn waits_are_grouped_by_what_pods_wait_for() {
    let verdicts = ["n1", "n2"].map(|node| verdict(node, Verdict::Run, &["fits"]));
    let waits = ["agent-x isn't ready", "agent-y isn't ready"].map(|message| {
        vec![Wait {
            code: WaitCode::Readiness.into(),
            message: message.to_owned(),
            nodes: 1,
        }]
    });
    let pairs: Vec<_> = verdicts
        .iter()
        .zip(&waits)
        .map(|(found, waits)| Pair {
            found,
            pods: &[],
            waits,
        })
        .collect();
    let fold = Fold::new(&pairs);
    let [condition] = fold.conditions.as_slice() else {
        panic!("{fold:?}");
    };
    assert_eq!(condition.kind, ConditionKind::Wait(WaitCode::Readiness));
    assert_eq!((condition.verdict, condition.pairs), (Verdict::Run, 2));
}
