//! Progress of a rollout.

use super::*;

fn rollout(sketch: &Sketch, circumstances: &Circumstances) -> (RolloutState, String) {
    let rollout = daemon_set(sketch, circumstances).rollout.unwrap();
    (rollout.state(), rollout.message)
}

#[test]
fn progress_is_the_planners_whatever_the_counters_are() {
    for (progress, state) in [
        (Progress::Complete, RolloutState::Complete),
        (Progress::InProgress, RolloutState::Progressing),
        (Progress::WaitingForDeletion, RolloutState::WaitingForDeletion),
        (Progress::Unspecified, RolloutState::Progressing),
    ] {
        for counted in [[9, 9, 9, 9], [9, 9, 3, 8]] {
            let mut sketch = sketch(counted);
            sketch.progress.progress = progress;
            let found = rollout(&sketch, &leading());
            assert_eq!(found, (state, "the planner's words".to_owned()), "{counted:?}");
        }
    }
}

#[test]
fn counters_of_an_older_spec_say_nothing_of_the_current_one() {
    let mut sketch = sketch([3, 3, 3, 3]);
    sketch.progress.progress = Progress::Complete;
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
    let mut waiting = open.clone();
    waiting.progress.progress = Progress::WaitingForDeletion;
    blocked(&waiting, &no_planner);
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
