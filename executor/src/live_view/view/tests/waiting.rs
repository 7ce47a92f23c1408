//! Waits of a `DaemonSet`.

use super::*;

fn waits(sketch: &Sketch) -> Vec<Wait> {
    waits::of_daemon_set(sketch, &leading())
}

#[test]
fn nothing_is_waited_for_when_all_is_as_it_should_be() {
    let mut sketch = sketch([1, 1, 1, 1]);
    sketch.pods = vec![pod("agent-a", "n1")];
    assert_eq!(waits(&sketch), []);
}

#[test]
fn without_a_planner_that_knows_everything_that_is_said_first() {
    let mut sketch = sketch([2, 1, 1, 1]);
    sketch.pods = vec![pending("agent-a", "n1")];
    let mut circumstances = leading();
    circumstances.planner = Some(PlannerInfo::default());
    let not_synced = "the planner has not been told everything yet, so nothing is created or deleted";
    let unready = (
        WaitCode::Readiness,
        "1 pod isn't ready: agent-a on n1 (Pending)",
        1,
    );
    let found = waits::of_daemon_set(&sketch, &circumstances);
    assert_eq!(short(&found), [(WaitCode::Planner, not_synced, 0), unready]);
    circumstances.planner = None;
    let none = "there is no planner, so nothing is created or deleted";
    let found = waits::of_daemon_set(&sketch, &circumstances);
    assert_eq!(short(&found), [(WaitCode::Planner, none, 0), unready]);
}

#[test]
fn a_follower_says_of_the_pods_and_leaves_the_rest_to_the_leader() {
    let mut sketch = sketch([1, 1, 1, 0]);
    sketch.pods = vec![pending("agent-a", "n1")];
    let unready = (
        WaitCode::Readiness,
        "1 pod isn't ready: agent-a on n1 (Pending)",
        1,
    );
    let found = waits::of_daemon_set(&sketch, &following("other"));
    assert_eq!(short(&found), [unready]);
    let found = waits::of_daemon_set(&sketch, &following(""));
    let nobody = "no executor leads, so nothing is created or deleted";
    assert_eq!(short(&found), [(WaitCode::Planner, nobody, 0), unready]);
}

#[test]
fn a_refusal_is_said_in_the_servers_words_with_the_time_to_the_next_try() {
    let mut sketch = sketch([5, 1, 1, 1]);
    sketch.creations = Lane {
        queued: 2,
        in_progress: 0,
        refused: 1,
        refusal: Some(refusal("the API server refuses: exceeded quota: few", 3)),
    };
    sketch.deletions = Lane {
        queued: 0,
        in_progress: 1,
        refused: 0,
        refusal: Some(refusal("the API server refuses: not today", 0)),
    };
    let found = waits(&sketch);
    let create = "pods can't be created: the API server refuses: exceeded quota: few; the next try is in 3 s";
    let delete = "pods can't be deleted: the API server refuses: not today; it is being tried again";
    assert_eq!(
        short(&found),
        [(WaitCode::Refused, create, 3), (WaitCode::Refused, delete, 1)]
    );
}

#[test]
fn creations_and_deletions_in_progress_are_counted() {
    let mut sketch = sketch([5, 1, 1, 1]);
    sketch.creations.in_progress = 2;
    sketch.creations.queued = 4;
    sketch.deletions.in_progress = 1;
    sketch.pods = vec![PodFacts {
        deleting: true,
        ..pod("agent-a", "n1")
    }];
    let found = waits(&sketch);
    let created = "2 pods are being created, 4 wait for their turn";
    let deleted = "1 pod is to be deleted, 1 pod is terminating: agent-a on n1";
    assert_eq!(
        short(&found),
        [(WaitCode::Creation, created, 6), (WaitCode::Deletion, deleted, 2)]
    );
}

#[test]
fn pods_are_named_in_the_order_of_their_nodes_and_only_three_of_them() {
    let mut sketch = sketch([5, 5, 5, 0]);
    sketch.pods = ["n4", "n2", "n1", "n3", "n5"]
        .map(|node| pending(&format!("agent-{node}"), node))
        .to_vec();
    let message = "5 pods aren't ready: agent-n1 on n1 (Pending), agent-n2 on n2 (Pending), agent-n3 on n3 (Pending), \
                   and 2 more";
    assert_eq!(short(&waits(&sketch)), [(WaitCode::Readiness, message, 5)]);
}

#[test]
fn each_pod_is_said_of_once() {
    let mut sketch = of_spec(&json!({"minReadySeconds": 30}), sketch([5, 5, 5, 0]));
    let change = |name: &str, change: &dyn Fn(&mut PodFacts)| {
        let mut pod = pending(name, name);
        change(&mut pod);
        pod
    };
    sketch.pods = vec![
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
    sketch.available_at = Some(waiting.into());
    let failed = "1 pod has failed, and is left alone for a while before it is replaced: failed on failed";
    assert_eq!(
        short(&waits(&sketch)),
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
                "1 pod is ready, and not yet for 30 s: young on young",
                1
            ),
        ]
    );
}

#[test]
fn when_nobody_tells_which_pods_wait_to_be_available_the_counters_tell_how_many() {
    let mut sketch = of_spec(&json!({"minReadySeconds": 30}), sketch([5, 5, 5, 3]));
    sketch.counted.as_mut().unwrap().number_ready = 5;
    sketch.pods = vec![PodFacts {
        ready_since: Some(at(NOW)),
        ..pod("agent-a", "n1")
    }];
    assert_eq!(waits(&sketch), [], "the planner tells, and no pod waits");
    sketch.available_at = None;
    let message = "2 pods are ready, but not available yet";
    assert_eq!(short(&waits(&sketch)), [(WaitCode::Availability, message, 2)]);
    sketch.counted.as_mut().unwrap().number_available = 5;
    assert_eq!(waits(&sketch), []);
}

#[test]
fn old_pods_under_on_delete_wait_for_somebody_to_delete_them() {
    let mut sketch = of_spec(
        &json!({"updateStrategy": {"type": "OnDelete"}}),
        sketch([2, 2, 1, 2]),
    );
    let old = PodFacts {
        revision: "r0".to_owned(),
        ..pod("agent-a", "n1")
    };
    sketch.pods = vec![old, pod("agent-b", "n2")];
    let message =
        "1 pod of an old template stays until somebody deletes it (strategy OnDelete): agent-a on n1";
    assert_eq!(short(&waits(&sketch)), [(WaitCode::UserDeletion, message, 1)]);
    // The counters say that all pods are current, whatever their labels say.
    sketch.counted.as_mut().unwrap().updated_number_scheduled = 2;
    assert_eq!(waits(&sketch), []);
}

#[test]
fn upkeep_is_waited_for_as_long_as_the_template_has_no_revision() {
    let mut sketch = sketch([0, 0, 0, 0]);
    sketch.revision = None;
    sketch.upkeep = Upkeep::InProgress;
    let going_on = "its history and the ownership of its pods are being put in order";
    assert_eq!(short(&waits(&sketch)), [(WaitCode::Upkeep, going_on, 0)]);
    sketch.upkeep = Upkeep::Failing("can't create a revision: forbidden".to_owned());
    sketch.pods = vec![pending("agent-a", "n1")];
    let failing =
        "its history and the ownership of its pods can't be put in order: can't create a revision: forbidden";
    let unready = (
        WaitCode::Readiness,
        "1 pod isn't ready: agent-a on n1 (Pending)",
        1,
    );
    assert_eq!(short(&waits(&sketch)), [(WaitCode::Upkeep, failing, 0), unready]);
    // With a revision, everything else continues, so upkeep comes after more serious waits.
    sketch.revision = Some("r1".to_owned());
    assert_eq!(short(&waits(&sketch)), [unready, (WaitCode::Upkeep, failing, 0)]);
}
