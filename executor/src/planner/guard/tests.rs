mod sanitizing;

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
        apply_pod(&mut cluster, pod);
    }
    cluster
}

fn apply_pod(cluster: &mut Cluster, pod: &Value) {
    cluster.apply(Change::Pod(Event::Changed(read(pod))));
}

fn owner(cluster: &Cluster) -> Owner {
    cluster.daemon_set("ds-1").unwrap().owner().clone()
}

fn deletion_verdict(cluster: &Cluster, pod: &str, uid: &str) -> Verdict {
    let action = DeletePod {
        pod: pod.to_owned(),
        uid: uid.to_owned(),
        ..DeletePod::default()
    };
    judge_deletion(cluster, &owner(cluster), &action)
}

const FOREIGN: Verdict = Verdict::Violation(Violation::ForeignPod);
const TOO_MANY: Verdict = Verdict::Violation(Violation::TooManyPods);

#[test]
fn only_pods_of_the_daemon_set_are_deleted_and_only_by_name() {
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
    assert_eq!(deletion_verdict(&cluster, "p1", "uid of p1"), Verdict::Allowed);
    assert_eq!(deletion_verdict(&cluster, "p2", "uid of p2"), Verdict::Obsolete);
    for pod in ["orphan", "tenants", "others", "renamed"] {
        assert_eq!(
            deletion_verdict(&cluster, pod, &format!("uid of {pod}")),
            FOREIGN,
            "{pod}"
        );
    }
    for name in ["", "orphan", "p1?gracePeriodSeconds=0", "../p1"] {
        assert_eq!(deletion_verdict(&cluster, name, "uid of p1"), FOREIGN, "{name}");
    }
}

#[test]
fn deletion_of_a_pod_that_has_just_left_its_daemon_set_is_obsolete() {
    let mut cluster = cluster(&[pod_json("p1", 3)]);
    cluster.pods_mut().set_announced("uid of p1", true);
    apply_pod(&mut cluster, &orphan_json("p1", 4));
    assert_eq!(deletion_verdict(&cluster, "p1", "uid of p1"), Verdict::Obsolete);
    cluster.touch_all();
    assert_eq!(
        deletion_verdict(&cluster, "p1", "uid of p1"),
        FOREIGN,
        "the new planner was never sent the pod"
    );
}

/// The verdict on a creation on n1.
fn creation_verdict(outstanding: &mut Outstanding, cluster: &Cluster, daemon_set: &DaemonSet) -> Verdict {
    outstanding.judge_creation(cluster, &owner(cluster), daemon_set, "n1")
}

fn with_surge(surge: Value) -> DaemonSet {
    let mut strategy = json!({"spec": {"updateStrategy": {"rollingUpdate": {}}}});
    strategy["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] = surge;
    agent_with(strategy)
}

#[test]
fn daemon_set_may_have_one_pod_per_node_or_two_with_surge() {
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
            let verdict = creation_verdict(&mut Outstanding::default(), &cluster, &daemon_set);
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
            assert_eq!(
                creation_verdict(&mut outstanding, &cluster, &daemon_set),
                Verdict::Allowed
            );
            outstanding.on_creation_started("n1");
        }
        assert_eq!(
            creation_verdict(&mut outstanding, &cluster, &daemon_set),
            TOO_MANY
        );
        let elsewhere = outstanding.judge_creation(&cluster, &owner(&cluster), &daemon_set, "n2");
        assert_eq!(elsewhere, Verdict::Allowed);
        outstanding.forget_planner();
        assert_eq!(
            creation_verdict(&mut outstanding, &cluster, &daemon_set),
            TOO_MANY,
            "creations of the previous planner continue"
        );
        outstanding.on_creation_ended("n1");
        assert_eq!(
            creation_verdict(&mut outstanding, &cluster, &daemon_set),
            Verdict::Allowed
        );
    }
}

#[test]
fn finished_terminating_and_foreign_pods_leave_room_for_a_creation() {
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
    let verdict = creation_verdict(&mut Outstanding::default(), &cluster, &agent());
    assert_eq!(verdict, Verdict::Allowed);
}

#[test]
fn creation_for_an_occupied_node_is_obsolete_once_and_then_a_violation() {
    let mut outstanding = Outstanding::default();
    let mut cluster = cluster(&[pod_json("p1", 3)]);
    assert_eq!(
        creation_verdict(&mut outstanding, &cluster, &agent()),
        Verdict::Obsolete
    );
    assert_eq!(creation_verdict(&mut outstanding, &cluster, &agent()), TOO_MANY);
    cluster.apply(Change::Pod(Event::Gone(read(&pod_json("p1", 4)))));
    assert_eq!(
        creation_verdict(&mut outstanding, &cluster, &agent()),
        Verdict::Allowed
    );
    apply_pod(&mut cluster, &pod_json("p2", 5));
    assert_eq!(
        creation_verdict(&mut outstanding, &cluster, &agent()),
        Verdict::Obsolete,
        "another pod occupies the node"
    );
}

fn plan_with_ids(ids: impl IntoIterator<Item = u64>) -> Plan {
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
fn plan_with_too_many_actions_exceeds_bounds() {
    let cluster = cluster(&[pod_json("p1", 3)]);
    let entry = cluster.daemon_set("ds-1").unwrap();
    let most = 2 * 2 + 1 + 1_000;
    let mut outstanding = Outstanding::default();
    outstanding
        .add_plan(&cluster, entry, &plan_with_ids(1..=most - 5))
        .unwrap();
    outstanding
        .add_plan(&cluster, entry, &plan_with_ids(most - 4..=most))
        .unwrap();
    assert_eq!(
        outstanding.add_plan(&cluster, entry, &plan_with_ids([most + 1])),
        Err(Violation::Bounds)
    );
    outstanding.on_action_ended(1);
    outstanding
        .add_plan(&cluster, entry, &plan_with_ids([most + 1]))
        .unwrap();
    outstanding.forget_planner();
    outstanding
        .add_plan(&cluster, entry, &plan_with_ids(1..=most))
        .unwrap();
    assert_eq!(
        check_size(&cluster, &plan_with_ids(1..=most + 1), 0),
        Err(Violation::Bounds)
    );
    check_size(&cluster, &plan_with_ids(1..=most), 1_000_000).unwrap();
    assert_eq!(
        check_size(&cluster, &plan_with_ids([]), 1_000_001),
        Err(Violation::Bounds)
    );
}

#[test]
fn outstanding_actions_stay_within_limits_when_nodes_are_removed() {
    let mut cluster = cluster(&[]);
    for number in 0..2_000 {
        cluster.apply(Change::Node(Event::Changed(node(&format!("m{number}")))));
    }
    let mut outstanding = Outstanding::default();
    let entry = cluster.daemon_set("ds-1").unwrap();
    outstanding
        .add_plan(&cluster, entry, &plan_with_ids(1..=2_000))
        .unwrap();
    for number in 0..2_000 {
        cluster.apply(Change::Node(Event::Gone(node(&format!("m{number}")))));
    }
    let entry = cluster.daemon_set("ds-1").unwrap();
    outstanding
        .add_plan(&cluster, entry, &plan_with_ids(2_001..=2_010))
        .unwrap();
}

#[test]
fn duplicate_action_id_exceeds_bounds() {
    let cluster = cluster(&[]);
    let entry = cluster.daemon_set("ds-1").unwrap();
    let take = |outstanding: &mut Outstanding, plan| outstanding.add_plan(&cluster, entry, &plan);
    let mut outstanding = Outstanding::default();
    assert_eq!(
        take(&mut outstanding, plan_with_ids([1, 2, 1])),
        Err(Violation::Bounds)
    );
    let mut outstanding = Outstanding::default();
    take(&mut outstanding, plan_with_ids([1])).unwrap();
    assert_eq!(take(&mut outstanding, plan_with_ids([1])), Err(Violation::Bounds));
}

#[test]
fn plan_with_an_overlong_text_exceeds_bounds() {
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
        let mut plan = plan_with_ids([1]);
        plan.actions[0].action = Some(action);
        let taken = Outstanding::default().add_plan(&cluster, entry, &plan);
        assert_eq!(taken, Err(Violation::Bounds), "{plan:?}");
    }
    let plan = Plan {
        daemon_set: "x".repeat(1_000),
        ..Plan::default()
    };
    assert_eq!(check_size(&cluster, &plan, 0), Err(Violation::Bounds));
}

#[test]
fn first_violation_of_a_minute_is_logged_and_others_are_counted() {
    let mut outstanding = Outstanding::default();
    let begun = Instant::now();
    assert_eq!(outstanding.record_violation(begun), Some(0));
    for _ in 0..7 {
        assert_eq!(
            outstanding.record_violation(begun + Duration::from_secs(59)),
            None
        );
    }
    assert_eq!(outstanding.record_violation(begun + LOG_INTERVAL), Some(7));
}
