use everynode_proto::planner::v1::{
    DaemonSetFacts, DaemonSetGone, Fact as Facts, NodeGone, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, PodFacts, PodGone, PodTemplateFacts, Problem, Toleration,
};

use super::*;

#[test]
fn malformed_fact_is_a_problem_and_does_not_end_the_session() {
    let mut session = Session::default();
    session
        .take(request(1, vec![node("a"), daemon_set(), pod("p", "a"), synced()]))
        .unwrap();
    let daemon_set = |change: fn(&mut DaemonSetFacts)| {
        let mut facts = daemon_set_facts();
        change(&mut facts);
        Some(Fact::DaemonSetChanged(facts))
    };
    let pod = |change: fn(&mut PodFacts)| {
        let mut facts = pod_facts("p", "a");
        change(&mut facts);
        Some(Fact::PodChanged(facts))
    };
    let cases = [
        (None, "fact facts[0]", "fact"),
        (Some(node("")), "node facts[1]", "name"),
        (
            daemon_set(|facts| facts.namespace.clear()),
            "daemonset /agent",
            "namespace",
        ),
        (
            daemon_set(|facts| facts.name.clear()),
            "daemonset facts[3]",
            "name",
        ),
        (
            daemon_set(|facts| facts.uid.clear()),
            "daemonset default/agent",
            "uid",
        ),
        (
            daemon_set(|facts| facts.min_ready_seconds = -1),
            "daemonset default/agent",
            "min_ready_seconds",
        ),
        (pod(|facts| facts.uid.clear()), "pod p", "uid"),
        (pod(|facts| facts.name.clear()), "pod facts[7]", "name"),
        (
            pod(|facts| facts.daemon_set_uid.clear()),
            "pod p",
            "daemon_set_uid",
        ),
    ];
    let mut odd = request(2, Vec::new());
    odd.facts = cases
        .iter()
        .map(|(fact, ..)| Facts { fact: fact.clone() })
        .collect();
    odd.facts.push(Facts {
        fact: Some(node("b")),
    });
    let outcome = session.take(odd).unwrap();
    let found: Vec<_> = problems(&outcome)
        .iter()
        .map(|problem| (problem.object.as_str(), problem.field.as_str()))
        .collect();
    let expected: Vec<_> = cases.iter().map(|(_, object, field)| (*object, *field)).collect();
    assert_eq!(found, expected);
    assert!(
        problems(&outcome)
            .iter()
            .all(|problem| problem.code() == ProblemCode::Malformed)
    );
    assert!(
        problems(&outcome)
            .iter()
            .all(|problem| !problem.message.is_empty())
    );
    assert_eq!(
        actions(&outcome),
        [(1, "create b at new".to_owned())],
        "the other facts are applied"
    );
}

#[test]
fn unknown_and_missing_values_get_defaults() {
    let mut session = Session::default();
    let odd = Fact::PodChanged(PodFacts {
        phase: 77,
        created: None,
        ..pod_facts("p", "a")
    });
    let bare = DaemonSetFacts {
        template: None,
        update_strategy: None,
        ..daemon_set_facts()
    };
    let outcome = session
        .take(request(
            1,
            vec![node("a"), Fact::DaemonSetChanged(bare), odd, synced()],
        ))
        .unwrap();
    assert_eq!(problems(&outcome), Vec::<&Problem>::new());
    assert_eq!(plans(&outcome)[0].status.unwrap().number_ready, 1);
    for fact in [
        Fact::NodeGone(NodeGone {
            name: "unknown".into(),
        }),
        Fact::PodGone(PodGone {
            uid: "unknown".into(),
        }),
        Fact::DaemonSetGone(DaemonSetGone {
            uid: "unknown".into(),
        }),
    ] {
        let sequence = session.sequence + 1;
        assert!(
            session
                .take(request(sequence, vec![fact]))
                .unwrap()
                .responses
                .is_empty()
        );
    }
}

#[test]
fn p3_malformed_term_is_a_problem_of_the_plan() {
    let requirement = |operator: &str| NodeSelectorRequirement {
        key: "a".into(),
        operator: operator.into(),
        values: vec![],
    };
    let term = |operator| NodeSelectorTerm {
        match_expressions: vec![requirement(operator)],
        match_fields: vec![],
    };
    let affinity = |terms| Some(NodeSelector { terms });
    let facts = |terms| {
        let template = PodTemplateFacts {
            required_node_affinity: affinity(terms),
            ..PodTemplateFacts::default()
        };
        Fact::DaemonSetChanged(DaemonSetFacts {
            template: Some(template),
            ..daemon_set_facts()
        })
    };
    let mut session = Session::default();
    let outcome = session
        .take(request(
            1,
            vec![
                node("a"),
                facts(vec![term("Near"), term("DoesNotExist")]),
                synced(),
            ],
        ))
        .unwrap();
    let plan = plans(&outcome)[0];
    assert_eq!(actions(&outcome).len(), 1, "the other term still matches");
    assert_eq!(plan.problems.len(), 1);
    assert_eq!(plan.problems[0].code(), ProblemCode::MalformedTerm);
    assert_eq!(plan.problems[0].object, "daemonset default/agent");
    assert!(
        plan.problems[0]
            .field
            .ends_with("nodeSelectorTerms[0].matchExpressions[0].operator")
    );
    let outcome = session
        .take(request(2, vec![facts(vec![term("DoesNotExist")])]))
        .unwrap();
    assert_eq!(plans(&outcome)[0].problems, [], "the term was corrected");
}

#[test]
fn p4_unknown_operator_of_a_toleration_is_a_problem_of_the_plan() {
    let toleration = |operator: &str| Toleration {
        key: "example.com/sla".into(),
        operator: operator.into(),
        value: "900".into(),
        effect: "NoSchedule".into(),
    };
    let facts = |operator| {
        let template = PodTemplateFacts {
            tolerations: vec![toleration(operator)],
            ..PodTemplateFacts::default()
        };
        Fact::DaemonSetChanged(DaemonSetFacts {
            template: Some(template),
            ..daemon_set_facts()
        })
    };
    let mut session = Session::default();
    let outcome = session
        .take(request(1, vec![node("a"), facts("Gt"), synced()]))
        .unwrap();
    let plan = plans(&outcome)[0];
    assert_eq!(actions(&outcome).len(), 1);
    assert_eq!(plan.problems.len(), 1);
    assert_eq!(plan.problems[0].code(), ProblemCode::Invalid);
    assert_eq!(plan.problems[0].object, "daemonset default/agent");
    assert_eq!(
        plan.problems[0].field,
        "spec.template.spec.tolerations[0].operator"
    );
    let outcome = session.take(request(2, vec![facts("Equal")])).unwrap();
    assert_eq!(plans(&outcome)[0].problems, [], "the operator was corrected");
}

#[test]
fn p6_empty_selector_is_a_problem_without_status() {
    let mut session = Session::default();
    let all = Fact::DaemonSetChanged(DaemonSetFacts {
        selects_everything: true,
        ..daemon_set_facts()
    });
    let outcome = session.take(request(1, vec![node("a"), all, synced()])).unwrap();
    let plan = plans(&outcome)[0];
    assert_eq!((plan.actions.len(), plan.status), (0, None));
    assert_eq!(plan.problems[0].code(), ProblemCode::SelectsEverything);
}
