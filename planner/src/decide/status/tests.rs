use crate::{
    model::{DaemonSet, Pod, Status, Text},
    testing::{NOW, PodVariants, TestCell, daemon_set, decide, exclude, gone, keep, pod, run, seconds},
};

/// Checks the counters, in this order: desired, current, misscheduled, ready, updated, available, unavailable.
#[track_caller]
fn check(daemon_set: &DaemonSet, cells: &[TestCell], expected: [i32; 7], what: &str) {
    let status = decide(daemon_set, NOW, cells).status.unwrap();
    let Status {
        observed_generation,
        desired_number_scheduled,
        current_number_scheduled,
        number_misscheduled,
        number_ready,
        updated_number_scheduled,
        number_available,
        number_unavailable,
    } = status;
    assert_eq!(observed_generation, daemon_set.generation);
    let found = [
        desired_number_scheduled,
        current_number_scheduled,
        number_misscheduled,
        number_ready,
        updated_number_scheduled,
        number_available,
        number_unavailable,
    ];
    assert_eq!(found, expected, "{what}");
}

fn waiting(min_ready_seconds: i64) -> DaemonSet {
    DaemonSet {
        min_ready_millis: min_ready_seconds * 1_000,
        ..daemon_set()
    }
}

#[test]
fn s1_each_counter_counts_its_pods() {
    let plain = daemon_set();
    check(&plain, &[], [0; 7], "an empty cluster");
    check(
        &plain,
        &[run("a", [])],
        [1, 0, 0, 0, 0, 0, 1],
        "a node without a pod",
    );
    check(
        &plain,
        &[run("a", [pod("p", "a")])],
        [1, 1, 0, 1, 1, 1, 0],
        "a ready pod",
    );
    check(
        &plain,
        &[run("a", [pod("p", "a").unready()])],
        [1, 1, 0, 0, 1, 0, 1],
        "an unready pod",
    );
    check(
        &plain,
        &[run("a", [pod("p", "a").old()])],
        [1, 1, 0, 1, 0, 1, 0],
        "an old pod",
    );
    check(
        &plain,
        &[run("a", [pod("p", "a").deleting()])],
        [1, 1, 0, 1, 1, 1, 0],
        "a terminating pod is counted",
    );
    let over = [pod("p", "a").failed().deleting()];
    check(
        &plain,
        &[run("a", over)],
        [1, 0, 0, 0, 0, 0, 1],
        "a terminating pod that has finished is not counted",
    );
    check(
        &plain,
        &[run("a", [pod("p", "a").failed()])],
        [1, 1, 0, 0, 1, 0, 1],
        "a failed pod is counted",
    );
    check(
        &plain,
        &[keep("a", [pod("p", "a")])],
        [0, 0, 1, 0, 0, 0, 0],
        "a kept pod is misscheduled",
    );
    check(
        &plain,
        &[exclude("a", [pod("p", "a")])],
        [0, 0, 1, 0, 0, 0, 0],
        "an excluded pod is misscheduled",
    );
    check(
        &plain,
        &[keep("a", []), exclude("b", [])],
        [0; 7],
        "nodes that should have no pod and have none",
    );
    let all = [
        run("a", [pod("p", "a")]),
        run("b", []),
        keep("c", [pod("q", "c")]),
        run("d", [pod("r", "d").unready()]),
    ];
    check(&plain, &all, [3, 2, 1, 1, 2, 1, 2], "all together");
}

#[test]
fn s1_oldest_pod_of_a_node_is_counted() {
    let plain = daemon_set();
    let old_first = [
        pod("p", "a").old().created_at(1),
        pod("q", "a").created_at(2).unready(),
    ];
    check(
        &plain,
        &[run("a", old_first)],
        [1, 1, 0, 1, 0, 1, 0],
        "the old pod is the oldest",
    );
    let bound_first = [
        pod("p", "a").created_at(1).unbound(),
        pod("q", "a").created_at(2).old(),
    ];
    check(
        &plain,
        &[run("a", bound_first)],
        [1, 1, 0, 1, 0, 1, 0],
        "a bound pod is before an unbound one",
    );
    let over_first = [
        pod("p", "a").created_at(1).failed().deleting(),
        pod("q", "a").created_at(2),
    ];
    check(
        &plain,
        &[run("a", over_first)],
        [1, 1, 0, 1, 1, 1, 0],
        "a finished and terminating pod is not counted",
    );
}

#[test]
fn r1_pod_is_current_by_revision_or_by_template_generation() {
    let by_generation = |revision: &str, generation: Option<&str>| DaemonSet {
        update_revision: revision.into(),
        template_generation: generation.map(Text::from),
        ..daemon_set()
    };
    let labeled = |generation: &str| Pod {
        template_generation: generation.into(),
        ..pod("p", "a").old()
    };
    for (daemon_set, pod, updated) in [
        (by_generation("new", None), pod("p", "a"), 1),
        (by_generation("new", None), pod("p", "a").old(), 0),
        (by_generation("new", Some("3")), labeled("3"), 1),
        (by_generation("new", Some("3")), labeled("2"), 0),
        (by_generation("new", Some("3")), labeled(""), 0),
        (by_generation("new", None), labeled("3"), 0),
        (by_generation("", Some("3")), labeled("3"), 1),
        (by_generation("", Some("3")), pod("p", "a"), 0),
        (by_generation("", None), labeled("2"), 1),
    ] {
        let status = decide(&daemon_set, NOW, &[run("a", [pod.clone()])])
            .status
            .unwrap();
        assert_eq!(
            status.updated_number_scheduled, updated,
            "{pod:?} of {daemon_set:?}"
        );
    }
}

#[test]
fn h1_pod_of_a_duplicate_revision_is_current_while_the_revisions_are_merged() {
    let old = pod("p", "a").old();
    let merging = |equal: &[&str]| DaemonSet {
        equal_revisions: equal.iter().copied().map(Text::from).collect(),
        ..daemon_set()
    };
    let of_old = old.revision.to_string();
    for (daemon_set, updated) in [
        (merging(&[]), 0),
        (merging(&["another"]), 0),
        (merging(&["another", &of_old]), 1),
    ] {
        let decision = decide(&daemon_set, NOW, &[run("a", [old.clone()])]);
        let status = decision.status.unwrap();
        assert_eq!(status.updated_number_scheduled, updated, "{daemon_set:?}");
        assert_eq!(
            decision.actions.len(),
            usize::from(updated == 0),
            "{daemon_set:?}"
        );
    }
}

#[test]
fn n7_pods_of_a_node_that_is_gone_are_not_counted() {
    check(
        &daemon_set(),
        &[gone("a", [pod("p", "a"), pod("q", "a").unbound()])],
        [0; 7],
        "with pods",
    );
}

#[test]
fn s3_ready_pod_becomes_available_after_min_ready_seconds() {
    let ready_for = |seconds: i64| [run("a", [pod("p", "a").ready_since(NOW - seconds)])];
    check(&waiting(30), &ready_for(29), [1, 1, 0, 1, 1, 0, 1], "not yet");
    check(&waiting(30), &ready_for(30), [1, 1, 0, 1, 1, 1, 0], "now");
    let decision = decide(&waiting(30), NOW, &ready_for(20));
    assert_eq!(
        decision.reconsider_at,
        Some(seconds(NOW + 10)),
        "the pod becomes available then"
    );
    assert_eq!(
        decide(&waiting(30), NOW, &ready_for(30)).reconsider_at,
        None,
        "only a fact can change the decision"
    );
}

#[test]
fn s3_plan_is_reconsidered_when_the_first_pod_becomes_available() {
    let cells = [
        run("a", [pod("p", "a").ready_since(NOW - 10)]),
        keep("b", [pod("q", "b").ready_since(NOW - 20)]),
        exclude("c", [pod("r", "c").ready_since(NOW - 29)]),
        gone("d", [pod("s", "d").ready_since(NOW - 29)]),
        run("e", [pod("t", "e").unready()]),
    ];
    let at = decide(&waiting(30), NOW, &cells).reconsider_at;
    assert_eq!(
        at,
        Some(seconds(NOW + 10)),
        "availability doesn't matter where no pod may stay"
    );
}

#[test]
fn s3_clock_behind_the_kubelets_delays_availability_only_by_the_skew() {
    let from_the_future = [run("a", [pod("p", "a").ready_since(NOW + 5)])];
    check(
        &waiting(0),
        &from_the_future,
        [1, 1, 0, 1, 1, 1, 0],
        "without minReadySeconds a ready pod is available",
    );
    assert_eq!(decide(&waiting(0), NOW, &from_the_future).reconsider_at, None);
    check(
        &waiting(30),
        &from_the_future,
        [1, 1, 0, 1, 1, 0, 1],
        "with minReadySeconds, the skew delays availability",
    );
    assert_eq!(
        decide(&waiting(30), NOW, &from_the_future).reconsider_at,
        Some(seconds(NOW + 35))
    );
    let later = decide(&waiting(30), NOW + 35, &from_the_future).status.unwrap();
    assert_eq!(later.number_available, 1, "the pod is available after the skew");
}
