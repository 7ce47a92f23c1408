use proptest::prelude::*;

use super::*;
use crate::testing::{taint, toleration};

#[test]
fn p4_toleration_matches_a_taint_by_key_value_and_effect() {
    #[track_caller]
    fn check(of: [&str; 4], against: &str, expected: bool) {
        assert_eq!(
            tolerates(&toleration(of), &taint(against)),
            expected,
            "{of:?} against {against}"
        );
    }
    check(["", "Exists", "", ""], "any=thing:NoExecute", true);
    check(["", "Exists", "", "NoSchedule"], "any=thing:NoSchedule", true);
    check(["", "Exists", "", "NoSchedule"], "any=thing:NoExecute", false);
    check(["a", "Exists", "", ""], "a=1:NoSchedule", true);
    check(["a", "Exists", "", ""], "b=1:NoSchedule", false);
    check(["a", "Exists", "ignored", "NoSchedule"], "a=1:NoSchedule", true);
    check(["a", "Equal", "1", ""], "a=1:NoExecute", true);
    check(["a", "Equal", "1", "NoExecute"], "a=1:NoSchedule", false);
    check(["a", "Equal", "2", ""], "a=1:NoSchedule", false);
    check(["a", "", "1", ""], "a=1:NoSchedule", true);
    check(["a", "", "", ""], "a:NoSchedule", true);
    check(["a", "", "", ""], "a=1:NoSchedule", false);
    check(["", "Equal", "1", ""], "a=1:NoSchedule", true);
    // Comparison operators are behind a feature gate that is off by default. Any other text isn't an operator.
    check(["a", "Gt", "0", ""], "a=1:NoSchedule", false);
    check(["a", "exists", "", ""], "a=1:NoSchedule", false);
}

#[test]
fn p4_only_no_schedule_and_no_execute_count() {
    #[track_caller]
    fn check(taints: &[&str], expected: &[Effect]) {
        let taints: Vec<_> = taints.iter().map(|text| taint(text)).collect();
        let tolerations = Tolerations::new(vec![toleration(["a", "Exists", "", "NoSchedule"])]);
        let effects: Vec<_> = tolerations
            .untolerated(&taints)
            .map(|(_, effect)| effect)
            .collect();
        assert_eq!(effects, expected, "{taints:?}");
    }
    check(&[], &[]);
    check(&["a:NoSchedule"], &[]);
    check(&["a:PreferNoSchedule", "b:PreferNoSchedule", "b:Unknown"], &[]);
    check(
        &["b:NoSchedule", "a:NoExecute"],
        &[Effect::NoSchedule, Effect::NoExecute],
    );
}

#[test]
fn p1_every_pod_tolerates_node_conditions_and_host_network_pods_an_unavailable_network() {
    let names = |host_network| {
        let template = PodTemplate {
            host_network,
            ..PodTemplate::default()
        };
        let added = added_tolerations(&template);
        assert!(
            added
                .iter()
                .all(|added| added.operator.as_ref() == "Exists" && added.value.is_empty())
        );
        let short = added
            .iter()
            .map(|added| format!("{}:{}", added.key, added.effect));
        short.collect::<Vec<_>>()
    };
    let always = [
        "node.kubernetes.io/not-ready:NoExecute",
        "node.kubernetes.io/unreachable:NoExecute",
        "node.kubernetes.io/disk-pressure:NoSchedule",
        "node.kubernetes.io/memory-pressure:NoSchedule",
        "node.kubernetes.io/pid-pressure:NoSchedule",
        "node.kubernetes.io/unschedulable:NoSchedule",
    ];
    assert_eq!(names(false), always);
    let network = ["node.kubernetes.io/network-unavailable:NoSchedule"];
    assert_eq!(names(true), [&always[..], &network[..]].concat());
}

/// One of a few texts, so that tolerations and taints often match.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(texts)
}

const KEYS: &[&str] = &["", "a", "b"];
const VALUES: &[&str] = &["", "1", "2"];
const EFFECTS: &[&str] = &["", "NoSchedule", "NoExecute", "PreferNoSchedule", "Unknown"];

proptest! {
    #[test]
    fn index_of_many_tolerations_agrees_with_a_linear_search(
        tolerations in proptest::collection::vec(
            (one_of(KEYS), one_of(&["", "Equal", "Exists", "Gt"]), one_of(VALUES), one_of(EFFECTS)),
            0..4,
        ),
        taints in proptest::collection::vec((one_of(KEYS), one_of(VALUES), one_of(EFFECTS)), 0..8),
    ) {
        let tolerations = tolerations.into_iter();
        let mut list: Vec<_> = tolerations
            .map(|(key, operator, value, effect)| toleration([key, operator, value, effect]))
            .collect();
        // Further tolerations, which admit none of these taints, make the list long enough for an index.
        list.extend((0..=MAX_SCANNED).map(|number| toleration([&format!("k{number}"), "Exists", "", ""])));
        let taints: Vec<_> = taints
            .into_iter()
            .map(|(key, value, effect)| Taint {
                key: key.into(),
                value: value.into(),
                effect: effect.into(),
            })
            .collect();
        let tolerations = Tolerations::new(list.clone());
        prop_assert!(!tolerations.index.is_empty());
        let found: Vec<_> = tolerations.untolerated(&taints).collect();
        let plain: Vec<_> = taints
            .iter()
            .filter_map(|taint| Effect::of(taint).map(|effect| (taint, effect)))
            .filter(|(taint, _)| !list.iter().any(|toleration| tolerates(toleration, taint)))
            .collect();
        prop_assert_eq!(found, plain);
    }
}
