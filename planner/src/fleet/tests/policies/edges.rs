//! Rollouts that start again, policies that change, and memory that is missing.

use super::*;
use crate::model::LabelKey;

pub(super) fn template_for_fast_disks() -> PodTemplate {
    PodTemplate {
        node_selector: [("disk".into(), "ssd".into())].into_iter().collect(),
        ..PodTemplate::default()
    }
}

#[test]
fn t16_rollout_that_starts_again_waits_for_the_nodes_on_which_the_update_has_failed() {
    let mut cluster = Cluster::new(10, spec(vec![stage("canary", StageSize::Count(2), 0)]));
    cluster.run_until("the canaries", |cluster| cluster.updated.len() == 2);
    // One of the canaries never becomes ready.
    let (uid, daemon_set) = (
        cluster.pod("n000").uid.to_string(),
        cluster.daemon_set.uid.clone(),
    );
    let broken = Pod {
        ready_since: None,
        created: seconds(NOW + 1_000_000),
        ..cluster.pod("n000").clone()
    };
    cluster.pods.insert(uid, broken.clone());
    cluster.fleet.pod_changed(
        &daemon_set,
        Pod {
            created: seconds(cluster.now),
            ..broken
        },
    );
    cluster.wait(60);
    assert_eq!(cluster.count("new"), 2);
    cluster.set_verbs(Verbs {
        retry: 1,
        ..Verbs::default()
    });
    cluster.wait(600);
    assert_eq!(cluster.memory.as_ref().unwrap().rollout, 2);
    assert_eq!(cluster.count("new"), 2, "the stage passes over the broken canary");
}

#[test]
fn t19_stage_after_an_inserted_one_is_not_done_before_its_own_nodes_are() {
    let half = || Stage {
        is_manual: true,
        ..stage("half", StageSize::Percent(50), 0)
    };
    let mut cluster = Cluster::new(20, spec(vec![half()]));
    cluster.run_until("two nodes", |cluster| cluster.updated.len() == 2);
    let edited = spec(vec![
        stage("first", StageSize::Count(1), 60),
        Stage {
            is_manual: false,
            ..half()
        },
    ]);
    cluster.fleet.policies_mut().set(policy(edited));
    cluster.run_until("the third stage", |cluster| {
        let stages = &cluster.memory.as_ref().unwrap().stages;
        stages.iter().any(|stage| stage.name.is_empty())
    });
    assert!(cluster.count("new") >= 10, "only {} nodes", cluster.count("new"));
}

#[test]
fn t11_revision_that_every_node_runs_becomes_current_when_a_newer_template_comes() {
    let canary = Stage {
        is_manual: true,
        ..stage("all", StageSize::All, 0)
    };
    let mut cluster = Cluster::new(6, spec(vec![canary]));
    cluster.run_until("every node", |cluster| {
        cluster.count("new") == 6 && cluster.pods.values().all(|pod| pod.ready_since.is_some())
    });
    assert_eq!(cluster.state(), State::Progressing);
    cluster.set_template("third");
    cluster.settle();
    let memory = cluster.memory.as_ref().unwrap();
    assert_eq!((memory.rollout, &*memory.current), (2, "new"));
}

#[test]
fn t3_daemon_set_with_the_condition_of_a_held_rollout_is_held_without_policy_and_memory() {
    let mut cluster = Cluster::new(6, spec(Vec::new()));
    cluster.write(None);
    cluster.fleet.policies_mut().set_knowledge(Knowledge::Absent);
    cluster.daemon_set.is_rollout_held = true;
    cluster.fleet.daemon_set_changed(cluster.daemon_set.clone());
    let plans = cluster.fleet.plan(seconds(cluster.now));
    assert!(plans.iter().all(|plan| plan.actions.is_empty()), "{plans:#?}");
    cluster.daemon_set.is_rollout_held = false;
    cluster.fleet.daemon_set_changed(cluster.daemon_set.clone());
    let plans = cluster.fleet.plan(seconds(cluster.now));
    assert!(plans.iter().any(|plan| !plan.actions.is_empty()), "{plans:#?}");
}

#[test]
fn t14_nothing_begins_from_a_memory_that_was_empty() {
    let mut cluster = Cluster::new(6, spec(vec![stage("canary", StageSize::Count(1), 0)]));
    cluster.write(Some(Memory::default()));
    cluster.wait(600);
    assert_eq!((cluster.state(), cluster.count("new")), (State::Waiting, 0));
}

#[test]
fn t13_released_node_gets_no_newer_template_before_its_rollout_is_remembered() {
    let mut cluster = Cluster::new(6, spec(vec![stage("canary", StageSize::Count(1), 6_000)]));
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    cluster.set_template("third");
    cluster.delete_pod("n000");
    let plans = cluster.fleet.plan(seconds(cluster.now));
    let created: Vec<_> = plans
        .iter()
        .flat_map(|plan| &plan.actions)
        .filter_map(|(_, action)| match action {
            Action::Create { revision, .. } => Some(&**revision),
            Action::Delete { .. } => None,
        })
        .collect();
    assert_eq!(created, ["old"]);
}

#[test]
fn t2_updated_pod_goes_at_once_when_its_node_no_longer_fits() {
    let mut cluster = with_new_template(4, spec(Vec::new()), template_for_fast_disks(), max_unavailable(1));
    let fast = |name: &str| node(name, &["disk=ssd"], &[]);
    for number in 0..4 {
        cluster.fleet.node_changed(fast(&format!("n{number:03}")));
    }
    let canary = spec(vec![stage("canary", StageSize::Count(1), 6_000)]);
    cluster.fleet.policies_mut().set(policy(canary));
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    cluster.fleet.node_changed(node("n000", &[], &[]));
    cluster.settle();
    assert!(
        !cluster.pods.values().any(|pod| *pod.node == *"n000"),
        "the old template admits the node, but its pod is a new one"
    );
}

/// The nodes that a stage of this number picks first, of four nodes in the zone `a` and two in `b`.
fn picked(count: usize, own_nodes: &[&str]) -> Vec<String> {
    let canary = Stage {
        topology_key: Some(LabelKey::new("zone".into())),
        ..stage("canary", StageSize::Count(count), 600)
    };
    let mut cluster = Cluster::new(6, spec(vec![canary]));
    for (number, zone) in ["a", "a", "b", "a", "b", "a"].into_iter().enumerate() {
        let zone = format!("zone={zone}");
        let name = format!("n{number:03}");
        cluster.fleet.node_changed(node(&name, &[zone.as_str()], &[]));
    }
    for name in own_nodes {
        cluster.fleet.add_own_node((*name).into());
    }
    cluster.run_until("the canaries", |cluster| cluster.updated.len() == count);
    cluster.updated.into_keys().collect()
}

#[test]
fn stage_of_a_number_picks_the_nodes_of_everynode_only_if_there_are_too_few_others() {
    assert_eq!(picked(2, &[]), ["n000", "n002"]);
    assert_eq!(picked(2, &["n000"]), ["n001", "n002"]);
    // Both nodes of the zone b are Everynode's, so all canaries are in the other zone.
    assert_eq!(picked(2, &["n002", "n004", "gone"]), ["n000", "n001"]);
    // The other nodes don't suffice. Of the own ones, that of the zone with fewer canaries comes first.
    assert_eq!(
        picked(5, &["n000", "n004"]),
        ["n001", "n002", "n003", "n004", "n005"]
    );
}

#[test]
fn t19_larger_stage_of_a_number_adds_the_nodes_of_everynode_last() {
    let canary = |count| spec(vec![stage("canary", StageSize::Count(count), 1_000)]);
    let mut cluster = Cluster::new(6, canary(2));
    for name in ["n000", "n003"] {
        cluster.fleet.add_own_node(name.into());
    }
    cluster.run_until("two canaries", |cluster| cluster.updated.len() == 2);
    for (count, last) in [(3, "n004"), (5, "n005")] {
        cluster.fleet.policies_mut().set(policy(canary(count)));
        cluster.run_until("more canaries", |cluster| cluster.updated.len() == count);
        assert!(cluster.updated.contains_key(last), "{:?}", cluster.updated);
    }
    let updated: Vec<_> = cluster.updated.keys().map(String::as_str).collect();
    assert_eq!(updated, ["n000", "n001", "n002", "n004", "n005"]);
}
