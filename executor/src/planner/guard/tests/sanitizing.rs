//! Removal and truncation of what plans may not contain: availability, conditions, tolerations and problems.

use super::*;

fn condition(kind: &str, reason: &str, message: &str) -> DaemonSetCondition {
    DaemonSetCondition {
        r#type: kind.to_owned(),
        status: true,
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

#[test]
fn availability_is_kept_only_for_pods_of_the_daemon_set_and_once_for_each() {
    let foreign = with(
        pod_json("p2", 3),
        json!({"metadata": {"ownerReferences": owned_by("ds-2")}}),
    );
    let cluster = cluster(&[
        pod_json("p1", 3),
        foreign,
        orphan_json("p3", 3),
        pod_json("p4", 3),
    ]);
    let change = |pod: &str| PodAvailability {
        uid: format!("uid of {pod}"),
        available_at: None,
    };
    let owner = cluster.daemon_set("ds-1").unwrap().owner();
    let mut changes = vec![
        change("p1"),
        change("p1"),
        change("p2"),
        change("p3"),
        change("gone"),
        change("p4"),
    ];
    changes.extend((0..1_000).map(|_| change("p1")));
    let mut given = changes.clone();
    retain_own_availability(&cluster, Some(owner), &mut given);
    assert_eq!(given, [change("p1"), change("p4")]);
    retain_own_availability(&cluster, None, &mut changes);
    assert_eq!(changes, []);
}

#[test]
fn plan_sets_only_allowed_conditions_and_each_once() {
    let mut given = vec![
        condition("Available", "First", ""),
        condition("Degraded", "Foreign", ""),
        condition("example.com/Mine", "Foreign", ""),
        condition("", "Foreign", ""),
        condition("Available", "Second", ""),
        condition("Progressing", "Third", ""),
    ];
    assert_eq!(remove_invalid_conditions(&mut given), 4);
    let left: Vec<_> = given.iter().map(|condition| condition.reason.as_str()).collect();
    assert_eq!(left, ["First", "Third"]);
}

#[test]
fn conditions_have_valid_reasons_and_truncated_messages() {
    let longest = "a".repeat(1_024);
    for reason in ["A", "Rollout_In:Progress,1", "x9", longest.as_str()] {
        assert!(is_reason(reason), "{reason}");
    }
    let too_long = "a".repeat(1_025);
    for reason in [
        "",
        "1a",
        "_a",
        "a:",
        "a,",
        "a b",
        "a-b",
        "ä",
        "a\n",
        too_long.as_str(),
    ] {
        let mut given = vec![condition("Available", reason, "")];
        assert_eq!(remove_invalid_conditions(&mut given), 1, "{reason}");
    }
    let mut given = vec![condition("Available", "A", &format!("a{}", "ä".repeat(20_000)))];
    assert_eq!(remove_invalid_conditions(&mut given), 0);
    assert_eq!(given[0].message.len(), 32_767, "it is cut between characters");
}

#[test]
fn only_tolerations_for_node_condition_taints_are_added() {
    let toleration = |key: &str, operator: &str, value: &str, effect: &str| Toleration {
        key: key.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
        effect: effect.to_owned(),
    };
    let key = "node.kubernetes.io/disk-pressure";
    let allowed = [
        toleration(key, "Exists", "", "NoSchedule"),
        toleration("node.kubernetes.io/not-ready", "Exists", "", "NoExecute"),
    ];
    let refused = [
        toleration("", "Exists", "", ""),
        toleration("", "Exists", "", "NoSchedule"),
        toleration("node.kubernetes.io/", "Exists", "", "NoSchedule"),
        toleration(
            "node-role.kubernetes.io/control-plane",
            "Exists",
            "",
            "NoSchedule",
        ),
        toleration(key, "Equal", "", "NoSchedule"),
        toleration(key, "", "", "NoSchedule"),
        toleration(key, "Exists", "x", "NoSchedule"),
        toleration(key, "Exists", "", ""),
        toleration(key, "Exists", "", "PreferNoSchedule"),
    ];
    let mut added = [allowed.to_vec(), refused.to_vec()].concat();
    assert_eq!(remove_invalid_tolerations(&mut added), refused.len());
    assert_eq!(added, allowed);
}

#[test]
fn problems_of_a_plan_are_limited_in_number_and_length() {
    let mut given = vec![
        Problem {
            object: "o".repeat(2_000),
            field: "f".repeat(2_000),
            message: "m".repeat(2_000),
            ..Problem::default()
        };
        100
    ];
    truncate_problems(&mut given);
    assert_eq!(given.len(), MAX_PROBLEMS);
    for Problem {
        object,
        field,
        message,
        ..
    } in &given
    {
        assert!([object, field, message].iter().all(|text| text.len() <= 1_024));
    }
}
