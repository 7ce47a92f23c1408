//! Rollouts in stages: soaks, promotions, verbs, and the way back.

use super::*;

#[test]
fn t5_canary_soaks_before_the_next_stage_and_the_update_revision_becomes_current() {
    let spec = PolicySpec {
        max_unavailable: Some(Budget::Count(2)),
        stages: vec![
            stage("canary", StageSize::Count(1), 600),
            stage("half", StageSize::Percent(50), 60),
        ],
        ..PolicySpec::default()
    };
    let mut cluster = Cluster::new(20, spec);
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    let canary_at = cluster.now;
    assert_eq!(cluster.updated.keys().next().unwrap(), "n000");
    cluster.run_until("the second stage", |cluster| cluster.updated.len() > 1);
    assert_eq!(cluster.now - canary_at, READY_AFTER + 600);
    cluster.run_until("half of the nodes", |cluster| cluster.updated.len() == 10);
    let half_at = cluster.now;
    cluster.run_until("the last stage", |cluster| cluster.updated.len() > 10);
    assert_eq!(cluster.now - half_at, READY_AFTER + 60);
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.updated.len(), 20);
    assert_eq!(cluster.most_unavailable, 2);
    let memory = cluster.memory.as_ref().unwrap();
    assert_eq!((memory.rollout, &*memory.current), (1, "new"));
}

#[test]
fn t2_pods_on_nodes_that_are_not_released_get_the_current_revision() {
    let mut cluster = Cluster::new(10, spec(vec![stage("canary", StageSize::Count(1), 600)]));
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    cluster.delete_pod("n005");
    cluster.fleet.node_changed(node("n999", &[], &[]));
    cluster.wait(60);
    assert_eq!(&*cluster.pod("n005").revision, "old");
    assert_eq!(&*cluster.pod("n999").revision, "old");
    cluster.delete_pod("n000");
    cluster.wait(60);
    assert_eq!(
        &*cluster.pod("n000").revision,
        "new",
        "a released node stays released"
    );
    assert_eq!(cluster.count("new"), 1);
}

#[test]
fn t4_attaching_a_policy_starts_nothing_until_a_promotion() {
    let mut cluster = Cluster::new(10, spec(vec![stage("canary", StageSize::Count(1), 10)]));
    cluster.write(None);
    cluster.wait(3_600);
    assert_eq!((cluster.state(), cluster.count("new")), (State::Waiting, 0));
    let memory = cluster.memory.clone().unwrap();
    assert_eq!((&*memory.current, memory.is_current_observed), ("old", true));
    cluster.set_verbs(Verbs {
        promote: Some((memory.rollout, "".into())),
        ..Verbs::default()
    });
    cluster.run_until("the canary", |cluster| cluster.count("new") == 1);
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.count("new"), 10);
}

#[test]
fn t3_nothing_is_replaced_while_the_policies_are_unknown_or_gone() {
    let stages = || vec![stage("canary", StageSize::Percent(30), 10)];
    let mut cluster = Cluster::new(20, spec(stages()));
    cluster.run_until("some nodes", |cluster| cluster.updated.len() == 4);
    cluster.fleet.policies_mut().set_knowledge(Knowledge::Unknown);
    cluster.wait(3_600);
    assert_eq!(cluster.count("new"), 4);
    cluster.delete_pod("n019");
    cluster.wait(60);
    assert_eq!(cluster.pods.len(), 20, "missing pods are created");
    cluster.fleet.policies_mut().set_knowledge(Knowledge::Absent);
    cluster.wait(3_600);
    let updated = cluster.count("new");
    assert!((4..=5).contains(&updated), "{updated}");
    cluster.fleet.policies_mut().set_knowledge(Knowledge::Known);
    cluster.fleet.policies_mut().remove("policy");
    cluster.wait(3_600);
    assert_eq!(cluster.count("new"), updated);
    cluster.fleet.policies_mut().set(policy(spec(stages())));
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.count("new"), 20);
}

#[test]
fn t8_undo_goes_back_at_the_pace_of_the_budget_without_stages() {
    let canary = Stage {
        is_manual: true,
        ..stage("canary", StageSize::Percent(60), 600)
    };
    let mut cluster = Cluster::new(20, spec(vec![canary]));
    cluster.run_until("60 %", |cluster| cluster.updated.len() == 12);
    cluster.set_template("old");
    let undone_at = cluster.now;
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!((cluster.count("old"), cluster.most_unavailable), (20, 2));
    assert!(
        cluster.now - undone_at < 60,
        "the rollout waits for no soak and no promotion"
    );
    assert_eq!(&*cluster.memory.as_ref().unwrap().current, "old");
}

#[test]
fn t9_abort_pins_to_the_current_revision_and_retry_starts_again() {
    let mut cluster = Cluster::new(10, spec(vec![stage("canary", StageSize::Count(2), 600)]));
    cluster.run_until("the canaries", |cluster| cluster.updated.len() == 2);
    cluster.set_verbs(Verbs {
        abort: 1,
        ..Verbs::default()
    });
    cluster.run_until("the way back", |cluster| cluster.count("old") == 10);
    cluster.wait(3_600);
    assert_eq!((cluster.state(), cluster.count("old")), (State::GoingBack, 10));
    cluster.updated.clear();
    cluster.set_verbs(Verbs {
        abort: 1,
        retry: 1,
        ..Verbs::default()
    });
    cluster.run_until("the canaries again", |cluster| cluster.updated.len() == 2);
    let again_at = cluster.now;
    cluster.run_until("the rest", |cluster| cluster.updated.len() > 2);
    assert!(cluster.now - again_at >= 600, "the canaries soak again");
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.memory.as_ref().unwrap().rollout, 2);
}

#[test]
fn t9_verbs_of_an_earlier_rollout_count_no_more() {
    let canary = Stage {
        is_manual: true,
        ..stage("canary", StageSize::Count(1), 0)
    };
    let mut cluster = Cluster::new(6, spec(vec![canary]));
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    cluster.set_verbs(Verbs {
        promote: Some((1, "canary".into())),
        ..Verbs::default()
    });
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    cluster.set_template("old");
    cluster.run_until("the next canary", |cluster| cluster.updated.len() == 1);
    cluster.wait(3_600);
    assert_eq!(cluster.updated.len(), 1, "the old promotion doesn't count");
    cluster.set_template("new");
    cluster.run_until("the way back", |cluster| cluster.count("new") == 6);
}

#[test]
fn paused_rollout_replaces_nothing_and_goes_on_later() {
    let mut cluster = Cluster::new(10, spec(Vec::new()));
    cluster.run_until("some nodes", |cluster| cluster.updated.len() >= 4);
    let updated = cluster.updated.len();
    cluster.set_verbs(Verbs {
        paused: true,
        ..Verbs::default()
    });
    cluster.wait(3_600);
    assert_eq!(cluster.count("new"), updated);
    cluster.set_verbs(Verbs::default());
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
}

#[test]
fn partition_keeps_so_many_nodes_and_follows_its_policy() {
    let partition = |kept: i32| {
        spec(vec![Stage {
            is_manual: true,
            ..stage("partition", StageSize::AllBut(Budget::Count(kept)), 0)
        }])
    };
    let mut cluster = Cluster::new(10, partition(7));
    cluster.wait(600);
    assert_eq!(cluster.count("new"), 3);
    cluster.fleet.policies_mut().set(policy(partition(4)));
    cluster.wait(600);
    assert_eq!(cluster.count("new"), 6);
    cluster.fleet.policies_mut().set(policy(partition(8)));
    cluster.wait(600);
    assert_eq!(cluster.count("new"), 6, "no node goes back");
    cluster.fleet.policies_mut().set(policy(partition(0)));
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.count("new"), 10);
}
