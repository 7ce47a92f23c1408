use super::*;

const NOW: &str = "2026-01-02T03:04:05Z";

fn refused(words: &str) -> DaemonSetCondition {
    degraded(Some(Trouble {
        reason: "CreateRefused",
        message: words.to_owned(),
    }))
}

fn written(conditions: &Value) -> object::DaemonSetStatus {
    serde_json::from_value(json!({"conditions": conditions})).unwrap()
}

#[test]
fn a_condition_differs_by_status_and_reason_and_not_by_its_message() {
    let fine = [degraded(None)];
    let none = written(&Value::Null);
    let as_expected = written(&json!([{"type": "Degraded", "status": "False", "reason": "AsExpected"}]));
    assert!(differ(&fine, &none));
    assert!(!differ(&fine, &as_expected));
    assert!(differ(&[refused("no")], &as_expected));
    let says_no = written(&json!([
        {"type": "Degraded", "status": "True", "reason": "CreateRefused", "message": "no"},
    ]));
    assert!(!differ(&[refused("no, really")], &says_no));
    assert!(is_degraded(&says_no) && !is_degraded(&as_expected));
}

#[test]
fn the_time_is_that_of_the_last_turn() {
    let says_no = written(&json!([{"type": "Degraded", "status": "True", "reason": "UpkeepFailing"}]));
    let again = json!({"type": "Degraded", "status": "True", "reason": "CreateRefused", "message": "no"});
    assert_eq!(patch(&[refused("no")], &says_no, NOW), [again]);
    let message = "nothing stands in the way of its pods";
    let fine = json!({
        "type": "Degraded", "status": "False", "reason": "AsExpected", "message": message, "lastTransitionTime": NOW,
    });
    assert_eq!(patch(&[degraded(None)], &says_no, NOW), [fine]);
}

#[test]
fn what_is_not_wanted_any_more_is_removed_and_other_types_are_left_alone() {
    let theirs = json!({"type": "Theirs", "status": "True"});
    let both = written(&json!([theirs, {"type": "Available", "status": "True"}]));
    assert!(differ(&[], &both));
    assert_eq!(
        patch(&[], &both, NOW),
        [json!({"$patch": "delete", "type": "Available"})]
    );
    assert!(!differ(&[], &written(&json!([theirs]))));
}
