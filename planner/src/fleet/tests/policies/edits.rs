//! Policies that are edited or deleted during a rollout, and what was remembered that is lost.

use super::*;
use crate::{
    decide::rollout::{precedence::Acceptance, warnings::WarningKind},
    model::{
        LabelKey,
        rollout::{LabelCondition, LabelRequirement, MAX_REMEMBERED_STAGES},
    },
};

pub(super) fn manual(stage: Stage) -> Stage {
    Stage {
        is_manual: true,
        ..stage
    }
}

#[test]
fn t19_larger_percentage_of_an_open_stage_releases_more_nodes_and_a_smaller_one_none() {
    let half = |percent| spec(vec![manual(stage("half", StageSize::Percent(percent), 0))]);
    let mut cluster = Cluster::new(20, half(20));
    cluster.wait(600);
    assert_eq!(cluster.count("new"), 4);
    cluster.fleet.policies_mut().set(policy(half(50)));
    cluster.wait(600);
    assert_eq!(cluster.count("new"), 10);
    cluster.fleet.policies_mut().set(policy(half(30)));
    cluster.delete_pod("n000");
    cluster.wait(600);
    assert_eq!(cluster.count("new"), 10, "updated nodes stay updated");
}

#[test]
fn t19_larger_number_of_an_open_stage_keeps_its_nodes_and_its_soak_begins_when_they_are_updated() {
    let canary = |count| {
        spec(vec![
            stage("canary", StageSize::Count(count), 1_000),
            stage("rest", StageSize::All, 0),
        ])
    };
    let mut cluster = Cluster::new(20, canary(2));
    cluster.wait(600);
    let before = cluster.updated.clone();
    assert_eq!(before.len(), 2);
    cluster.fleet.policies_mut().set(policy(canary(4)));
    cluster.run_until("two more nodes", |cluster| cluster.updated.len() == 4);
    let now = cluster.now;
    assert!(before.keys().all(|node| cluster.updated.contains_key(node)));
    cluster.run_until("the next stage", |cluster| cluster.updated.len() > 4);
    assert_eq!(cluster.now - now, READY_AFTER + 1_000);
}

#[test]
fn t19_oldest_stages_that_the_policy_no_longer_has_are_forgotten_if_there_are_too_many() {
    let renamed = |number: i32| spec(vec![manual(stage(&format!("s{number}"), StageSize::Count(1), 0))]);
    let mut cluster = Cluster::new(3, renamed(0));
    for number in 0..70 {
        cluster.fleet.policies_mut().set(policy(renamed(number)));
        cluster.settle();
    }
    let stages = &cluster.memory.as_ref().unwrap().stages;
    assert_eq!(stages.len(), MAX_REMEMBERED_STAGES);
    assert_eq!(&*stages[MAX_REMEMBERED_STAGES - 1].name, "s69");
}

#[test]
fn t3_promotion_of_all_stages_lets_a_rollout_end_without_its_policy() {
    let canary = || manual(stage("canary", StageSize::Count(1), 0));
    let mut cluster = Cluster::new(10, spec(vec![canary()]));
    cluster.wait(600);
    cluster.fleet.policies_mut().remove("policy");
    // Only the promotion of all stages says that no policy is needed any more.
    cluster.set_verbs(Verbs {
        promote: Some((1, "canary".into())),
        ..Verbs::default()
    });
    cluster.wait(600);
    assert_eq!(cluster.count("new"), 1);
    cluster.set_verbs(Verbs {
        promote_full: 1,
        ..Verbs::default()
    });
    cluster.run_until("the end", |cluster| cluster.count("new") == 10);
    assert_eq!(cluster.state(), State::Completed);
    assert_eq!(cluster.most_unavailable, 1, "the budget is the DaemonSet's");
}

#[test]
fn t14_rollout_whose_memory_is_lost_waits_for_a_retry() {
    let mut cluster = Cluster::new(10, spec(vec![stage("canary", StageSize::Count(1), 10)]));
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    cluster.daemon_set.is_rollout_held = true;
    cluster.fleet.daemon_set_changed(cluster.daemon_set.clone());
    cluster.write(None);
    cluster.wait(600);
    let memory = cluster.memory.clone().unwrap();
    assert_eq!((memory.state, &*memory.current), (State::MemoryLost, "old"));
    cluster.set_verbs(Verbs {
        promote: Some((memory.rollout, "".into())),
        promote_full: memory.rollout,
        ..Verbs::default()
    });
    cluster.wait(600);
    assert_eq!(
        (cluster.state(), cluster.count("new")),
        (State::MemoryLost, 1),
        "a promotion isn't enough"
    );
    cluster.set_verbs(Verbs {
        retry: memory.rollout,
        ..Verbs::default()
    });
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.memory.as_ref().unwrap().rollout, memory.rollout + 1);
}

#[test]
fn t16_pod_that_the_way_back_creates_counts_although_the_remembered_time_is_rounded_up() {
    let mut cluster = Cluster::new(10, spec(vec![manual(stage("most", StageSize::Percent(60), 0))]));
    cluster.run_until("60 %", |cluster| cluster.updated.len() == 6);
    cluster.wait(60);
    cluster.most_unavailable = 0;
    cluster.set_template("old");
    let plans = cluster.fleet.plan(seconds(cluster.now));
    let mut memory = plans[0].report.rollout.clone().unwrap().memory;
    assert_eq!(memory.state, State::GoingBack);
    memory.started_at = memory.started_at.plus(1_000);
    cluster.write(Some(memory));
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.most_unavailable, 2);
}

#[test]
fn stage_whose_selector_selects_no_node_is_a_warning_until_one_has_the_label() {
    let canary = Stage {
        node_selector: LabelSelector {
            requirements: vec![LabelRequirement {
                key: LabelKey::new("pool".into()),
                condition: LabelCondition::In(vec!["canary".into()]),
            }],
        },
        ..stage("canary", StageSize::All, 600)
    };
    let mut cluster = Cluster::new(3, spec(vec![canary]));
    let warnings = |cluster: &mut Cluster| {
        cluster.fleet.plan(seconds(cluster.now));
        let reports = cluster.fleet.take_policy_reports();
        let warnings = reports.into_iter().flat_map(|report| report.warnings);
        warnings.map(|warning| warning.kind).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&mut cluster), [WarningKind::EmptyStage]);
    cluster.fleet.node_changed(node("n000", &["pool=canary"], &[]));
    assert_eq!(warnings(&mut cluster), []);
    cluster.fleet.node_gone("n000");
    assert_eq!(warnings(&mut cluster), [WarningKind::EmptyStage]);
}

#[test]
fn rollout_that_is_complete_stays_so_while_the_policies_cannot_be_read() {
    let mut cluster = Cluster::new(4, spec(Vec::new()));
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    cluster.fleet.policies_mut().set_knowledge(Knowledge::Unknown);
    let plans = cluster.fleet.plan(seconds(cluster.now));
    let report = plans[0].report.rollout.as_ref().unwrap();
    assert_eq!((report.reason, &*report.policy), ("Completed", "policy"));
    // The next template is held.
    cluster.set_template("third");
    let plans = cluster.fleet.plan(seconds(cluster.now));
    let report = plans[0].report.rollout.as_ref().unwrap();
    assert_eq!(report.reason, "PoliciesUnknown");
    assert!(plans[0].actions.is_empty());
}

#[test]
fn policy_whose_daemon_set_is_deleted_says_so() {
    let mut cluster = Cluster::new(2, spec(Vec::new()));
    let acceptances = |cluster: &mut Cluster| {
        cluster.fleet.plan(seconds(cluster.now));
        let reports = cluster.fleet.take_policy_reports();
        let targets = reports.into_iter().flat_map(|report| report.targets);
        targets.map(|target| target.acceptance).collect::<Vec<_>>()
    };
    assert_eq!(acceptances(&mut cluster), [Acceptance::Accepted]);
    cluster.fleet.daemon_set_gone(&cluster.daemon_set.uid.clone());
    assert_eq!(acceptances(&mut cluster), [Acceptance::NotFound]);
}
