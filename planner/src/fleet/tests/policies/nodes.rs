//! Which nodes a rollout replaces next, and which it leaves alone.

use super::*;

#[test]
fn t2_release_that_excludes_nodes_spends_the_budget() {
    let narrow = PodTemplate {
        node_selector: [("disk".into(), "ssd".into())].into_iter().collect(),
        ..PodTemplate::default()
    };
    let mut cluster = with_new_template(10, spec(Vec::new()), narrow, max_unavailable(1));
    for number in 0..5 {
        cluster
            .fleet
            .node_changed(node(&format!("n{number:03}"), &["disk=ssd"], &[]));
    }
    cluster.memory.as_mut().unwrap().state = State::Completed;
    cluster.settle();
    let after_the_first_plan = cluster.pods.len();
    assert!(
        after_the_first_plan >= 8,
        "{after_the_first_plan} pods are left at once"
    );
    cluster.run_until("the end", |cluster| {
        cluster.state() == State::Completed && cluster.pods.len() == 5
    });
    assert_eq!(cluster.count("new"), 5);
}

#[test]
fn t2_held_nodes_keep_their_pods_although_the_new_template_excludes_them() {
    let narrow = PodTemplate {
        node_selector: [("disk".into(), "ssd".into())].into_iter().collect(),
        ..PodTemplate::default()
    };
    let canary = Stage {
        is_manual: true,
        ..stage("canary", StageSize::Count(1), 0)
    };
    let mut cluster = with_new_template(10, spec(vec![canary]), narrow, max_unavailable(1));
    cluster.fleet.node_changed(node("n003", &["disk=ssd"], &[]));
    cluster.wait(600);
    assert_eq!((cluster.count("new"), cluster.count("old")), (1, 9));
    assert_eq!(
        &*cluster.pod("n003").revision,
        "new",
        "only a node that can run it is picked"
    );
}

#[test]
fn surge_goes_through_the_stages_too() {
    let mut cluster = with_new_template(
        10,
        PolicySpec {
            max_unavailable: None,
            ..spec(vec![stage("canary", StageSize::Count(1), 600)])
        },
        PodTemplate::default(),
        crate::testing::max_surge(3),
    );
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    let canary_at = cluster.now;
    cluster.run_until("the rest", |cluster| cluster.updated.len() > 1);
    assert!(cluster.now - canary_at >= 600);
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    assert_eq!(cluster.count("new"), 10);
}

#[test]
fn t16_node_that_was_unavailable_before_does_not_block_the_rollout() {
    let mut cluster = Cluster::new(
        10,
        PolicySpec {
            max_unavailable: Some(Budget::Count(1)),
            ..spec(vec![stage("canary", StageSize::Count(1), 10)])
        },
    );
    // The node is dead: its pod isn't ready, and its deletion never ends.
    let uid = cluster.daemon_set.uid.clone();
    let dead = Pod {
        ready_since: None,
        unready_since: Some(seconds(NOW - 100)),
        deleting: true,
        ..cluster.pod("n000").clone()
    };
    cluster.fleet.pod_changed(&uid, dead);
    cluster.pods.remove("old-n000-uid");
    cluster.run_until("the other nodes", |cluster| cluster.count("new") == 9);
    assert!(!cluster.updated.contains_key("n000"));
}

#[test]
fn order_works_on_one_domain_after_the_other() {
    let zones = PolicySpec {
        max_unavailable: Some(Budget::Count(10)),
        order: Some(crate::model::rollout::Order {
            topology_key: crate::model::LabelKey::new("zone".into()),
            max_unavailable: Some(Budget::Count(1)),
        }),
        ..PolicySpec::default()
    };
    let mut cluster = Cluster::new(9, zones);
    for number in 0..9 {
        let zone = ["zone=c", "zone=a", "zone=b"][number % 3];
        let labels = if number == 8 { &[][..] } else { &[zone][..] };
        cluster
            .fleet
            .node_changed(node(&format!("n{number:03}"), labels, &[]));
    }
    cluster.run_until("the end", |cluster| cluster.state() == State::Completed);
    let mut order: Vec<_> = cluster
        .updated
        .iter()
        .map(|(node, at)| (*at, node.as_str()))
        .collect();
    order.sort_unstable();
    let names: Vec<_> = order.iter().map(|(_, node)| *node).collect();
    assert_eq!(
        names,
        [
            "n001", "n004", "n007", "n002", "n005", "n000", "n003", "n006", "n008"
        ]
    );
    assert_eq!(cluster.most_unavailable, 1);
}

/// Random numbers from a seed: xorshift.
#[test]
fn t16_rollout_stalls_if_too_many_nodes_were_unavailable_before() {
    for (dead, updated) in [(3, 7), (4, 0)] {
        let mut cluster = Cluster::new(10, spec(Vec::new()));
        let uid = cluster.daemon_set.uid.clone();
        for number in 0..dead {
            let name = format!("old-n{number:03}-uid");
            let pod = cluster.pods.remove(&name).unwrap();
            let dead = Pod {
                ready_since: None,
                unready_since: Some(seconds(NOW - 100)),
                deleting: true,
                ..pod
            };
            cluster.fleet.pod_changed(&uid, dead);
        }
        cluster.wait(600);
        assert_eq!(cluster.count("new"), updated, "{dead} nodes are dead");
    }
}

#[test]
fn unreleased_nodes_can_get_the_update_revision() {
    let spec = PolicySpec {
        unreleased_get_update: true,
        ..spec(vec![stage("canary", StageSize::Count(1), 6_000)])
    };
    let mut cluster = Cluster::new(10, spec);
    cluster.run_until("the canary", |cluster| cluster.updated.len() == 1);
    cluster.delete_pod("n005");
    cluster.fleet.node_changed(node("n999", &[], &[]));
    cluster.wait(60);
    assert_eq!(&*cluster.pod("n005").revision, "new");
    assert_eq!(&*cluster.pod("n999").revision, "new");
    assert_eq!((cluster.count("new"), cluster.count("old")), (3, 8));
}

#[test]
fn label_of_a_node_holds_its_pod_at_its_revision() {
    let mut cluster = Cluster::new(5, spec(Vec::new()));
    let held = node("n002", &["hold.everynode.io/default.agent=maintenance"], &[]);
    cluster.fleet.node_changed(held);
    cluster.wait(600);
    assert_eq!((cluster.count("new"), &*cluster.pod("n002").revision), (4, "old"));
    cluster.fleet.node_changed(node("n002", &[], &[]));
    cluster.run_until("the end", |cluster| cluster.count("new") == 5);
}
