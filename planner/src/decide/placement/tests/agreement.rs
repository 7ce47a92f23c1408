//! Checks that reasons and verdicts agree. They evaluate the same conditions in two different ways.

use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::RngSeed};

use crate::{
    decide::placement::Placement,
    model::{Node, PodTemplate, ReasonCode, Requirement, Term, Text, Verdict},
    testing::{node, requirement, toleration, with_template},
};

fn any_requirement() -> impl Strategy<Value = Requirement> {
    let key = select(vec!["a", "b", "-"]);
    let operator = select(vec!["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Near"]);
    (key, operator, vec(select(vec!["0", "1", "x"]), 0..3))
        .prop_map(|(key, operator, values)| requirement(key, operator, &values))
}

fn any_field() -> impl Strategy<Value = Requirement> {
    (
        select(vec!["In", "NotIn", "Exists"]),
        vec(select(vec!["m", "n"]), 0..2),
    )
        .prop_map(|(operator, values)| requirement("metadata.name", operator, &values))
}

fn any_term() -> impl Strategy<Value = Term> {
    (vec(any_requirement(), 0..3), vec(any_field(), 0..2))
        .prop_map(|(expressions, fields)| Term { expressions, fields })
}

fn any_template() -> impl Strategy<Value = PodTemplate> {
    let tolerations = vec(
        (
            select(vec!["a", ""]),
            select(vec!["", "Exists"]),
            select(vec!["", "NoExecute"]),
        ),
        0..2,
    );
    (
        option::weighted(0.2, select(vec!["m", "n"])),
        vec((select(vec!["a", "b"]), select(vec!["0", "1"])), 0..2),
        option::of(vec(any_term(), 0..3)),
        tolerations,
    )
        .prop_map(|(node_name, selector, required_terms, tolerations)| PodTemplate {
            node_name: node_name.map(Text::from),
            node_selector: selector
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            required_terms,
            tolerations: tolerations
                .into_iter()
                .map(|(key, operator, effect)| toleration([key, operator, "", effect]))
                .collect(),
            host_network: false,
        })
}

fn any_node() -> impl Strategy<Value = Node> {
    let taints = select(vec![
        "a:NoSchedule",
        "a:NoExecute",
        "b=1:NoSchedule",
        "b:PreferNoSchedule",
    ]);
    let labels = select(vec!["a=0", "a=1", "b=0", "b=x"]);
    (select(vec!["m", "n"]), vec(labels, 0..3), vec(taints, 0..3))
        .prop_map(|(name, labels, taints)| node(name, &labels, &taints))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn reasons_always_agree_with_the_verdict(template in any_template(), node in any_node()) {
        let placement = Placement::new(&with_template(template));
        let reasons = placement.explain(&node);
        prop_assert!(!reasons.is_empty());
        let placed = reasons.iter().all(|reason| {
            matches!(reason.code, ReasonCode::Fits | ReasonCode::UntoleratedTaint)
        });
        let fits = reasons.iter().any(|reason| reason.code == ReasonCode::Fits);
        let evicted = reasons.iter().any(|reason| {
            reason.code == ReasonCode::UntoleratedTaint && reason.message.contains("an existing pod is deleted")
        });
        prop_assert!(!fits || reasons.len() == 1);
        let expected = match (fits, placed && !evicted) {
            (true, _) => Verdict::Run,
            (false, true) => Verdict::Keep,
            (false, false) => Verdict::Exclude,
        };
        prop_assert_eq!(placement.verdict(&node), expected, "{:?}", reasons);
    }
}
