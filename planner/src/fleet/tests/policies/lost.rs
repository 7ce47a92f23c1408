//! Rollouts whose current revision is gone or unknown, or that too few nodes can prove.

use super::{edges::template_for_fast_disks, edits::manual, *};

impl Cluster {
    /// Somebody deletes the `ControllerRevision` with this hash.
    fn lose(&mut self, hash: &str) {
        let revisions = &mut self.daemon_set.revisions;
        revisions.retain(|revision| *revision.hash != *hash);
        self.fleet.daemon_set_changed(self.daemon_set.clone());
    }

    fn reason(&mut self) -> &'static str {
        let decision = self.fleet.decide(&self.daemon_set.uid, seconds(self.now));
        decision.unwrap().rollout.unwrap().reason
    }
}

#[test]
fn t8_no_node_goes_back_to_a_revision_that_is_gone() {
    let canary = manual(stage("canary", StageSize::Count(2), 0));
    let mut cluster = Cluster::new(10, spec(vec![canary]));
    cluster.run_until("the canaries", |cluster| cluster.count("new") == 2);
    cluster.lose("old");
    cluster.set_verbs(Verbs {
        abort: 1,
        ..Verbs::default()
    });
    cluster.wait(60);
    assert_eq!((cluster.state(), cluster.count("new")), (State::GoingBack, 2));
    assert_eq!(cluster.reason(), "CurrentRevisionLost");
    cluster.daemon_set.revisions.push(revision("old"));
    cluster.fleet.daemon_set_changed(cluster.daemon_set.clone());
    cluster.run_until("the way back", |cluster| cluster.count("old") == 10);
}

#[test]
fn t2_node_that_is_not_released_gets_no_pod_if_the_current_revision_is_gone() {
    let mut cluster = Cluster::new(10, spec(vec![stage("canary", StageSize::Count(1), 600)]));
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    cluster.lose("old");
    cluster.delete_pod("n005");
    cluster.wait(60);
    assert!(!cluster.pods.values().any(|pod| *pod.node == *"n005"));
    assert_eq!((cluster.count("new"), cluster.count("old")), (1, 8));
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.count("new"), 10);
}

#[test]
fn t2_excluded_pods_of_a_revision_that_is_gone_stay_until_their_turn() {
    let canary = manual(stage("canary", StageSize::Count(1), 0));
    let template = template_for_fast_disks();
    let mut cluster = with_new_template(6, spec(vec![canary]), template, max_unavailable(1));
    cluster.fleet.node_changed(node("n003", &["disk=ssd"], &[]));
    cluster.wait(60);
    assert_eq!((cluster.count("new"), cluster.count("old")), (1, 5));
    cluster.lose("old");
    cluster.wait(60);
    assert_eq!((cluster.count("new"), cluster.count("old")), (1, 5));
}

#[test]
fn t3_excluded_pods_of_a_held_rollout_stay_while_nothing_is_remembered() {
    let template = template_for_fast_disks();
    let mut cluster = with_new_template(4, spec(Vec::new()), template, max_unavailable(1));
    cluster.daemon_set.is_rollout_held = true;
    cluster.fleet.daemon_set_changed(cluster.daemon_set.clone());
    cluster.write(None);
    for knowledge in [Knowledge::Unknown, Knowledge::Absent] {
        cluster.fleet.policies_mut().set_knowledge(knowledge);
        let plans = cluster.fleet.plan(seconds(cluster.now));
        assert!(plans.iter().all(|plan| plan.actions.is_empty()), "{plans:#?}");
    }
}

#[test]
fn t3_updated_node_stays_updated_without_its_policy_once_the_last_stage_is_open() {
    let mut cluster = Cluster::new(10, spec(Vec::new()));
    cluster.run_until("some nodes", |cluster| cluster.updated.len() >= 4);
    cluster.fleet.policies_mut().set_knowledge(Knowledge::Unknown);
    let updated = cluster.updated.keys().next().unwrap().clone();
    cluster.delete_pod(&updated);
    cluster.wait(60);
    assert_eq!(&*cluster.pod(&updated).revision, "new");
}

#[test]
fn t11_without_available_pods_the_current_revision_is_that_of_most_pods() {
    let mut cluster = Cluster::new(4, spec(Vec::new()));
    let uid = cluster.daemon_set.uid.clone();
    for pod in cluster.pods.values_mut() {
        pod.ready_since = None;
        cluster.fleet.pod_changed(&uid, pod.clone());
    }
    cluster.write(None);
    cluster.settle();
    let memory = cluster.memory.as_ref().unwrap();
    assert_eq!((memory.state, &*memory.current), (State::Waiting, "old"));
}

#[test]
fn t16_rollout_that_is_stalled_does_not_complete() {
    let mut cluster = Cluster::new(10, spec(Vec::new()));
    let uid = cluster.daemon_set.uid.clone();
    // Every node is dead, so no deletion ends, and no pod is left to replace.
    for pod in std::mem::take(&mut cluster.pods).into_values() {
        let dead = Pod {
            ready_since: None,
            unready_since: Some(seconds(NOW - 100)),
            deleting: true,
            ..pod
        };
        cluster.fleet.pod_changed(&uid, dead);
    }
    cluster.wait(600);
    assert_eq!(cluster.state(), State::Progressing);
    assert_eq!(cluster.reason(), "TooManyIgnored");
}

#[test]
fn t19_stage_that_gets_all_nodes_soaks_once_they_are_updated() {
    let canary = |size| spec(vec![stage("canary", size, 1_000)]);
    let mut cluster = Cluster::new(20, canary(StageSize::Count(2)));
    cluster.wait(600);
    assert_eq!(cluster.updated.len(), 2);
    cluster.fleet.policies_mut().set(policy(canary(StageSize::All)));
    cluster.run_until("every node", |cluster| cluster.updated.len() == 20);
    let updated_at = cluster.now;
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.now - updated_at, READY_AFTER + 1_000);
}

#[test]
fn partition_of_all_nodes_waits_as_a_smaller_one_does() {
    let partition = manual(stage("partition", StageSize::AllBut(Budget::Percent(100)), 0));
    let mut cluster = Cluster::new(10, spec(vec![partition]));
    cluster.wait(60);
    assert_eq!((cluster.reason(), cluster.count("new")), ("Partition", 0));
}
