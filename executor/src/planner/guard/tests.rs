use everynode_proto::planner::v1::CreatePod;
use serde_json::{Value, json};

use super::*;
use crate::{
    apiserver::watch::{Change, Event},
    testing::{agent, agent_with, node, orphan_json, owned_by, pod_json, read, with},
};

/// A cluster with the agent, the nodes n1 and n2, and these pods.
fn cluster(pods: &[Value]) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.apply(Change::DaemonSet(Event::Changed(agent())));
    for name in ["n1", "n2"] {
        cluster.apply(Change::Node(Event::Changed(node(name))));
    }
    for pod in pods {
        saw(&mut cluster, pod);
    }
    cluster
}

fn saw(cluster: &mut Cluster, pod: &Value) {
    cluster.apply(Change::Pod(Event::Changed(read(pod))));
}

fn owner(cluster: &Cluster) -> Owner {
    cluster.daemon_set("ds-1").unwrap().owner().clone()
}

fn judge_deletion(cluster: &Cluster, pod: &str, uid: &str) -> Verdict {
    let action = DeletePod {
        pod: pod.to_owned(),
        uid: uid.to_owned(),
        ..DeletePod::default()
    };
    deletion(cluster, &owner(cluster), &action)
}

const FOREIGN: Verdict = Verdict::Violation(Violation::ForeignPod);
const TOO_MANY: Verdict = Verdict::Violation(Violation::TooManyPods);

#[test]
fn only_pods_of_the_daemon_set_are_deleted_and_only_by_their_names() {
    let other = |name: &str, metadata: Value| with(pod_json(name, 3), json!({"metadata": metadata}));
    let mut renamed = owned_by("ds-1");
    renamed[0]["name"] = json!("other");
    let cluster = cluster(&[
        pod_json("p1", 3),
        orphan_json("orphan", 3),
        other("tenants", json!({"namespace": "tenant"})),
        other("others", json!({"ownerReferences": owned_by("ds-2")})),
        other("renamed", json!({"ownerReferences": renamed})),
    ]);
    assert_eq!(judge_deletion(&cluster, "p1", "uid of p1"), Verdict::Allowed);
    assert_eq!(judge_deletion(&cluster, "p2", "uid of p2"), Verdict::Needless);
    for pod in ["orphan", "tenants", "others", "renamed"] {
        assert_eq!(
            judge_deletion(&cluster, pod, &format!("uid of {pod}")),
            FOREIGN,
            "{pod}"
        );
    }
    for name in ["", "orphan", "p1?gracePeriodSeconds=0", "../p1"] {
        assert_eq!(judge_deletion(&cluster, name, "uid of p1"), FOREIGN, "{name}");
    }
}

#[test]
fn the_deletion_of_a_pod_that_has_just_left_its_daemon_set_is_needless() {
    let mut cluster = cluster(&[pod_json("p1", 3)]);
    cluster.pods_mut().announce("uid of p1", true);
    saw(&mut cluster, &orphan_json("p1", 4));
    assert_eq!(judge_deletion(&cluster, "p1", "uid of p1"), Verdict::Needless);
    cluster.touch_all();
    assert_eq!(
        judge_deletion(&cluster, "p1", "uid of p1"),
        FOREIGN,
        "a new planner never knew it as the DaemonSet's"
    );
}

/// The verdict on a creation on n1.
fn judge(outstanding: &mut Outstanding, cluster: &Cluster, daemon_set: &DaemonSet) -> Verdict {
    outstanding.creation(cluster, &owner(cluster), daemon_set, "n1")
}

fn with_surge(surge: Value) -> DaemonSet {
    let mut strategy = json!({"spec": {"updateStrategy": {"rollingUpdate": {}}}});
    strategy["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] = surge;
    agent_with(strategy)
}

#[test]
fn a_daemon_set_gets_one_pod_a_node_and_two_with_surge() {
    for (daemon_set, most) in [
        (agent(), 1),
        (with_surge(json!(0)), 1),
        (with_surge(json!("0%")), 1),
        (with_surge(json!(1)), 2),
        (with_surge(json!("10%")), 2),
    ] {
        let mut pods = Vec::new();
        for count in 0..4 {
            let cluster = cluster(&pods);
            let verdict = judge(&mut Outstanding::default(), &cluster, &daemon_set);
            assert_eq!(
                verdict == Verdict::Allowed,
                count < most,
                "{count} of {most}: {verdict:?}"
            );
            pods.push(pod_json(&format!("p{count}"), 3));
        }
    }
}

#[test]
fn creations_in_progress_count_as_pods() {
    let cluster = cluster(&[]);
    for (daemon_set, most) in [(agent(), 1), (with_surge(json!(1)), 2)] {
        let mut outstanding = Outstanding::default();
        for _ in 0..most {
            assert_eq!(judge(&mut outstanding, &cluster, &daemon_set), Verdict::Allowed);
            outstanding.creation_begins("n1");
        }
        assert_eq!(judge(&mut outstanding, &cluster, &daemon_set), TOO_MANY);
        let elsewhere = outstanding.creation(&cluster, &owner(&cluster), &daemon_set, "n2");
        assert_eq!(elsewhere, Verdict::Allowed);
        outstanding.forget_planner();
        assert_eq!(
            judge(&mut outstanding, &cluster, &daemon_set),
            TOO_MANY,
            "what the planner before has begun goes on"
        );
        outstanding.creation_ended("n1");
        assert_eq!(judge(&mut outstanding, &cluster, &daemon_set), Verdict::Allowed);
    }
}

#[test]
fn pods_that_are_over_or_terminating_or_elsewhere_or_anothers_make_room() {
    let made = |name: &str, change: Value| with(pod_json(name, 3), change);
    let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let cluster = cluster(&[
        made("p1", json!({"status": {"phase": "Failed"}})),
        made("p2", json!({"status": {"phase": "Succeeded"}})),
        made("p3", deleting),
        made("p4", json!({"spec": {"nodeName": "n2"}})),
        made("p5", json!({"metadata": {"namespace": "tenant"}})),
        made("p6", json!({"metadata": {"ownerReferences": owned_by("ds-2")}})),
        orphan_json("p7", 3),
    ]);
    let verdict = judge(&mut Outstanding::default(), &cluster, &agent());
    assert_eq!(verdict, Verdict::Allowed);
}

#[test]
fn a_creation_that_a_pod_has_overtaken_is_needless_once_and_asked_for_again_a_violation() {
    let mut outstanding = Outstanding::default();
    let mut cluster = cluster(&[pod_json("p1", 3)]);
    assert_eq!(judge(&mut outstanding, &cluster, &agent()), Verdict::Needless);
    assert_eq!(judge(&mut outstanding, &cluster, &agent()), TOO_MANY);
    cluster.apply(Change::Pod(Event::Gone(read(&pod_json("p1", 4)))));
    assert_eq!(judge(&mut outstanding, &cluster, &agent()), Verdict::Allowed);
    saw(&mut cluster, &pod_json("p2", 5));
    assert_eq!(
        judge(&mut outstanding, &cluster, &agent()),
        Verdict::Needless,
        "it is another pod's turn"
    );
}

fn asking_for(ids: impl IntoIterator<Item = u64>) -> Plan {
    let action = |id| Action {
        id,
        action: Some(Kind::Create(CreatePod::default())),
    };
    Plan {
        actions: ids.into_iter().map(action).collect(),
        ..Plan::default()
    }
}

#[test]
fn plans_hold_no_more_actions_than_the_cluster_has_a_use_for() {
    let cluster = cluster(&[pod_json("p1", 3)]);
    let entry = cluster.daemon_set("ds-1").unwrap();
    let most = 2 * 2 + 1 + 1_000;
    let mut outstanding = Outstanding::default();
    outstanding
        .take(&cluster, entry, &asking_for(1..=most - 5))
        .unwrap();
    outstanding
        .take(&cluster, entry, &asking_for(most - 4..=most))
        .unwrap();
    assert_eq!(
        outstanding.take(&cluster, entry, &asking_for([most + 1])),
        Err(Violation::Bounds)
    );
    outstanding.ended(1);
    outstanding
        .take(&cluster, entry, &asking_for([most + 1]))
        .unwrap();
    outstanding.forget_planner();
    outstanding.take(&cluster, entry, &asking_for(1..=most)).unwrap();
    assert_eq!(
        unread(&cluster, &asking_for(1..=most + 1), 0),
        Err(Violation::Bounds)
    );
    unread(&cluster, &asking_for(1..=most), 1_000_000).unwrap();
    assert_eq!(
        unread(&cluster, &asking_for([]), 1_000_001),
        Err(Violation::Bounds)
    );
}

#[test]
fn actions_that_wait_are_not_too_many_because_nodes_have_gone() {
    let mut cluster = cluster(&[]);
    for number in 0..2_000 {
        cluster.apply(Change::Node(Event::Changed(node(&format!("m{number}")))));
    }
    let mut outstanding = Outstanding::default();
    let entry = cluster.daemon_set("ds-1").unwrap();
    outstanding.take(&cluster, entry, &asking_for(1..=2_000)).unwrap();
    for number in 0..2_000 {
        cluster.apply(Change::Node(Event::Gone(node(&format!("m{number}")))));
    }
    let entry = cluster.daemon_set("ds-1").unwrap();
    outstanding
        .take(&cluster, entry, &asking_for(2_001..=2_010))
        .unwrap();
}

#[test]
fn no_two_actions_have_the_same_id() {
    let cluster = cluster(&[]);
    let entry = cluster.daemon_set("ds-1").unwrap();
    let take = |outstanding: &mut Outstanding, plan| outstanding.take(&cluster, entry, &plan);
    let mut outstanding = Outstanding::default();
    assert_eq!(
        take(&mut outstanding, asking_for([1, 2, 1])),
        Err(Violation::Bounds)
    );
    let mut outstanding = Outstanding::default();
    take(&mut outstanding, asking_for([1])).unwrap();
    assert_eq!(take(&mut outstanding, asking_for([1])), Err(Violation::Bounds));
}

#[test]
fn no_text_in_an_action_is_longer_than_a_name() {
    let cluster = cluster(&[]);
    let entry = cluster.daemon_set("ds-1").unwrap();
    let long = || "x".repeat(254);
    let actions = [
        Kind::Create(CreatePod {
            node: long(),
            ..CreatePod::default()
        }),
        Kind::Create(CreatePod {
            succeeds_uid: long(),
            ..CreatePod::default()
        }),
        Kind::Delete(DeletePod {
            uid: long(),
            ..DeletePod::default()
        }),
    ];
    for action in actions {
        let mut plan = asking_for([1]);
        plan.actions[0].action = Some(action);
        let taken = Outstanding::default().take(&cluster, entry, &plan);
        assert_eq!(taken, Err(Violation::Bounds), "{plan:?}");
    }
    let plan = Plan {
        daemon_set: "x".repeat(1_000),
        ..Plan::default()
    };
    assert_eq!(unread(&cluster, &plan, 0), Err(Violation::Bounds));
}

fn condition(kind: &str, reason: &str, message: &str) -> DaemonSetCondition {
    DaemonSetCondition {
        r#type: kind.to_owned(),
        status: true,
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

#[test]
fn a_plan_tells_the_availability_of_the_daemon_sets_own_pods_and_each_once() {
    let foreign = with(
        pod_json("p2", 3),
        json!({"metadata": {"ownerReferences": owned_by("ds-2")}}),
    );
    let cluster = cluster(&[
        pod_json("p1", 3),
        foreign,
        orphan_json("p3", 3),
        pod_json("p4", 3),
    ]);
    let change = |pod: &str| PodAvailability {
        uid: format!("uid of {pod}"),
        available_at: None,
    };
    let owner = cluster.daemon_set("ds-1").unwrap().owner();
    let mut changes = vec![
        change("p1"),
        change("p2"),
        change("p3"),
        change("gone"),
        change("p4"),
    ];
    changes.extend((0..1_000).map(|_| change("p1")));
    let mut given = changes.clone();
    availability(&cluster, Some(owner), &mut given);
    assert_eq!(given, [change("p1"), change("p4")]);
    availability(&cluster, None, &mut changes);
    assert_eq!(changes, []);
}

#[test]
fn a_plan_sets_only_its_own_conditions_and_each_once() {
    let mut given = vec![
        condition("Available", "First", ""),
        condition("Degraded", "Foreign", ""),
        condition("example.com/Mine", "Foreign", ""),
        condition("", "Foreign", ""),
        condition("Available", "Second", ""),
        condition("Progressing", "Third", ""),
    ];
    assert_eq!(conditions(&mut given), 4);
    let left: Vec<_> = given.iter().map(|condition| condition.reason.as_str()).collect();
    assert_eq!(left, ["First", "Third"]);
}

#[test]
fn conditions_have_reasons_that_the_api_takes_and_messages_that_it_stores() {
    let longest = "a".repeat(1_024);
    for reason in ["A", "Rollout_In:Progress,1", "x9", longest.as_str()] {
        assert!(is_reason(reason), "{reason}");
    }
    let too_long = "a".repeat(1_025);
    for reason in [
        "",
        "1a",
        "_a",
        "a:",
        "a,",
        "a b",
        "a-b",
        "ä",
        "a\n",
        too_long.as_str(),
    ] {
        let mut given = vec![condition("Available", reason, "")];
        assert_eq!(conditions(&mut given), 1, "{reason}");
    }
    let mut given = vec![condition("Available", "A", &format!("a{}", "ä".repeat(20_000)))];
    assert_eq!(conditions(&mut given), 0);
    assert_eq!(given[0].message.len(), 32_767, "it is cut between characters");
}

#[test]
fn pods_tolerate_only_taints_of_node_conditions_beside_what_their_template_says() {
    let toleration = |key: &str, operator: &str, value: &str, effect: &str| Toleration {
        key: key.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
        effect: effect.to_owned(),
    };
    let key = "node.kubernetes.io/disk-pressure";
    let allowed = [
        toleration(key, "Exists", "", "NoSchedule"),
        toleration("node.kubernetes.io/not-ready", "Exists", "", "NoExecute"),
    ];
    let refused = [
        toleration("", "Exists", "", ""),
        toleration("", "Exists", "", "NoSchedule"),
        toleration("node.kubernetes.io/", "Exists", "", "NoSchedule"),
        toleration(
            "node-role.kubernetes.io/control-plane",
            "Exists",
            "",
            "NoSchedule",
        ),
        toleration(key, "Equal", "", "NoSchedule"),
        toleration(key, "", "", "NoSchedule"),
        toleration(key, "Exists", "x", "NoSchedule"),
        toleration(key, "Exists", "", ""),
        toleration(key, "Exists", "", "PreferNoSchedule"),
    ];
    let mut added = [allowed.to_vec(), refused.to_vec()].concat();
    assert_eq!(tolerations(&mut added), refused.len());
    assert_eq!(added, allowed);
}

#[test]
fn a_plan_has_few_problems_and_short_ones() {
    let mut given = vec![
        Problem {
            object: "o".repeat(2_000),
            field: "f".repeat(2_000),
            message: "m".repeat(2_000),
            ..Problem::default()
        };
        100
    ];
    problems(&mut given);
    assert_eq!(given.len(), MAX_PROBLEMS);
    for Problem {
        object,
        field,
        message,
        ..
    } in &given
    {
        assert!([object, field, message].iter().all(|text| text.len() <= 1_024));
    }
}

#[test]
fn of_the_violations_of_a_minute_the_first_is_logged_and_the_others_are_counted() {
    let mut outstanding = Outstanding::default();
    let begun = Instant::now();
    assert_eq!(outstanding.note(begun), Some(0));
    for _ in 0..7 {
        assert_eq!(outstanding.note(begun + Duration::from_secs(59)), None);
    }
    assert_eq!(outstanding.note(begun + LOG_INTERVAL), Some(7));
}
