use super::*;
use crate::{
    decide::rolling_update,
    model::Budget,
    testing::{daemon_set, max_surge, max_unavailable, with_strategy},
};

/// The fewest available pods and the progress for these counters: desired, current, updated, available.
fn min_available_and_progress(strategy: Strategy, counters: [i32; 4]) -> (i32, Progress) {
    let [desired, current, updated, available] = counters;
    let status = Status {
        desired_number_scheduled: desired,
        current_number_scheduled: current,
        updated_number_scheduled: updated,
        number_available: available,
        ..Status::default()
    };
    let rollout_status = rollout_status(&with_strategy(strategy), status);
    (rollout_status.min_available, rollout_status.progress)
}

#[test]
fn min_available_is_what_a_rollout_leaves_and_at_least_one() {
    let fewest = |strategy, desired| min_available_and_progress(strategy, [desired, 0, 0, 0]).0;
    assert_eq!(fewest(max_unavailable(1), 0), 0);
    assert_eq!(fewest(max_unavailable(1), 1), 1);
    assert_eq!(fewest(max_unavailable(1), 8), 7);
    assert_eq!(fewest(max_unavailable(100), 8), 1);
    assert_eq!(fewest(max_surge(1), 8), 8);
    assert_eq!(fewest(Strategy::OnDelete, 8), 8);
    let percent = Strategy::RollingUpdate {
        max_unavailable: Budget::Percent(30),
        max_surge: Budget::Count(0),
    };
    assert_eq!(fewest(percent, 10), 7);
    let both_zero = rolling_update(None, None);
    assert_eq!(fewest(both_zero, 8), 7);
    assert_eq!(fewest(both_zero, 1), 1);
    assert_eq!(fewest(both_zero, 0), 0);
}

#[test]
fn rollout_is_complete_when_every_node_has_an_available_pod_of_the_template() {
    let progress = |strategy, counters| min_available_and_progress(strategy, counters).1;
    let rolling = daemon_set().strategy;
    assert_eq!(progress(rolling, [0, 0, 0, 0]), Progress::Complete);
    assert_eq!(progress(rolling, [3, 3, 3, 3]), Progress::Complete);
    assert_eq!(progress(rolling, [3, 3, 3, 2]), Progress::InProgress);
    assert_eq!(progress(rolling, [3, 3, 2, 3]), Progress::InProgress);
    assert_eq!(progress(rolling, [3, 2, 2, 2]), Progress::InProgress);
}

#[test]
fn rollout_waits_for_deletions_only_when_nothing_else_is_left() {
    let progress = |counters| min_available_and_progress(Strategy::OnDelete, counters).1;
    assert_eq!(progress([3, 3, 1, 3]), Progress::WaitsForDeletion);
    assert_eq!(progress([3, 3, 1, 2]), Progress::InProgress);
    assert_eq!(progress([3, 3, 3, 3]), Progress::Complete);
}
