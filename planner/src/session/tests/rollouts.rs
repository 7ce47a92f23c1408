//! Rollouts under a policy, over the wire.

use everynode_proto::planner::v1::{
    RolloutFacts, RolloutMemory, RolloutPhase, RolloutPolicyFacts, RolloutPolicyGone, RolloutPolicyKnowledge,
    RolloutPolicySpec, RolloutPolicyStatus, RolloutReport, RolloutStage, RolloutState, StageMemory,
};

use super::*;

fn policy() -> RolloutPolicyFacts {
    RolloutPolicyFacts {
        uid: "policy-uid".into(),
        namespace: "default".into(),
        name: "policy".into(),
        generation: 2,
        target_names: vec!["agent".into(), "missing".into()],
        spec: Some(RolloutPolicySpec {
            stages: vec![RolloutStage {
                name: "canary".into(),
                nodes: Some(IntOrPercent {
                    value: Some(int_or_percent::Value::Count(1)),
                }),
                soak: Some(prost_types::Duration {
                    seconds: 600,
                    nanos: 0,
                }),
                ..RolloutStage::default()
            }],
            ..RolloutPolicySpec::default()
        }),
        ..RolloutPolicyFacts::default()
    }
}

fn known() -> Fact {
    Fact::RolloutPolicyKnowledge(RolloutPolicyKnowledge::Known.into())
}

fn remembered(memory: RolloutMemory) -> Fact {
    Fact::RolloutChanged(RolloutFacts {
        daemon_set_uid: "agent-uid".into(),
        verbs: None,
        memory: Some(memory),
    })
}

/// What is remembered when every node has the revision `old`.
fn completed() -> RolloutMemory {
    RolloutMemory {
        daemon_set_uid: "agent-uid".into(),
        current_revision: "old".into(),
        update_revision: "old".into(),
        state: RolloutState::Completed.into(),
        ..RolloutMemory::default()
    }
}

fn report(outcome: &Outcome) -> &RolloutReport {
    plans(outcome).last().unwrap().rollout.as_ref().unwrap()
}

fn policy_statuses(outcome: &Outcome) -> Vec<&RolloutPolicyStatus> {
    let messages = outcome
        .responses
        .iter()
        .filter_map(|response| response.message.as_ref());
    messages
        .filter_map(|message| match message {
            Message::RolloutPolicyStatus(status) => Some(status),
            _ => None,
        })
        .collect()
}

/// These facts, three nodes, each with a pod of the revision `old`, and a `DaemonSet` of the revision `new`.
fn cluster(facts: Vec<Fact>) -> Vec<Fact> {
    let mut all = facts;
    all.push(daemon_set());
    for name in ["a", "b", "c"] {
        all.push(node(name));
        all.push(Fact::PodChanged(PodFacts {
            revision: "old".into(),
            ..pod_facts(name, name)
        }));
    }
    all.push(synced());
    all
}

/// A session with the facts of [`cluster`].
fn session(facts: Vec<Fact>) -> (Session, Outcome) {
    let mut session = Session::default();
    let outcome = session.take(request(1, cluster(facts))).unwrap();
    (session, outcome)
}

#[test]
fn t13_stage_opens_only_when_its_memory_is_reported_back() {
    let facts = vec![
        known(),
        Fact::RolloutPolicyChanged(policy()),
        remembered(completed()),
    ];
    let (mut session, outcome) = session(facts);
    assert_eq!(actions(&outcome), []);
    let begun = report(&outcome).memory.clone().unwrap();
    assert_eq!((begun.rollout, begun.state()), (1, RolloutState::Progressing));
    let outcome = session.take(request(2, vec![remembered(begun)])).unwrap();
    assert_eq!(actions(&outcome), []);
    let opened = report(&outcome).memory.clone().unwrap();
    let canary = StageMemory {
        name: "canary".into(),
        opened_at: Some(at(BEGIN)),
        nodes: vec!["a".into()],
        size: Some(IntOrPercent {
            value: Some(int_or_percent::Value::Count(1)),
        }),
        ..StageMemory::default()
    };
    assert_eq!(opened.stages, [canary]);
    let outcome = session.take(request(3, vec![remembered(opened)])).unwrap();
    let deleted: Vec<_> = actions(&outcome).into_iter().map(|(_, text)| text).collect();
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert_eq!(report(&outcome).phase(), RolloutPhase::Progressing);
    assert_eq!(
        report(&outcome).message,
        "stage canary: 0 of 1 nodes are updated and available"
    );
}

#[test]
fn policy_status_says_to_which_daemon_sets_the_policy_applies() {
    let (mut session, outcome) = session(vec![known(), Fact::RolloutPolicyChanged(policy())]);
    let [status] = policy_statuses(&outcome)[..] else {
        panic!("{outcome:?}");
    };
    let targets: Vec<_> = status
        .targets
        .iter()
        .map(|target| (target.name.as_str(), target.reason.as_str()))
        .collect();
    assert_eq!(targets, [("missing", "TargetNotFound"), ("agent", "Accepted")]);
    assert_eq!((status.accepted, status.generation), (1, 2));
    let again = session
        .take(request(2, vec![Fact::RolloutPolicyChanged(policy())]))
        .unwrap();
    assert_eq!(policy_statuses(&again).len(), 0, "nothing has changed");
    let mut invalid = policy();
    invalid.spec.as_mut().unwrap().stages[0].name.clear();
    let outcome = session
        .take(request(3, vec![Fact::RolloutPolicyChanged(invalid)]))
        .unwrap();
    let [status] = policy_statuses(&outcome)[..] else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (status.reason.as_str(), status.message.as_str()),
        ("Invalid", "stages[0].name must not be empty")
    );
}

#[test]
fn t3_rollout_is_held_when_its_policy_goes_in_the_middle() {
    let facts = vec![
        known(),
        Fact::RolloutPolicyChanged(policy()),
        remembered(completed()),
    ];
    let (mut session, outcome) = session(facts);
    let begun = report(&outcome).memory.clone().unwrap();
    session.take(request(2, vec![remembered(begun)])).unwrap();
    let gone = Fact::RolloutPolicyGone(RolloutPolicyGone {
        uid: "policy-uid".into(),
    });
    let outcome = session.take(request(3, vec![gone])).unwrap();
    assert_eq!(actions(&outcome), []);
    assert_eq!(report(&outcome).phase(), RolloutPhase::Stalled);
    assert_eq!(report(&outcome).reason, "PolicyGone");
}

#[test]
fn t14_memory_of_another_daemon_set_counts_as_absent() {
    let other = RolloutMemory {
        daemon_set_uid: "other-uid".into(),
        ..completed()
    };
    let (_, outcome) = session(vec![
        known(),
        Fact::RolloutPolicyChanged(policy()),
        remembered(other),
    ]);
    assert_eq!(actions(&outcome), []);
    let memory = report(&outcome).memory.clone().unwrap();
    assert_eq!(
        (memory.state(), memory.current_revision.as_str()),
        (RolloutState::Waiting, "old")
    );
}

#[test]
fn without_policies_nothing_changes() {
    for facts in [
        vec![],
        vec![Fact::RolloutPolicyKnowledge(
            RolloutPolicyKnowledge::Absent.into(),
        )],
        vec![known()],
        vec![known(), remembered(completed())],
    ] {
        let (_, outcome) = session(facts);
        assert_eq!(actions(&outcome).len(), 1, "one old pod is deleted");
        assert_eq!(plans(&outcome)[0].rollout, None);
    }
}

/// The nodes that the canary picks in a session of a planner on this node, whose hello names these nodes.
fn picked(planner_node: Option<&str>, own_nodes: Vec<String>) -> Vec<String> {
    let mut session = Session::default().on_node(planner_node);
    let facts = vec![
        known(),
        Fact::RolloutPolicyChanged(policy()),
        remembered(completed()),
    ];
    let mut first = request(1, cluster(facts));
    first.hello.as_mut().unwrap().own_nodes = own_nodes;
    let outcome = session.take(first).unwrap();
    let begun = report(&outcome).memory.clone().unwrap();
    let outcome = session.take(request(2, vec![remembered(begun)])).unwrap();
    let [canary] = &report(&outcome).memory.as_ref().unwrap().stages[..] else {
        panic!("{outcome:?}");
    };
    canary.nodes.clone()
}

#[test]
fn stage_of_a_number_picks_the_nodes_of_the_planner_and_of_the_hello_last() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(picked(None, names(&[])), ["a"]);
    assert_eq!(picked(None, names(&["a", ""])), ["b"]);
    assert_eq!(picked(Some("b"), names(&["a"])), ["c"]);
    assert_eq!(picked(Some("b"), names(&["a", "c"])), ["a"]);
    // Further and longer names are ignored.
    let mut many = vec!["x".repeat(MAX_NAME_BYTES + 1); 16];
    many.push("a".to_owned());
    assert_eq!(picked(None, many), ["a"]);
}
