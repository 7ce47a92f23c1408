//! Tests of facts about rollout policies.

use serde_json::json;

use super::*;

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.apply(Change::DaemonSet(Event::Changed(agent())));
    let policy = json!({
        "metadata": {"namespace": "default", "name": "p", "uid": "p-1", "resourceVersion": "30"},
        "spec": {"targetRefs": [{"name": "agent"}]},
    });
    cluster.apply(Change::Policy(Event::Changed(read(&policy))));
    cluster
}

fn set_rollout(cluster: &mut Cluster, version: &str, number: i64) {
    let rollout = json!({
        "metadata": {"namespace": "default", "name": "agent", "uid": "dsr-1", "resourceVersion": version},
        "status": {"rollout": number, "daemonSetUid": "ds-1", "state": "Progressing"},
    });
    cluster.apply(Change::Rollout(Event::Changed(read(&rollout))));
}

fn send(outbox: &mut Outbox, cluster: &mut Cluster) -> Vec<String> {
    outbox.add(&mut cluster.touched);
    let announce = |_: &Cluster, _: &SharedStr| Announcement::NotYet;
    let limits = RequestLimits::from_welcome(100, 0);
    let next = outbox.next_request(cluster, announce, limits, false);
    next.request
        .as_ref()
        .map_or_else(Vec::new, testing::describe_facts)
}

fn outbox(cluster: &mut Cluster, knows_rollouts: bool) -> Outbox {
    let mut outbox = Outbox::default();
    outbox.restart(1, knows_rollouts);
    cluster.touch_all();
    outbox
}

#[test]
fn only_planners_that_know_policies_get_them() {
    let mut cluster = cluster();
    set_rollout(&mut cluster, "31", 1);
    let mut newer = outbox(&mut cluster, true);
    assert_eq!(
        send(&mut newer, &mut cluster),
        ["policy p", "rollout ds-1", "policies Unknown"]
    );
    let mut older = outbox(&mut cluster, false);
    assert!(send(&mut older, &mut cluster).is_empty());
}

#[test]
fn t13_report_is_written_only_if_it_is_based_on_what_is_remembered() {
    let mut cluster = cluster();
    let mut outbox = outbox(&mut cluster, true);
    send(&mut outbox, &mut cluster);
    // Nothing is remembered, and the planner knows that.
    assert!(outbox.is_rollout_based_on(&cluster, "ds-1", 2));
    set_rollout(&mut cluster, "31", 1);
    assert!(!outbox.is_rollout_based_on(&cluster, "ds-1", 2), "not sent yet");
    assert_eq!(send(&mut outbox, &mut cluster), ["rollout ds-1"]);
    assert!(
        !outbox.is_rollout_based_on(&cluster, "ds-1", 2),
        "an earlier plan"
    );
    assert!(outbox.is_rollout_based_on(&cluster, "ds-1", 3));
    assert!(
        !outbox.is_rollout_based_on(&cluster, "ds-2", 3),
        "no such DaemonSet"
    );
}
