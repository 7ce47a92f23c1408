use super::*;
use crate::{
    decide::placement::Placement,
    model::{Node, PodTemplate},
    testing::{node, with_template},
};

fn summary(template: PodTemplate, nodes: &[Node]) -> (Summary, Vec<String>) {
    let placement = Placement::new(&with_template(template));
    let mut summary = Summary::default();
    for node in nodes {
        summary.add(placement.verdict(node), &placement.explain(node));
    }
    let counts = summary.clone().into_counts();
    let text = |count: &ConditionCount| format!("{} {:?} {}", count.nodes, count.verdict, count.condition);
    (summary, counts.iter().map(text).collect())
}

#[test]
fn verdicts_and_unmet_conditions_are_counted() {
    let template = PodTemplate {
        node_selector: node("any", &["disk=ssd"], &[]).labels,
        ..PodTemplate::default()
    };
    let nodes = [
        node("a", &["disk=ssd"], &[]),
        node("b", &["disk=ssd"], &["dedicated=db:NoSchedule"]),
        node("c", &["disk=hdd"], &["dedicated=db:NoSchedule"]),
        node("d", &[], &[]),
        node("e", &["disk=hdd"], &[]),
    ];
    let (summary, counts) = summary(template, &nodes);
    assert_eq!((summary.run, summary.keep, summary.exclude), (1, 1, 3));
    assert_eq!(
        counts,
        [
            "3 Exclude nodeSelector disk=ssd",
            "1 Keep taint dedicated=db:NoSchedule",
            "1 Exclude taint dedicated=db:NoSchedule",
        ]
    );
}

#[test]
fn condition_of_a_runtime_class_is_counted_for_nodes_that_run_a_pod() {
    let fits = Placement::new(&with_template(PodTemplate::default())).explain(&node("a", &[], &[]));
    let pending = Reason {
        code: ReasonCode::RuntimeClass,
        message: String::new(),
        condition: "RuntimeClass kata: runtime=kata".to_owned(),
        detail: None,
    };
    let mut summary = Summary::default();
    summary.add(Verdict::Run, &fits);
    summary.add(
        Verdict::Run,
        &[&fits[..], std::slice::from_ref(&pending)].concat(),
    );
    assert_eq!(summary.run, 2);
    let counts = summary.into_counts();
    let counts: Vec<_> = counts
        .iter()
        .map(|count| (count.code, count.verdict, count.nodes))
        .collect();
    assert_eq!(counts, [(ReasonCode::RuntimeClass, Verdict::Run, 1)]);
}

#[test]
fn node_counts_once_for_each_condition() {
    let nodes = [node("a", &[], &["x=1:NoSchedule", "x=1:NoSchedule"])];
    let (_, counts) = summary(PodTemplate::default(), &nodes);
    assert_eq!(counts, ["1 Keep taint x=1:NoSchedule"]);
}
