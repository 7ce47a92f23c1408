use super::surging;
use crate::{
    model::{DaemonSet, Pod},
    testing::{NOW, PodVariants, TestCell, check, keep, pod, run, seconds},
};

#[test]
fn n5_with_surge_the_old_pod_is_deleted_when_it_is_not_needed() {
    let waits = DaemonSet {
        min_ready_millis: 10_000,
        ..surging()
    };
    let old = || pod("p", "a").old();
    let new = || pod("q", "a").created_at(5);
    check(
        &surging(),
        &[run("a", [old(), new().unready()])],
        &[],
        "the new pod isn't available, the old pod is ready",
    );
    check(
        &surging(),
        &[run("a", [old(), new()])],
        &["delete p: Update"],
        "the new pod is available",
    );
    check(
        &surging(),
        &[run("a", [old().unready(), new().unready()])],
        &["delete p: Update"],
        "the old pod isn't ready",
    );
    let early = || new().ready_since(NOW - 9);
    check(
        &waits,
        &[run("a", [old(), early()])],
        &[],
        "the new pod has not been ready for minReadySeconds",
    );
    check(
        &waits,
        &[run("a", [old(), new().ready_since(NOW - 10)])],
        &["delete p: Update"],
        "the new pod has been ready for minReadySeconds",
    );
    check(
        &waits,
        &[keep("a", [old(), early()])],
        &[],
        "the same holds on a kept node",
    );
}

#[test]
fn n5_with_surge_the_oldest_of_each_revision_stays() {
    let pods = [
        pod("old-1", "a").old().created_at(1),
        pod("old-2", "a").old().created_at(2),
        pod("new-1", "a").created_at(3).unready(),
        pod("new-2", "a").created_at(4).unready(),
    ];
    check(
        &surging(),
        &[run("a", pods)],
        &["delete old-2: Excess", "delete new-2: Excess"],
        "two pods of each revision",
    );
    let same = [pod("p", "a").created_at(2), pod("q", "a").created_at(1)];
    check(
        &surging(),
        &[run("a", same)],
        &["delete p: Excess"],
        "two pods of the current revision",
    );
}

#[test]
fn n5_with_surge_only_a_pod_that_stays_blocks_a_new_one() {
    check(&surging(), &[run("a", [])], &["create a"], "none at all");
    check(
        &surging(),
        &[run("a", [pod("p", "a").deleting()])],
        &["create a"],
        "only a terminating pod",
    );
    let in_flight = TestCell {
        delete_in_flight: vec!["p"],
        ..run("a", [pod("p", "a")])
    };
    check(
        &surging(),
        &[in_flight],
        &["create a"],
        "only a pod whose deletion is in flight",
    );
    let creating = TestCell {
        create_in_flight: true,
        ..run("a", [pod("p", "a").deleting()])
    };
    check(&surging(), &[creating], &[], "the creation is in flight");
    check(
        &surging(),
        &[keep("a", [])],
        &[],
        "no pod is created on a kept node",
    );
}

#[test]
fn n5_with_surge_a_failed_pod_blocks_a_new_one_until_its_backoff_ends() {
    let failed = |pods: &[Pod], until| TestCell {
        backoff_until: Some(seconds(until)),
        ..run("a", pods.iter().cloned())
    };
    let alone = [pod("p", "a").failed()];
    check(
        &surging(),
        &[failed(&alone, NOW + 1)],
        &[],
        "alone, during the backoff",
    );
    check(
        &surging(),
        &[failed(&alone, NOW)],
        &["create a", "delete p: Failed"],
        "alone, after the backoff",
    );
    let beside = [pod("p", "a").old(), pod("q", "a").created_at(5).failed()];
    check(
        &surging(),
        &[failed(&beside, NOW + 1)],
        &[],
        "beside an old pod, during the backoff",
    );
    check(
        &surging(),
        &[failed(&beside, NOW)],
        &["delete q: Failed", "create a"],
        "beside an old pod, after the backoff",
    );
}
