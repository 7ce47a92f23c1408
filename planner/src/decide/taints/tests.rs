use super::*;
use crate::testing::{taint, toleration};

#[test]
fn p4_a_toleration_admits_a_taint_by_key_value_and_effect() {
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
    // Comparisons are behind a feature gate that is off, and anything else is no operator.
    check(["a", "Gt", "0", ""], "a=1:NoSchedule", false);
    check(["a", "exists", "", ""], "a=1:NoSchedule", false);
}

#[test]
fn p4_only_no_schedule_and_no_execute_count() {
    #[track_caller]
    fn check(taints: &[&str], expected: &[Effect]) {
        let taints: Vec<_> = taints.iter().map(|text| taint(text)).collect();
        let tolerations = [toleration(["a", "Exists", "", "NoSchedule"])];
        let effects: Vec<_> = untolerated(&taints, &tolerations)
            .map(|(_, effect)| effect)
            .collect();
        assert_eq!(effects, expected, "{taints:?}");
    }
    check(&[], &[]);
    check(&["a:NoSchedule"], &[]);
    check(&["a:PreferNoSchedule", "b:PreferNoSchedule", "b:Unheard"], &[]);
    check(
        &["b:NoSchedule", "a:NoExecute"],
        &[Effect::NoSchedule, Effect::NoExecute],
    );
}

#[test]
fn p1_every_pod_tolerates_its_nodes_troubles_and_on_the_host_network_a_missing_one() {
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
