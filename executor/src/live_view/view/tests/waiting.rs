//! Waits of a `DaemonSet`.

use super::*;

fn waits(snapshot: &Snapshot) -> Vec<Wait> {
    waits::of_daemon_set(snapshot, &leading())
}

#[test]
fn complete_daemon_set_has_no_waits() {
    let mut snapshot = snapshot([1, 1, 1, 1]);
    snapshot.pods = vec![pod("agent-a", "n1")];
    assert_eq!(waits(&snapshot), []);
}

#[test]
fn missing_or_unsynced_planner_is_the_first_wait() {
    let mut snapshot = snapshot([2, 1, 1, 1]);
    snapshot.pods = vec![pending("agent-a", "n1")];
    let mut context = leading();
    context.planner = Some(PlannerInfo::default());
    let not_synced = "the planner is not synced yet, so nothing is created or deleted";
    let unready = (
        WaitCode::Readiness,
        "1 pod isn't ready: agent-a on n1 (Pending)",
        1,
    );
    let found = waits::of_daemon_set(&snapshot, &context);
    assert_eq!(short(&found), [(WaitCode::Planner, not_synced, 0), unready]);
    context.planner = None;
    let none = "there is no planner, so nothing is created or deleted";
    let found = waits::of_daemon_set(&snapshot, &context);
    assert_eq!(short(&found), [(WaitCode::Planner, none, 0), unready]);
}

#[test]
fn standby_describes_only_pods_unless_there_is_no_leader() {
    let mut snapshot = snapshot([1, 1, 1, 0]);
    snapshot.pods = vec![pending("agent-a", "n1")];
    let unready = (
        WaitCode::Readiness,
        "1 pod isn't ready: agent-a on n1 (Pending)",
        1,
    );
    let found = waits::of_daemon_set(&snapshot, &following("other"));
    assert_eq!(short(&found), [unready]);
    let found = waits::of_daemon_set(&snapshot, &following(""));
    let nobody = "no executor leads, so nothing is created or deleted";
    assert_eq!(short(&found), [(WaitCode::Planner, nobody, 0), unready]);
}

#[test]
fn refusal_has_the_servers_message_and_the_time_to_the_next_retry() {
    let mut snapshot = snapshot([5, 1, 1, 1]);
    snapshot.creations = RequestedActions {
        queued: 2,
        in_progress: 0,
        refused: 1,
        refusal: Some(refusal("the API server refuses: exceeded quota: few", 3)),
    };
    snapshot.deletions = RequestedActions {
        queued: 0,
        in_progress: 1,
        refused: 0,
        refusal: Some(refusal("the API server refuses: not today", 0)),
    };
    let found = waits(&snapshot);
    let create = "pods can't be created: the API server refuses: exceeded quota: few; next retry in 3 s";
    let delete = "pods can't be deleted: the API server refuses: not today; a retry is in progress";
    assert_eq!(
        short(&found),
        [(WaitCode::Refused, create, 3), (WaitCode::Refused, delete, 1)]
    );
}

#[test]
fn creations_and_deletions_in_progress_are_counted() {
    let mut snapshot = snapshot([5, 1, 1, 1]);
    snapshot.creations.in_progress = 2;
    snapshot.creations.queued = 4;
    snapshot.deletions.in_progress = 1;
    snapshot.pods = vec![PodFacts {
        deleting: true,
        ..pod("agent-a", "n1")
    }];
    let found = waits(&snapshot);
    let created = "2 pods are being created, 4 queued";
    let deleted = "1 pod is to be deleted, 1 pod is terminating: agent-a on n1";
    assert_eq!(
        short(&found),
        [(WaitCode::Creation, created, 6), (WaitCode::Deletion, deleted, 2)]
    );
}

#[test]
fn first_three_pods_are_named_in_the_order_of_their_nodes() {
    let mut snapshot = snapshot([5, 5, 5, 0]);
    snapshot.pods = ["n4", "n2", "n1", "n3", "n5"]
        .map(|node| pending(&format!("agent-{node}"), node))
        .to_vec();
    let message = "5 pods aren't ready: agent-n1 on n1 (Pending), agent-n2 on n2 (Pending), agent-n3 on n3 (Pending), \
                   and 2 more";
    assert_eq!(short(&waits(&snapshot)), [(WaitCode::Readiness, message, 5)]);
}

#[test]
fn each_pod_is_in_one_wait() {
    let mut snapshot = of_spec(&json!({"minReadySeconds": 30}), snapshot([5, 5, 5, 0]));
    let change = |name: &str, change: &dyn Fn(&mut PodFacts)| {
        let mut pod = pending(name, name);
        change(&mut pod);
        pod
    };
    snapshot.pods = vec![
        change("unbound", &|pod| pod.bound = false),
        change("failed", &|pod| pod.phase = PodPhase::Failed.into()),
        change("leaving", &|pod| pod.deleting = true),
        change("young", &|pod| pod.ready_since = Some(at(NOW))),
        change("grown", &|pod| pod.ready_since = Some(at(NOW))),
        change("available", &|pod| pod.ready_since = Some(at(NOW))),
        change("crashing", &|pod| pod.phase = PodPhase::Running.into()),
    ];
    let waiting = [
        ("leaving", NOW + 1),
        ("young", NOW + 1),
        ("grown", NOW),
        ("other", NOW + 1),
    ];
    let waiting = waiting.map(|(name, until)| (format!("uid of {name}").into(), at(until)));
    snapshot.available_at = Some(waiting.into());
    let failed = "1 pod has failed and is replaced after its back-off: failed on failed";
    assert_eq!(
        short(&waits(&snapshot)),
        [
            (
                WaitCode::Scheduling,
                "1 pod isn't bound to its node yet: unbound for unbound",
                1
            ),
            (
                WaitCode::Readiness,
                "1 pod isn't ready: crashing on crashing (Running)",
                1
            ),
            (WaitCode::FailedPods, failed, 1),
            (WaitCode::Deletion, "1 pod is terminating: leaving on leaving", 1),
            (
                WaitCode::Availability,
                "1 pod has been ready for less than 30 s: young on young",
                1
            ),
        ]
    );
}

#[test]
fn unavailable_pods_are_counted_when_the_planner_does_not_name_them() {
    let mut snapshot = of_spec(&json!({"minReadySeconds": 30}), snapshot([5, 5, 5, 3]));
    snapshot.counters.as_mut().unwrap().number_ready = 5;
    snapshot.pods = vec![PodFacts {
        ready_since: Some(at(NOW)),
        ..pod("agent-a", "n1")
    }];
    assert_eq!(waits(&snapshot), [], "the planner reports that no pod waits");
    snapshot.available_at = None;
    let message = "2 pods are ready, but not available yet";
    assert_eq!(short(&waits(&snapshot)), [(WaitCode::Availability, message, 2)]);
    snapshot.counters.as_mut().unwrap().number_available = 5;
    assert_eq!(waits(&snapshot), []);
}

#[test]
fn old_pods_wait_for_a_user_under_on_delete() {
    let mut snapshot = of_spec(
        &json!({"updateStrategy": {"type": "OnDelete"}}),
        snapshot([2, 2, 1, 2]),
    );
    let old = PodFacts {
        revision: "r0".to_owned(),
        ..pod("agent-a", "n1")
    };
    snapshot.pods = vec![old, pod("agent-b", "n2")];
    let message =
        "1 pod of an old template stays until somebody deletes it (strategy OnDelete): agent-a on n1";
    assert_eq!(short(&waits(&snapshot)), [(WaitCode::UserDeletion, message, 1)]);
    // The counters say that all pods are current, whatever their labels say.
    snapshot.counters.as_mut().unwrap().updated_number_scheduled = 2;
    assert_eq!(waits(&snapshot), []);
}

#[test]
fn upkeep_comes_first_while_the_template_has_no_revision() {
    let mut snapshot = snapshot([0, 0, 0, 0]);
    snapshot.revision = None;
    snapshot.upkeep = Upkeep::InProgress;
    let going_on = "the revision history and the ownership of pods are being reconciled";
    assert_eq!(short(&waits(&snapshot)), [(WaitCode::Upkeep, going_on, 0)]);
    snapshot.upkeep = Upkeep::Failing("can't create a revision: forbidden".to_owned());
    snapshot.pods = vec![pending("agent-a", "n1")];
    let failing = "the revision history and the ownership of pods can't be reconciled: can't create a revision: \
                   forbidden";
    let unready = (
        WaitCode::Readiness,
        "1 pod isn't ready: agent-a on n1 (Pending)",
        1,
    );
    assert_eq!(
        short(&waits(&snapshot)),
        [(WaitCode::Upkeep, failing, 0), unready]
    );
    // With a revision, everything else continues, so upkeep comes after more serious waits.
    snapshot.revision = Some("r1".to_owned());
    assert_eq!(
        short(&waits(&snapshot)),
        [unready, (WaitCode::Upkeep, failing, 0)]
    );
}

#[test]
fn pods_that_are_not_ready_are_described_with_their_reasons() {
    let change = |name: &str, change: &dyn Fn(&mut PodFacts)| {
        let mut pod = pending(name, name);
        change(&mut pod);
        pod
    };
    let mut snapshot = snapshot([4, 4, 4, 0]);
    snapshot.pods = vec![
        change("unbound", &|pod| pod.bound = false),
        change("failed", &|pod| pod.phase = PodPhase::Failed.into()),
        change("crashing", &|pod| pod.phase = PodPhase::Running.into()),
        change("silent", &|_| {}),
    ];
    for (name, reason, message) in [
        ("unbound", "Unschedulable", "0/3 nodes are available"),
        ("failed", "Evicted", ""),
        ("crashing", "CrashLoopBackOff", "back-off"),
        ("gone", "Odd", ""),
    ] {
        let reason = PodReason {
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        snapshot.pod_reasons.insert(format!("uid of {name}"), reason);
    }
    assert_eq!(
        short(&waits(&snapshot)),
        [
            (
                WaitCode::Scheduling,
                "1 pod isn't bound to its node yet: unbound for unbound (Unschedulable: 0/3 nodes are available)",
                1
            ),
            (
                WaitCode::Readiness,
                "2 pods aren't ready: crashing on crashing (Running, CrashLoopBackOff: back-off), silent on silent \
                 (Pending)",
                2
            ),
            (
                WaitCode::FailedPods,
                "1 pod has failed and is replaced after its back-off: failed on failed (Evicted)",
                1
            ),
        ]
    );
}
