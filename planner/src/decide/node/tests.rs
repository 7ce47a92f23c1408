mod surge;

use crate::{
    decide::cell::by_age,
    model::{Action, DaemonSet, Pod, Strategy},
    testing::{
        Decision, NOW, PodVariants, TestCell, check, daemon_set, decide, exclude, gone, keep, max_surge, pod,
        record, run, seconds, with_strategy,
    },
};

fn plain() -> DaemonSet {
    daemon_set()
}

fn surging() -> DaemonSet {
    with_strategy(max_surge(1))
}

#[test]
fn n1_node_without_a_pod_gets_one() {
    check(
        &plain(),
        &[run("a", []), run("b", [])],
        &["create a", "create b"],
        "both nodes should run a pod",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a")])],
        &[],
        "the node has its pod",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").unbound()])],
        &[],
        "the pod waits for the scheduler",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").unready()])],
        &[],
        "the pod may become ready",
    );
    check(
        &plain(),
        &[keep("a", []), exclude("b", []), gone("c", [])],
        &[],
        "no pod should run there",
    );
    let creating = TestCell {
        create_in_flight: true,
        ..run("a", [])
    };
    check(&plain(), &[creating], &[], "the creation is in flight");
}

#[test]
fn n1_terminating_pod_blocks_a_new_one_until_it_has_finished() {
    check(
        &plain(),
        &[run("a", [pod("p", "a").deleting()])],
        &[],
        "the pod is still running",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").unbound().deleting()])],
        &[],
        "the pod may still be bound",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").failed().deleting()])],
        &["create a"],
        "the pod has finished",
    );
    check(
        &plain(),
        &[run("a", [pod("p", "a").succeeded().deleting()])],
        &["create a"],
        "the pod has finished",
    );
    let both = [pod("p", "a").failed().deleting(), pod("q", "a").deleting()];
    check(
        &plain(),
        &[run("a", both)],
        &[],
        "one of the pods is still running",
    );
    let being_deleted = TestCell {
        delete_in_flight: vec!["p"],
        ..run("a", [pod("p", "a").failed()])
    };
    check(&plain(), &[being_deleted], &[], "the deletion is in flight");
}

#[test]
fn n1_new_pod_succeeds_the_youngest_known_pod() {
    #[track_caller]
    fn check(cell: &TestCell, expected: Option<&str>) {
        let decision = decide(&plain(), NOW, std::slice::from_ref(cell));
        let [
            Action::Create {
                node,
                revision,
                succeeds,
            },
        ] = decision.actions.as_slice()
        else {
            panic!("one creation was expected of {cell:?}: {:?}", decision.actions)
        };
        assert_eq!(
            (node.as_ref(), revision.as_ref(), succeeds.as_deref()),
            ("a", "new", expected)
        );
    }
    check(&run("a", []), None);
    let last = |at| Some((at, "last".into()));
    check(
        &TestCell {
            youngest_gone: last(0),
            ..run("a", [])
        },
        Some("last"),
    );
    let over = || {
        [
            pod("younger", "a").created_at(2).failed().deleting(),
            pod("older", "a").created_at(1).failed().deleting(),
        ]
    };
    check(&run("a", over()), Some("younger-uid"));
    check(
        &TestCell {
            youngest_gone: last(1),
            ..run("a", over())
        },
        Some("younger-uid"),
    );
    check(
        &TestCell {
            youngest_gone: last(3),
            ..run("a", over())
        },
        Some("last"),
    );
}

#[test]
fn n2_pods_are_deleted_on_excluded_nodes_and_stay_on_kept_nodes() {
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
        "all pods that aren't terminating are deleted",
    );
    check(&surging(), &[exclude("a", pods())], &expected, "with surge too");
    check(
        &plain(),
        &[keep("a", [pod("p", "a")])],
        &[],
        "an existing pod stays",
    );
    let in_flight = TestCell {
        delete_in_flight: vec!["p"],
        ..exclude("a", [pod("p", "a")])
    };
    check(&plain(), &[in_flight], &[], "the deletion is in flight");
}

#[test]
fn n3_failed_pod_is_deleted_when_its_backoff_ends() {
    let failed = |until: Option<i64>| TestCell {
        backoff_until: until.map(seconds),
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
        "the backoff is over",
    );
    check(
        &plain(),
        &[failed(Some(NOW + 1))],
        &[],
        "the backoff isn't over, and the failed pod blocks a new one",
    );
    let decision = decide(&plain(), NOW, &[failed(Some(NOW + 8)), failed(Some(NOW + 5))]);
    assert_eq!(
        decision.reconsider_at,
        Some(seconds(NOW + 5)),
        "the end of the first backoff"
    );
    let kept = TestCell {
        backoff_until: Some(seconds(NOW + 1)),
        ..keep("a", [pod("p", "a").failed()])
    };
    check(&plain(), &[kept], &[], "a kept node waits as well");
    let excluded = TestCell {
        backoff_until: Some(seconds(NOW + 1)),
        ..exclude("a", [pod("p", "a").failed()])
    };
    check(
        &plain(),
        &[excluded],
        &["delete p: Excluded"],
        "an excluded node needs no backoff",
    );
}

#[test]
fn n3_succeeded_pod_is_deleted_at_once() {
    let cell = TestCell {
        backoff_until: Some(seconds(NOW + 1)),
        ..run("a", [pod("p", "a").succeeded()])
    };
    check(
        &plain(),
        &[cell],
        &["delete p: Succeeded"],
        "a daemon should not succeed",
    );
    check(
        &plain(),
        &[keep("a", [pod("p", "a").succeeded()])],
        &["delete p: Succeeded"],
        "the same holds on a kept node",
    );
}

#[test]
fn n3_failed_pod_beside_a_live_pod_is_deleted_and_the_live_pod_stays() {
    let cell = run("a", [pod("p", "a").failed(), pod("q", "a").created_at(5)]);
    check(
        &plain(),
        &[cell],
        &["delete p: Failed"],
        "the failed pod is the older one",
    );
}

#[test]
fn n4_oldest_pod_stays() {
    #[track_caller]
    fn kept(pods: [Pod; 2], expected: &[&str]) {
        check(
            &plain(),
            &[run("a", pods.clone())],
            expected,
            "on a node that should run a pod",
        );
        check(
            &plain(),
            &[keep("a", pods)],
            expected,
            "on a node that may keep a pod",
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
    let namesake = |uid: &str| {
        record(&Pod {
            uid: uid.into(),
            ..pod("p", "a")
        })
    };
    assert!(
        by_age(&namesake("1"), &namesake("2")).is_lt(),
        "two pods of the same name"
    );
    let in_order = [
        pod("z", "a").created_at(1),
        pod("p", "a").created_at(2),
        pod("q", "a").created_at(2),
        pod("a", "a").created_at(0).unbound(),
    ]
    .map(|pod| record(&pod));
    assert!(in_order.is_sorted_by(|a, b| by_age(a, b).is_lt()));
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
            "the garbage collector deletes bound pods",
        );
    }
}

#[test]
fn p6_daemon_set_that_selects_everything_gets_no_actions() {
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
    assert_eq!(decision, Decision::default());
}
