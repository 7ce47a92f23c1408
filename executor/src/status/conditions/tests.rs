use super::*;

const NOW: &str = "2026-01-02T03:04:05Z";

fn refused(message: &str) -> DaemonSetCondition {
    degraded(Some(Obstacle {
        reason: "CreateRefused",
        message: message.to_owned(),
    }))
}

fn written(conditions: &Value) -> object::DaemonSetStatus {
    serde_json::from_value(json!({"conditions": conditions})).unwrap()
}

#[test]
fn condition_differs_by_status_or_reason_but_not_by_message() {
    let fine = [degraded(None)];
    let none = written(&Value::Null);
    let as_expected = written(&json!([{"type": "Degraded", "status": "False", "reason": "AsExpected"}]));
    assert!(differ(&fine, &none));
    assert!(!differ(&fine, &as_expected));
    assert!(differ(&[refused("no")], &as_expected));
    let refused_before = written(&json!([
        {"type": "Degraded", "status": "True", "reason": "CreateRefused", "message": "no"},
    ]));
    assert!(!differ(&[refused("no, really")], &refused_before));
    assert!(is_degraded(&refused_before) && !is_degraded(&as_expected));
}

#[test]
fn transition_time_changes_only_with_the_status() {
    let refused_before = written(&json!([{"type": "Degraded", "status": "True", "reason": "UpkeepFailing"}]));
    let again = json!({"type": "Degraded", "status": "True", "reason": "CreateRefused", "message": "no"});
    assert_eq!(patch(&[refused("no")], &refused_before, NOW), [again]);
    let message = "no problem found";
    let fine = json!({
        "type": "Degraded", "status": "False", "reason": "AsExpected", "message": message, "lastTransitionTime": NOW,
    });
    assert_eq!(patch(&[degraded(None)], &refused_before, NOW), [fine]);
}

#[test]
fn unwanted_conditions_are_removed_and_other_types_are_kept() {
    let theirs = json!({"type": "Theirs", "status": "True"});
    let both = written(&json!([theirs, {"type": "Available", "status": "True"}]));
    assert!(differ(&[], &both));
    assert_eq!(
        patch(&[], &both, NOW),
        [json!({"$patch": "delete", "type": "Available"})]
    );
    assert!(!differ(&[], &written(&json!([theirs]))));
}
