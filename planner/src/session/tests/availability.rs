//! Progress and availability in plans.

use everynode_proto::planner::v1::{PodAvailability, Progress};

use super::*;

/// A session of an executor with these capabilities, with a pod on `a` that waits for minReadySeconds and one on `b`
/// that is available. Returns the session and its first plan.
fn begin(capabilities: &[&str]) -> (Session, Plan) {
    let mut first = request(1, vec![node("a"), node("b")]);
    first.hello.as_mut().unwrap().capabilities = capabilities.iter().map(|name| (*name).to_owned()).collect();
    let waiting = DaemonSetFacts {
        min_ready_seconds: 30,
        ..daemon_set_facts()
    };
    let young = PodFacts {
        ready_since: Some(Timestamp {
            seconds: BEGIN - 10,
            nanos: 500_000_000,
        }),
        ..pod_facts("p", "a")
    };
    let facts = vec![
        Fact::DaemonSetChanged(waiting),
        Fact::PodChanged(young),
        pod("q", "b"),
        synced(),
    ];
    let mut session = Session::default();
    session.take(first).unwrap();
    let outcome = session.take(request(2, facts)).unwrap();
    let [plan] = plans(&outcome)[..] else {
        panic!("{outcome:?}")
    };
    (session, plan.clone())
}

#[test]
fn plans_report_when_waiting_pods_become_available() {
    let (mut session, plan) = begin(&["something_newer", "pod_availability"]);
    let waits = PodAvailability {
        uid: "p-uid".to_owned(),
        available_at: Some(Timestamp {
            seconds: BEGIN + 20,
            nanos: 500_000_000,
        }),
    };
    assert_eq!(plan.pod_availability, [waits]);
    assert_eq!(plan.progress(), Progress::InProgress);
    assert_eq!(
        plan.progress_message,
        "2 of 2 pods are of the current template, 1 available"
    );

    let later = SessionRequest {
        now: Some(at(BEGIN + 21)),
        ..request(3, Vec::new())
    };
    let outcome = session.take(later).unwrap();
    let [plan] = plans(&outcome)[..] else {
        panic!("{outcome:?}")
    };
    let available = PodAvailability {
        uid: "p-uid".to_owned(),
        available_at: None,
    };
    assert_eq!(plan.pod_availability, [available]);
    assert_eq!(plan.progress(), Progress::Complete);
    assert_eq!(
        plan.progress_message,
        "all 2 pods are of the current template and available"
    );
}

#[test]
fn availability_is_sent_only_to_executors_that_read_it() {
    let (_, plan) = begin(&["max_request_bytes", "sync_accepted"]);
    assert_eq!(plan.pod_availability, []);
    assert_eq!(
        plan.progress(),
        Progress::InProgress,
        "progress is sent without the capability"
    );
    let (_, known) = begin(&["pod_availability"]);
    assert_eq!(
        plan,
        Plan {
            pod_availability: Vec::new(),
            ..known
        }
    );
}

#[test]
fn progress_is_sent_only_with_a_status() {
    let mut session = Session::default();
    let mut of = |facts: DaemonSetFacts, sequence| {
        let facts = vec![node("a"), Fact::DaemonSetChanged(facts), synced()];
        let outcome = session.take(request(sequence, facts)).unwrap();
        let plan = (*plans(&outcome).last().unwrap()).clone();
        (plan.progress(), plan.progress_message)
    };
    let message = "0 of 1 pod is of the current template, 0 available".to_owned();
    assert_eq!(of(daemon_set_facts(), 1), (Progress::InProgress, message));
    let everything = DaemonSetFacts {
        selects_everything: true,
        ..daemon_set_facts()
    };
    assert_eq!(of(everything, 2), (Progress::Unspecified, String::new()));
}

#[test]
fn rollout_on_delete_waits_for_deletion_of_available_old_pods() {
    let on_delete = UpdateStrategy {
        strategy: Some(update_strategy::Strategy::OnDelete(
            update_strategy::OnDelete::default(),
        )),
    };
    let old = PodFacts {
        revision: "old".into(),
        ..pod_facts("p", "a")
    };
    let facts = DaemonSetFacts {
        update_strategy: Some(on_delete),
        ..daemon_set_facts()
    };
    let facts = vec![
        node("a"),
        Fact::DaemonSetChanged(facts),
        Fact::PodChanged(old),
        synced(),
    ];
    let outcome = Session::default().take(request(1, facts)).unwrap();
    let plan = plans(&outcome)[0];
    assert_eq!(plan.progress(), Progress::WaitingForDeletion);
    let message = "0 of 1 pod is of the current template, 1 available";
    assert_eq!(plan.progress_message, message);
}
