//! Progress of a rollout.

use super::*;

fn rollout(sketch: &Sketch, circumstances: &Circumstances) -> (RolloutState, String) {
    let rollout = daemon_set(sketch, circumstances).rollout.unwrap();
    (rollout.state(), rollout.message)
}

#[test]
fn counters_are_said_in_words() {
    for (counted, state, message) in [
        ([0, 0, 0, 0], RolloutState::Complete, "no node should run a pod"),
        (
            [1, 1, 1, 1],
            RolloutState::Complete,
            "the pod is of the current template and available",
        ),
        (
            [9, 9, 9, 9],
            RolloutState::Complete,
            "all 9 pods are of the current template and available",
        ),
        (
            [1, 1, 0, 1],
            RolloutState::Progressing,
            "0 of 1 pod is of the current template, 1 available",
        ),
        (
            [10, 10, 3, 9],
            RolloutState::Progressing,
            "3 of 10 pods are of the current template, 9 available",
        ),
    ] {
        let found = rollout(&sketch(counted), &leading());
        assert_eq!(found, (state, message.to_owned()), "{counted:?}");
    }
}

#[test]
fn counters_of_an_older_spec_say_nothing_of_the_current_one() {
    let mut sketch = sketch([3, 3, 3, 3]);
    sketch.counted.as_mut().unwrap().observed_generation = 0;
    let message = "the current spec has not been planned for yet".to_owned();
    assert_eq!(rollout(&sketch, &leading()), (RolloutState::Progressing, message));
}

#[test]
fn a_rollout_is_blocked_by_what_nothing_goes_on_without() {
    let blocked = |sketch: &Sketch, circumstances: &Circumstances| {
        assert_eq!(rollout(sketch, circumstances).0, RolloutState::Blocked);
    };
    let open = sketch([3, 3, 1, 3]);
    let no_planner = Circumstances {
        planner: None,
        ..leading()
    };
    blocked(&open, &no_planner);
    blocked(&open, &following(""));
    let mut refused = open.clone();
    refused.creations.refusal = Some(refusal("exceeded quota", 1));
    blocked(&refused, &leading());
    let mut stranded = open.clone();
    stranded.upkeep = Upkeep::Failing("forbidden".to_owned());
    assert_eq!(rollout(&stranded, &leading()).0, RolloutState::Progressing);
    stranded.revision = None;
    blocked(&stranded, &leading());
    assert_eq!(rollout(&open, &following("other")).0, RolloutState::Progressing);
}

#[test]
fn under_on_delete_a_rollout_waits_for_deletions() {
    let mut sketch = of_spec(
        &json!({"updateStrategy": {"type": "OnDelete"}}),
        sketch([1, 1, 0, 1]),
    );
    sketch.pods = vec![PodFacts {
        revision: "r0".to_owned(),
        ..pod("agent-a", "n1")
    }];
    assert_eq!(rollout(&sketch, &leading()).0, RolloutState::WaitingForDeletion);
}
