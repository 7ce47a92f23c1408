mod agreement;

use super::*;
use crate::{
    model::{PodTemplate, ProblemCode, Term},
    testing::{daemon_set, node, requirement, term, toleration, with_template},
};

#[track_caller]
fn check(template: &PodTemplate, node: &Node, expected: Verdict) {
    let placement = Placement::new(&with_template(template.clone()));
    assert_eq!(placement.verdict(node), expected, "{template:?} on {node:?}");
}

fn codes(placement: &Placement, node: &Node) -> Vec<ReasonCode> {
    placement.explain(node).iter().map(|reason| reason.code).collect()
}

#[test]
fn p1_node_with_condition_taints_runs_its_pod() {
    let on_host = PodTemplate {
        host_network: true,
        ..PodTemplate::default()
    };
    for (taint, plain, host_network) in [
        (
            "node.kubernetes.io/not-ready:NoExecute",
            Verdict::Run,
            Verdict::Run,
        ),
        (
            "node.kubernetes.io/unreachable:NoExecute",
            Verdict::Run,
            Verdict::Run,
        ),
        (
            "node.kubernetes.io/disk-pressure:NoSchedule",
            Verdict::Run,
            Verdict::Run,
        ),
        (
            "node.kubernetes.io/memory-pressure:NoSchedule",
            Verdict::Run,
            Verdict::Run,
        ),
        (
            "node.kubernetes.io/pid-pressure:NoSchedule",
            Verdict::Run,
            Verdict::Run,
        ),
        (
            "node.kubernetes.io/unschedulable:NoSchedule",
            Verdict::Run,
            Verdict::Run,
        ),
        (
            "node.kubernetes.io/network-unavailable:NoSchedule",
            Verdict::Keep,
            Verdict::Run,
        ),
        // Each added toleration applies to one effect only.
        (
            "node.kubernetes.io/not-ready:NoSchedule",
            Verdict::Keep,
            Verdict::Keep,
        ),
        (
            "node.kubernetes.io/unreachable:NoSchedule",
            Verdict::Keep,
            Verdict::Keep,
        ),
        (
            "node.kubernetes.io/disk-pressure:NoExecute",
            Verdict::Exclude,
            Verdict::Exclude,
        ),
        (
            "node.kubernetes.io/out-of-service=x:NoExecute",
            Verdict::Exclude,
            Verdict::Exclude,
        ),
    ] {
        check(&PodTemplate::default(), &node("n", &[], &[taint]), plain);
        check(&on_host, &node("n", &[], &[taint]), host_network);
    }
}

#[test]
fn p2_node_name_in_the_template_selects_one_node() {
    let template = PodTemplate {
        node_name: Some("a".into()),
        ..PodTemplate::default()
    };
    check(&template, &node("a", &[], &[]), Verdict::Run);
    check(&template, &node("b", &[], &[]), Verdict::Exclude);
    check(&template, &node("a", &[], &["x:NoSchedule"]), Verdict::Keep);
}

#[test]
fn p3_every_label_of_the_node_selector_must_match() {
    let selector = [("disk", "ssd"), ("zone", "")];
    let pairs = selector
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()));
    let template = PodTemplate {
        node_selector: pairs.collect(),
        ..PodTemplate::default()
    };
    check(
        &template,
        &node("n", &["disk=ssd", "zone=", "more=1"], &[]),
        Verdict::Run,
    );
    check(
        &template,
        &node("n", &["disk=ssd", "zone=1"], &[]),
        Verdict::Exclude,
    );
    check(&template, &node("n", &["disk=ssd"], &[]), Verdict::Exclude);
    check(
        &template,
        &node("n", &["disk=hdd", "zone="], &[]),
        Verdict::Exclude,
    );
    check(&template, &node("n", &[], &[]), Verdict::Exclude);
}

#[test]
fn p3_one_matching_term_of_the_affinity_is_enough() {
    let with = |terms: Option<&[Term]>| PodTemplate {
        required_terms: terms.map(<[_]>::to_vec),
        ..PodTemplate::default()
    };
    let exists = |key| term(&[requirement(key, "Exists", &[])]);
    let malformed = term(&[requirement("a", "Near", &[])]);
    let labeled = node("n", &["b="], &[]);
    check(&with(None), &labeled, Verdict::Run);
    check(&with(Some(&[])), &labeled, Verdict::Exclude);
    check(&with(Some(&[Term::default()])), &labeled, Verdict::Exclude);
    check(&with(Some(&[exists("a")])), &labeled, Verdict::Exclude);
    check(&with(Some(&[exists("a"), exists("b")])), &labeled, Verdict::Run);
    check(
        &with(Some(std::slice::from_ref(&malformed))),
        &labeled,
        Verdict::Exclude,
    );
    check(
        &with(Some(&[malformed, Term::default(), exists("b")])),
        &labeled,
        Verdict::Run,
    );
}

#[test]
fn p3_node_selector_and_affinity_must_both_match() {
    let template = PodTemplate {
        node_selector: [("a".into(), "1".into())].into_iter().collect(),
        required_terms: Some(vec![term(&[requirement("b", "Exists", &[])])]),
        ..PodTemplate::default()
    };
    check(&template, &node("n", &["a=1", "b="], &[]), Verdict::Run);
    check(&template, &node("n", &["a=1"], &[]), Verdict::Exclude);
    check(&template, &node("n", &["b="], &[]), Verdict::Exclude);
}

#[test]
fn p3_malformed_term_is_a_problem_at_its_field() {
    let terms = vec![
        term(&[requirement("b", "Exists", &[])]),
        term(&[requirement("b", "Exists", &[]), requirement("a", "Gt", &["x"])]),
    ];
    let daemon_set = with_template(PodTemplate {
        required_terms: Some(terms),
        ..PodTemplate::default()
    });
    let problems = Placement::new(&daemon_set).problems();
    let [problem] = problems.as_slice() else {
        panic!("one problem was expected: {problems:?}")
    };
    assert_eq!(problem.code, ProblemCode::MalformedTerm);
    assert_eq!(
        problem.field,
        "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution\
         .nodeSelectorTerms[1].matchExpressions[1].values[0]"
    );
    assert_eq!(
        problem.message,
        "\"x\" must be an integer for operator Gt; the term matches no node"
    );
}

#[test]
fn p4_verdict_depends_on_the_effect_of_the_taint() {
    let tolerant = PodTemplate {
        tolerations: vec![toleration(["a", "Exists", "", ""])],
        ..PodTemplate::default()
    };
    for (taints, expected) in [
        (&["b:NoSchedule"][..], Verdict::Keep),
        (&["b:NoExecute"], Verdict::Exclude),
        (&["b:NoSchedule", "c:NoExecute"], Verdict::Exclude),
        (&["b:PreferNoSchedule"], Verdict::Run),
        (&["a:NoSchedule", "a=1:NoExecute"], Verdict::Run),
        (&["a:NoExecute", "b:NoSchedule"], Verdict::Keep),
        (&["b:Unknown"], Verdict::Run),
    ] {
        check(&tolerant, &node("n", &[], taints), expected);
    }
}

#[test]
fn p5_cordoned_node_runs_its_pod() {
    check(
        &PodTemplate::default(),
        &node(
            "n",
            &["node-role.kubernetes.io/control-plane="],
            &["node.kubernetes.io/unschedulable:NoSchedule"],
        ),
        Verdict::Run,
    );
}

#[test]
fn p6_empty_selector_gets_no_pods_and_is_a_problem() {
    let daemon_set = DaemonSet {
        selects_everything: true,
        ..daemon_set()
    };
    let placement = Placement::new(&daemon_set);
    let anywhere = node("n", &[], &[]);
    assert_eq!(placement.verdict(&anywhere), Verdict::Exclude);
    assert_eq!(codes(&placement, &anywhere), [ReasonCode::SelectsEverything]);
    let problems: Vec<_> = placement
        .problems()
        .into_iter()
        .map(|problem| (problem.code, problem.field))
        .collect();
    assert_eq!(
        problems,
        [(ProblemCode::SelectsEverything, "spec.selector".to_owned())]
    );
}

#[test]
fn a4_daemon_set_that_is_being_deleted_runs_nowhere() {
    let placement = Placement::new(&DaemonSet {
        deleting: true,
        ..daemon_set()
    });
    let anywhere = node("n", &[], &[]);
    assert_eq!(placement.verdict(&anywhere), Verdict::Exclude);
    assert_eq!(codes(&placement, &anywhere), [ReasonCode::BeingDeleted]);
    assert_eq!(placement.problems(), []);
}

#[test]
fn every_unmet_condition_is_a_reason() {
    use ReasonCode::{NodeAffinity, NodeName, NodeSelector, UntoleratedTaint};
    let template = PodTemplate {
        node_name: Some("elsewhere".into()),
        node_selector: [
            ("a".into(), "1".into()),
            ("b".into(), "2".into()),
            ("c".into(), "3".into()),
        ]
        .into_iter()
        .collect(),
        required_terms: Some(vec![
            term(&[
                requirement("d", "Exists", &[]),
                requirement("e", "In", &["x", "y"]),
            ]),
            Term::default(),
            term(&[requirement("f", "Near", &[])]),
        ]),
        ..PodTemplate::default()
    };
    let placement = Placement::new(&with_template(template));
    let node = node(
        "here",
        &["a=0", "c=3", "e=z"],
        &["t=1:NoSchedule", "u:NoExecute", "v:PreferNoSchedule"],
    );
    let reasons = placement.explain(&node);
    let found: Vec<_> = reasons
        .iter()
        .map(|reason| (reason.code, reason.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (
                NodeName,
                "spec.nodeName of the template is elsewhere, the node is here"
            ),
            (NodeSelector, "nodeSelector wants a=1, the node has a=0"),
            (NodeSelector, "nodeSelector wants b=2, the node has no label b"),
            (
                NodeAffinity,
                "required node affinity, term 1 of 3: d Exists is required, the node has no label d"
            ),
            (
                NodeAffinity,
                "required node affinity, term 1 of 3: e In [x, y] is required, the node has e=z"
            ),
            (
                NodeAffinity,
                "required node affinity, term 2 of 3: it is empty, which matches no node"
            ),
            (
                NodeAffinity,
                "required node affinity, term 3 of 3: it can't be parsed (matchExpressions[0].operator: \"Near\" must be \
             one of In, NotIn, Exists, DoesNotExist, Gt, Lt)"
            ),
            (
                UntoleratedTaint,
                "taint t=1:NoSchedule is not tolerated (no pod is created); a toleration {key: t, \
             operator: Exists, effect: NoSchedule} would admit it"
            ),
            (
                UntoleratedTaint,
                "taint u:NoExecute is not tolerated (an existing pod is deleted, none is created); a toleration {key: u, \
             operator: Exists, effect: NoExecute} would admit it"
            ),
        ]
    );
}

#[test]
fn affinity_without_terms_is_a_reason() {
    let template = PodTemplate {
        required_terms: Some(Vec::new()),
        ..PodTemplate::default()
    };
    let placement = Placement::new(&with_template(template));
    assert_eq!(
        codes(&placement, &node("n", &[], &[])),
        [ReasonCode::NodeAffinity]
    );
    let problems = placement.problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].field.ends_with(".nodeSelectorTerms"), "{problems:?}");
}
