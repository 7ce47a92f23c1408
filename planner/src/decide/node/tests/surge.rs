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
        "the new one isn't available, the old one is ready",
    );
    check(
        &surging(),
        &[run("a", [old(), new()])],
        &["delete p: Update"],
        "the new one is available",
    );
    check(
        &surging(),
        &[run("a", [old().unready(), new().unready()])],
        &["delete p: Update"],
        "the old one isn't ready",
    );
    let early = || new().ready_since(NOW - 9);
    check(
        &waits,
        &[run("a", [old(), early()])],
        &[],
        "the new one has not been ready for long enough",
    );
    check(
        &waits,
        &[run("a", [old(), new().ready_since(NOW - 10)])],
        &["delete p: Update"],
        "now it has",
    );
    check(
        &waits,
        &[keep("a", [old(), early()])],
        &[],
        "a kept node likewise",
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
        "two of each",
    );
    let same = [pod("p", "a").created_at(2), pod("q", "a").created_at(1)];
    check(
        &surging(),
        &[run("a", same)],
        &["delete p: Excess"],
        "two of the current revision",
    );
}

#[test]
fn n5_with_surge_only_a_pod_that_stays_blocks_a_new_one() {
    check(&surging(), &[run("a", [])], &["create a"], "none at all");
    check(
        &surging(),
        &[run("a", [pod("p", "a").deleting()])],
        &["create a"],
        "only a terminating one",
    );
    let in_flight = TestCell {
        delete_in_flight: vec!["p"],
        ..run("a", [pod("p", "a")])
    };
    check(
        &surging(),
        &[in_flight],
        &["create a"],
        "only one whose deletion is in flight",
    );
    let creating = TestCell {
        create_in_flight: true,
        ..run("a", [pod("p", "a").deleting()])
    };
    check(&surging(), &[creating], &[], "the next is on its way");
    check(&surging(), &[keep("a", [])], &[], "none should be created there");
}

#[test]
fn n5_with_surge_a_failed_pod_blocks_a_new_one_until_its_backoff_ends() {
    let failed = |pods: &[Pod], until| TestCell {
        backoff_until: Some(seconds(until)),
        ..run("a", pods.iter().cloned())
    };
    let alone = [pod("p", "a").failed()];
    check(&surging(), &[failed(&alone, NOW + 1)], &[], "alone, waiting");
    check(
        &surging(),
        &[failed(&alone, NOW)],
        &["create a", "delete p: Failed"],
        "alone, over",
    );
    let beside = [pod("p", "a").old(), pod("q", "a").created_at(5).failed()];
    check(
        &surging(),
        &[failed(&beside, NOW + 1)],
        &[],
        "beside an old one: no other is made meanwhile",
    );
    check(
        &surging(),
        &[failed(&beside, NOW)],
        &["delete q: Failed", "create a"],
        "beside an old one, over",
    );
}
