//! Progress of a rollout.

use super::*;

fn rollout(snapshot: &Snapshot, context: &Context) -> (RolloutState, String) {
    let rollout = daemon_set(snapshot, context).rollout.unwrap();
    (rollout.state(), rollout.message)
}

#[test]
fn progress_comes_from_the_planner_regardless_of_the_counters() {
    for (progress, state) in [
        (Progress::Complete, RolloutState::Complete),
        (Progress::InProgress, RolloutState::Progressing),
        (Progress::WaitingForDeletion, RolloutState::WaitingForDeletion),
        (Progress::Unspecified, RolloutState::Progressing),
    ] {
        for counters in [[9, 9, 9, 9], [9, 9, 3, 8]] {
            let mut snapshot = snapshot(counters);
            snapshot.progress.progress = progress;
            let found = rollout(&snapshot, &leading());
            assert_eq!(found, (state, "the planner's message".to_owned()), "{counters:?}");
        }
    }
}

#[test]
fn counters_of_an_older_spec_are_ignored() {
    let mut snapshot = snapshot([3, 3, 3, 3]);
    snapshot.progress.progress = Progress::Complete;
    snapshot.counters.as_mut().unwrap().observed_generation = 0;
    let message = "the current spec has not been planned yet".to_owned();
    assert_eq!(
        rollout(&snapshot, &leading()),
        (RolloutState::Progressing, message)
    );
}

#[test]
fn rollout_is_blocked_without_planner_leader_or_revision_and_by_refusals() {
    let blocked = |snapshot: &Snapshot, context: &Context| {
        assert_eq!(rollout(snapshot, context).0, RolloutState::Blocked);
    };
    let open = snapshot([3, 3, 1, 3]);
    let no_planner = Context {
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
