use crate::{
    decide::by_age,
    model::{Action, DaemonSet, Pod, Strategy},
    testing::{
        NOW, Square, Tweak, check, daemon_set, decide, exclude, gone, keep, max_surge, pod, run, seconds,
        with_strategy,
    },
};

fn plain() -> DaemonSet {
    daemon_set()
}

fn surging() -> DaemonSet {
    with_strategy(max_surge(1))
}

#[test]
fn n1_a_node_without_a_pod_gets_one() {
    check(
        &plain(),
        &[run("a", []), run("b", [])],
        &["create a", "create b"],
        "both nodes should run one",
    );
    check(&plain(), &[run("a", [pod("p", "a")])], &[], "it is there");
    check(
        &plain(),
        &[run("a", [pod("p", "a").unbound()])],
        &[],
        "it is there and waits for the scheduler",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").unready()])],
        &[],
        "it is there and may yet become ready",
    );
    check(
        &plain(),
        &[keep("a", []), exclude("b", []), gone("c", [])],
        &[],
        "none should run there",
    );
    let creating = Square {
        creating: true,
        ..run("a", [])
    };
    check(&plain(), &[creating], &[], "it is on its way");
}

#[test]
fn n1_a_terminating_pod_counts_as_there_until_it_is_over() {
    check(
        &plain(),
        &[run("a", [pod("p", "a").deleting()])],
        &[],
        "it still runs",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").unbound().deleting()])],
        &[],
        "it may still be bound",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").failed().deleting()])],
        &["create a"],
        "it is over",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").succeeded().deleting()])],
        &["create a"],
        "it is over",
    );
    let both = [pod("p", "a").failed().deleting(), pod("q", "a").deleting()];
    check(&plain(), &[run("a", both)], &[], "one of them still runs");
    let being_deleted = Square {
        delete_in_flight: vec!["p"],
        ..run("a", [pod("p", "a").failed()])
    };
    check(
        &plain(),
        &[being_deleted],
        &[],
        "whether it is deleted isn't known yet",
    );
}

#[test]
fn n1_a_new_pod_succeeds_the_youngest_known() {
    #[track_caller]
    fn check(square: Square, expected: Option<&str>) {
        let decision = decide(&plain(), NOW, std::slice::from_ref(&square));
        let [
            Action::Create {
                node,
                revision,
                succeeds,
            },
        ] = decision.actions.as_slice()
        else {
            panic!("one creation was expected of {square:?}: {:?}", decision.actions)
        };
        assert_eq!(
            (node.as_ref(), revision.as_ref(), succeeds.as_deref()),
            ("a", "new", expected)
        );
    }
    check(run("a", []), None);
    check(
        Square {
            last_uid: Some("last".into()),
            ..run("a", [])
        },
        Some("last"),
    );
    let over = [
        pod("younger", "a").created_at(2).failed().deleting(),
        pod("older", "a").created_at(1).failed().deleting(),
    ];
    check(
        Square {
            last_uid: Some("last".into()),
            ..run("a", over)
        },
        Some("younger-uid"),
    );
}

#[test]
fn n2_pods_leave_an_excluded_node_but_not_a_kept_one() {
    let pods = || {
        [
            pod("p", "a"),
            pod("q", "a").unready(),
            pod("r", "a").deleting(),
            pod("s", "a").failed(),
        ]
    };
    let expected = ["delete p: Excluded", "delete q: Excluded", "delete s: Excluded"];
    check(
        &plain(),
        &[exclude("a", pods())],
        &expected,
        "all that aren't terminating go",
    );
    check(&surging(), &[exclude("a", pods())], &expected, "with surge too");
    check(
        &plain(),
        &[keep("a", [pod("p", "a")])],
        &[],
        "what is there stays",
    );
    let asked = Square {
        delete_in_flight: vec!["p"],
        ..exclude("a", [pod("p", "a")])
    };
    check(&plain(), &[asked], &[], "its deletion is in flight");
}

#[test]
fn n3_a_failed_pod_is_deleted_once_its_backoff_is_over() {
    let failed = |until: Option<i64>| Square {
        failed_until: until.map(seconds),
        ..run("a", [pod("p", "a").failed()])
    };
    check(
        &plain(),
        &[failed(None)],
        &["delete p: Failed"],
        "the first failure",
    );
    check(
        &plain(),
        &[failed(Some(NOW))],
        &["delete p: Failed"],
        "the wait is over",
    );
    check(
        &plain(),
        &[failed(Some(NOW + 1))],
        &[],
        "the wait isn't over, and the pod still holds its place",
    );
    let decision = decide(&plain(), NOW, &[failed(Some(NOW + 8)), failed(Some(NOW + 5))]);
    assert_eq!(
        decision.reconsider_at,
        Some(seconds(NOW + 5)),
        "the first wait to end"
    );
    let kept = Square {
        failed_until: Some(seconds(NOW + 1)),
        ..keep("a", [pod("p", "a").failed()])
    };
    check(&plain(), &[kept], &[], "a kept node waits as well");
    let excluded = Square {
        failed_until: Some(seconds(NOW + 1)),
        ..exclude("a", [pod("p", "a").failed()])
    };
    check(
        &plain(),
        &[excluded],
        &["delete p: Excluded"],
        "where none should be there is nothing to wait for",
    );
}

#[test]
fn n3_a_succeeded_pod_is_deleted_at_once() {
    let square = Square {
        failed_until: Some(seconds(NOW + 1)),
        ..run("a", [pod("p", "a").succeeded()])
    };
    check(
        &plain(),
        &[square],
        &["delete p: Succeeded"],
        "daemons don't succeed",
    );
    check(
        &plain(),
        &[keep("a", [pod("p", "a").succeeded()])],
        &["delete p: Succeeded"],
        "nor on a kept node",
    );
}

#[test]
fn n3_a_failed_pod_beside_a_live_one_goes_and_the_live_one_stays() {
    let square = run("a", [pod("p", "a").failed(), pod("q", "a").created_at(5)]);
    check(
        &plain(),
        &[square],
        &["delete p: Failed"],
        "the failed one is the older",
    );
}

#[test]
fn n4_the_oldest_pod_stays() {
    #[track_caller]
    fn kept(pods: [Pod; 2], expected: &[&str]) {
        check(
            &plain(),
            &[run("a", pods.clone())],
            expected,
            "on a node that should run one",
        );
        check(
            &plain(),
            &[keep("a", pods)],
            expected,
            "on a node that keeps what it has",
        );
    }
    kept(
        [pod("p", "a").created_at(1), pod("q", "a").created_at(2)],
        &["delete q: Excess"],
    );
    kept(
        [pod("p", "a").created_at(2), pod("q", "a").created_at(1)],
        &["delete p: Excess"],
    );
    kept([pod("q", "a"), pod("p", "a")], &["delete q: Excess"]);
    kept(
        [pod("p", "a").created_at(1).unbound(), pod("q", "a").created_at(2)],
        &["delete p: Excess"],
    );
    kept(
        [
            pod("p", "a").created_at(1).deleting(),
            pod("q", "a").created_at(2),
        ],
        &[],
    );
    kept(
        [pod("p", "a").created_at(1).unready(), pod("q", "a").created_at(2)],
        &["delete q: Excess"],
    );
}

#[test]
fn n4_age_is_a_total_order() {
    let twin = |uid: &str| Pod {
        uid: uid.into(),
        ..pod("p", "a")
    };
    assert!(by_age(&twin("1"), &twin("2")).is_lt(), "a pod and its namesake");
    let in_order = [
        pod("z", "a").created_at(1),
        pod("p", "a").created_at(2),
        pod("q", "a").created_at(2),
        pod("a", "a").created_at(0).unbound(),
    ];
    assert!(in_order.is_sorted_by(|a, b| by_age(a, b).is_lt()));
}

#[test]
fn n5_with_surge_the_old_pod_goes_when_it_isnt_needed() {
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
fn n5_with_surge_only_a_pod_that_stays_counts_as_there() {
    check(&surging(), &[run("a", [])], &["create a"], "none at all");
    check(
        &surging(),
        &[run("a", [pod("p", "a").deleting()])],
        &["create a"],
        "only a terminating one",
    );
    let asked = Square {
        delete_in_flight: vec!["p"],
        ..run("a", [pod("p", "a")])
    };
    check(
        &surging(),
        &[asked],
        &["create a"],
        "only one whose deletion is in flight",
    );
    let creating = Square {
        creating: true,
        ..run("a", [pod("p", "a").deleting()])
    };
    check(&surging(), &[creating], &[], "the next is on its way");
    check(&surging(), &[keep("a", [])], &[], "none should be created there");
}

#[test]
fn n5_with_surge_a_failed_pod_holds_its_place_until_its_backoff_is_over() {
    let failed = |pods: &[Pod], until| Square {
        failed_until: Some(seconds(until)),
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

#[test]
fn n6_unbound_pods_of_a_node_that_is_gone_are_deleted() {
    let pods = [
        pod("bound", "a"),
        pod("unbound", "a").unbound(),
        pod("leaving", "a").unbound().deleting(),
    ];
    for strategy in [plain().strategy, surging().strategy, Strategy::OnDelete] {
        let daemon_set = with_strategy(strategy);
        check(
            &daemon_set,
            &[gone("a", pods.clone())],
            &["delete unbound: NodeGone"],
            "bound ones are collected",
        );
    }
}

#[test]
fn p6_a_daemon_set_that_selects_everything_is_left_alone() {
    let all = DaemonSet {
        selects_everything: true,
        ..plain()
    };
    let decision = decide(
        &all,
        NOW,
        &[
            exclude("a", [pod("p", "a")]),
            gone("b", [pod("q", "b").unbound()]),
        ],
    );
    assert_eq!(decision, crate::model::Decision::default());
}
