mod availability;
mod memory;
mod problems;
mod replay;
mod rollouts;
mod rules;
mod syncs;

use everynode_proto::planner::v1::{
    ActionDone, ActionOutcome, DaemonSetFacts, Fact as Facts, Hello, IntOrPercent, NodeFacts, Plan, PodFacts,
    PodPhase, PodTemplateFacts, Problem, SyncComplete, Taint, UpdateStrategy, action::Action, int_or_percent,
    update_strategy,
};
use prost_types::Timestamp;
use tonic::Code;
use tonic_types::StatusExt;

use super::*;

const BEGIN: i64 = 1_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

fn request(sequence: u64, facts: Vec<Fact>) -> SessionRequest {
    let hello = Hello {
        cluster: "c".into(),
        identity: "e".into(),
        epoch: 1,
        protocol: PROTOCOL,
        capabilities: vec!["max_request_bytes".into()],
        ..Hello::default()
    };
    SessionRequest {
        sequence,
        now: Some(at(BEGIN)),
        hello: (sequence == 1).then_some(hello),
        facts: facts.into_iter().map(|fact| Facts { fact: Some(fact) }).collect(),
    }
}

fn node(name: &str) -> Fact {
    Fact::NodeChanged(NodeFacts {
        name: name.into(),
        ..NodeFacts::default()
    })
}

fn daemon_set_facts() -> DaemonSetFacts {
    let one = IntOrPercent {
        value: Some(int_or_percent::Value::Count(1)),
    };
    let rolling = update_strategy::RollingUpdate {
        max_unavailable: Some(one),
        max_surge: None,
    };
    DaemonSetFacts {
        namespace: "default".into(),
        name: "agent".into(),
        uid: "agent-uid".into(),
        generation: 3,
        template: Some(PodTemplateFacts::default()),
        update_strategy: Some(UpdateStrategy {
            strategy: Some(update_strategy::Strategy::RollingUpdate(rolling)),
        }),
        update_revision: "new".into(),
        ..DaemonSetFacts::default()
    }
}

fn daemon_set() -> Fact {
    Fact::DaemonSetChanged(daemon_set_facts())
}

fn pod_facts(name: &str, node: &str) -> PodFacts {
    PodFacts {
        uid: format!("{name}-uid"),
        name: name.into(),
        daemon_set_uid: "agent-uid".into(),
        node: node.into(),
        bound: true,
        phase: PodPhase::Running.into(),
        ready_since: Some(at(BEGIN - 100)),
        created: Some(at(BEGIN - 200)),
        revision: "new".into(),
        ..PodFacts::default()
    }
}

fn pod(name: &str, node: &str) -> Fact {
    Fact::PodChanged(pod_facts(name, node))
}

fn synced() -> Fact {
    Fact::SyncComplete(SyncComplete {})
}

fn done(action_id: u64, outcome: ActionOutcome) -> Fact {
    Fact::ActionDone(ActionDone {
        action_id,
        outcome: outcome.into(),
    })
}

fn plans(outcome: &Outcome) -> Vec<&Plan> {
    let messages = outcome
        .responses
        .iter()
        .filter_map(|response| response.message.as_ref());
    messages
        .filter_map(|message| match message {
            Message::Plan(plan) => Some(plan),
            Message::Welcome(_)
            | Message::Problem(_)
            | Message::SyncAccepted(_)
            | Message::RolloutPolicyStatus(_) => None,
        })
        .collect()
}

fn problems(outcome: &Outcome) -> Vec<&Problem> {
    let messages = outcome
        .responses
        .iter()
        .filter_map(|response| response.message.as_ref());
    messages
        .filter_map(|message| match message {
            Message::Problem(problem) => Some(problem),
            Message::Welcome(_)
            | Message::Plan(_)
            | Message::SyncAccepted(_)
            | Message::RolloutPolicyStatus(_) => None,
        })
        .collect()
}

/// Returns the actions of all plans in short form, with their ids.
fn actions(outcome: &Outcome) -> Vec<(u64, String)> {
    let all = plans(outcome).into_iter().flat_map(|plan| &plan.actions);
    all.map(|action| {
        let text = match action.action.as_ref().unwrap() {
            Action::Create(create) => format!("create {} at {}", create.node, create.revision),
            Action::Delete(delete) => format!("delete {}: {}", delete.pod, delete.reason().as_str_name()),
        };
        (action.id, text)
    })
    .collect()
}

fn violation(status: &Status) -> String {
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("a field violation").field_violations;
    assert_eq!(violations.len(), 1);
    assert!(!violations[0].description.is_empty());
    violations[0].field.clone()
}

#[test]
fn session_begins_with_hello() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut SessionRequest), code: Code, field: Option<&str>) {
        let mut first = request(1, Vec::new());
        change(&mut first);
        let status = read_hello(&first).expect_err("it should be refused");
        assert_eq!(status.code(), code, "{status}");
        if let Some(field) = field {
            assert_eq!(violation(&status), field);
        }
    }
    assert_eq!(read_hello(&request(1, Vec::new())).unwrap().cluster, "c");
    check(|first| first.hello = None, Code::InvalidArgument, Some("hello"));
    check(
        |first| first.hello.as_mut().unwrap().cluster.clear(),
        Code::InvalidArgument,
        Some("hello.cluster"),
    );
    check(
        |first| first.hello.as_mut().unwrap().identity.clear(),
        Code::InvalidArgument,
        Some("hello.identity"),
    );
    for protocol in [0, 2] {
        check(
            |first| first.hello.as_mut().unwrap().protocol = protocol,
            Code::FailedPrecondition,
            None,
        );
    }
}

#[test]
fn unusable_request_is_refused_and_names_the_field() {
    #[track_caller]
    fn check(session: &mut Session, request: SessionRequest, code: Code, field: &str) {
        let status = session.take(request).expect_err("it should be refused");
        assert_eq!(status.code(), code, "{status}");
        assert_eq!(violation(&status), field);
        assert!(status.message().contains(field), "{status}");
    }
    let mut session = Session::default();
    check(
        &mut session,
        request(0, Vec::new()),
        Code::InvalidArgument,
        "sequence",
    );
    check(
        &mut session,
        request(2, Vec::new()),
        Code::InvalidArgument,
        "sequence",
    );
    let without_hello = SessionRequest {
        hello: None,
        ..request(1, Vec::new())
    };
    check(&mut session, without_hello, Code::InvalidArgument, "hello");
    let without_time = SessionRequest {
        now: None,
        ..request(1, Vec::new())
    };
    check(&mut session, without_time, Code::InvalidArgument, "now");
    let too_many = request(1, vec![node("a"); MAX_FACTS + 1]);
    check(&mut session, too_many, Code::ResourceExhausted, "facts");
    session.take(request(1, vec![node("a"); MAX_FACTS])).unwrap();
    check(
        &mut session,
        request(1, Vec::new()),
        Code::InvalidArgument,
        "sequence",
    );
    check(
        &mut session,
        request(3, Vec::new()),
        Code::InvalidArgument,
        "sequence",
    );
    let again = SessionRequest {
        hello: request(1, Vec::new()).hello,
        ..request(2, Vec::new())
    };
    check(&mut session, again, Code::InvalidArgument, "hello");
    session.take(request(2, Vec::new())).unwrap();
}

#[test]
fn hello_is_answered_with_welcome() {
    let mut session = Session::default();
    let outcome = session.take(request(1, Vec::new())).unwrap();
    let [
        SessionResponse {
            message: Some(Message::Welcome(welcome)),
        },
    ] = outcome.responses.as_slice()
    else {
        panic!("a welcome was expected: {outcome:?}")
    };
    assert_eq!(welcome.planner_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(welcome.rules_version, RULES_VERSION);
    assert_eq!(welcome.max_facts_per_request, 1_000);
    assert_eq!(
        welcome.capabilities,
        ["sync_accepted", "pod_availability", "rollout_policies"]
    );
    assert_eq!(welcome.max_request_bytes, 4 * 1024 * 1024);
    assert!(session.take(request(2, Vec::new())).unwrap().responses.is_empty());
}

#[test]
fn nothing_is_planned_before_the_sync_is_complete() {
    let mut session = Session::default();
    let outcome = session.take(request(1, vec![node("a"), daemon_set()])).unwrap();
    assert_eq!((outcome.facts, outcome.plans), (2, 0));
    // The session doesn't know the pod of node b yet, so creating one would be wrong.
    assert_eq!(session.take(request(2, vec![node("b")])).unwrap().plans, 0);
    let outcome = session
        .take(request(3, vec![pod("p", "b"), synced(), pod("q", "a")]))
        .unwrap();
    assert_eq!((outcome.plans, outcome.creates, outcome.deletes), (1, 0, 0));
    let plan = plans(&outcome)[0];
    assert_eq!(
        (plan.id, plan.based_on, plan.daemon_set.as_str()),
        (1, 3, "default/agent")
    );
    assert_eq!(plan.daemon_set_uid, "agent-uid");
    let status = plan.status.unwrap();
    assert_eq!(
        (
            status.observed_generation,
            status.desired_number_scheduled,
            status.number_available
        ),
        (3, 2, 2)
    );
}

#[test]
fn plan_has_actions_and_the_tolerations_of_created_pods() {
    let mut session = Session::default();
    let outcome = session
        .take(request(
            1,
            vec![node("a"), daemon_set(), pod("p", "gone"), synced()],
        ))
        .unwrap();
    assert_eq!((outcome.creates, outcome.deletes), (1, 0));
    let plan = plans(&outcome)[0];
    assert_eq!(plan.added_tolerations.len(), 6);
    let Some(Action::Create(create)) = &plan.actions[0].action else {
        panic!("{plan:?}")
    };
    assert_eq!(
        (
            create.node.as_str(),
            create.revision.as_str(),
            create.succeeds_uid.as_str()
        ),
        ("a", "new", "")
    );

    let tainted = NodeFacts {
        name: "a".into(),
        taints: vec![Taint {
            key: "t".into(),
            value: String::new(),
            effect: "NoExecute".into(),
        }],
        ..NodeFacts::default()
    };
    let outcome = session
        .take(request(2, vec![pod("q", "a"), Fact::NodeChanged(tainted)]))
        .unwrap();
    let plan = plans(&outcome)[0];
    assert_eq!((plan.id, plan.added_tolerations.len()), (2, 0));
    let Some(Action::Delete(delete)) = &plan.actions[0].action else {
        panic!("{plan:?}")
    };
    assert_eq!(
        (delete.pod.as_str(), delete.uid.as_str(), delete.node.as_str()),
        ("q", "q-uid", "a")
    );
    assert_eq!(delete.reason(), wire::DeleteReason::Excluded);
}

#[test]
fn n1_actions_in_flight_are_not_requested_again() {
    let mut session = Session::default();
    let outcome = session
        .take(request(1, vec![node("a"), daemon_set(), synced()]))
        .unwrap();
    assert_eq!(actions(&outcome), [(1, "create a at new".to_owned())]);
    let outcome = session.take(request(2, vec![node("b"), daemon_set()])).unwrap();
    assert_eq!(actions(&outcome), [(2, "create b at new".to_owned())]);
    let outcome = session
        .take(request(3, vec![done(1, ActionOutcome::Failed)]))
        .unwrap();
    assert_eq!(
        actions(&outcome),
        [(3, "create a at new".to_owned())],
        "its action is no longer in flight"
    );
    let outcome = session
        .take(request(
            4,
            vec![done(1, ActionOutcome::Failed), done(77, ActionOutcome::Done)],
        ))
        .unwrap();
    assert_eq!(
        actions(&outcome),
        [],
        "an outcome that was reported before, and one of an unknown action"
    );
    let outcome = session
        .take(request(5, vec![pod("p", "a"), done(3, ActionOutcome::Done)]))
        .unwrap();
    assert_eq!(actions(&outcome), []);
    let outcome = session
        .take(request(6, vec![done(2, ActionOutcome::Skipped)]))
        .unwrap();
    assert_eq!(
        actions(&outcome),
        [(4, "create b at new".to_owned())],
        "it is still wanted"
    );
}

#[test]
fn s3_request_without_facts_advances_the_time() {
    let mut session = Session::default();
    let slow = Fact::DaemonSetChanged(DaemonSetFacts {
        min_ready_seconds: 30,
        ..daemon_set_facts()
    });
    let fresh = Fact::PodChanged(PodFacts {
        ready_since: Some(at(BEGIN - 10)),
        ..pod_facts("p", "a")
    });
    let outcome = session
        .take(request(1, vec![node("a"), slow, fresh, synced()]))
        .unwrap();
    let after = |outcome: &Outcome| {
        plans(outcome)[0]
            .reconsider_after
            .map(|after| (after.seconds, after.nanos))
    };
    let available = |outcome: &Outcome| plans(outcome)[0].status.unwrap().number_available;
    assert_eq!((available(&outcome), after(&outcome)), (0, Some((20, 0))));

    // The executor's timer fired too early by its clock, so the plan is repeated with the remaining time.
    let early = SessionRequest {
        now: Some(Timestamp {
            seconds: BEGIN + 19,
            nanos: 998_000_000,
        }),
        ..request(2, Vec::new())
    };
    let outcome = session.take(early).unwrap();
    assert_eq!((available(&outcome), after(&outcome)), (0, Some((0, 2_000_000))));
    let due = SessionRequest {
        now: Some(at(BEGIN + 20)),
        ..request(3, Vec::new())
    };
    let outcome = session.take(due).unwrap();
    assert_eq!((available(&outcome), after(&outcome)), (1, None));
    let later = SessionRequest {
        now: Some(at(BEGIN + 60)),
        ..request(4, Vec::new())
    };
    assert!(session.take(later).unwrap().responses.is_empty());
}
