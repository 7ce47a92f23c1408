use super::*;
use crate::{
    model::Budget,
    testing::{daemon_set, max_surge, max_unavailable, with_strategy},
};

/// The fewest available pods and the progress for these counters: desired, current, updated, available.
fn stands(strategy: Strategy, counters: [i32; 4]) -> (i32, Progress) {
    let [desired, current, updated, available] = counters;
    let status = Status {
        desired_number_scheduled: desired,
        current_number_scheduled: current,
        updated_number_scheduled: updated,
        number_available: available,
        ..Status::default()
    };
    let standing = standing(&with_strategy(strategy), status);
    (standing.fewest_available, standing.progress)
}

#[test]
fn as_many_must_be_available_as_a_rollout_leaves_and_never_none() {
    let fewest = |strategy, desired| stands(strategy, [desired, 0, 0, 0]).0;
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
}

#[test]
fn a_template_has_come_to_its_end_when_every_node_has_an_available_pod_of_it() {
    let progress = |strategy, counters| stands(strategy, counters).1;
    let rolling = daemon_set().strategy;
    assert_eq!(progress(rolling, [0, 0, 0, 0]), Progress::Complete);
    assert_eq!(progress(rolling, [3, 3, 3, 3]), Progress::Complete);
    assert_eq!(progress(rolling, [3, 3, 3, 2]), Progress::InProgress);
    assert_eq!(progress(rolling, [3, 3, 2, 3]), Progress::InProgress);
    assert_eq!(progress(rolling, [3, 2, 2, 2]), Progress::InProgress);
}

#[test]
fn old_pods_are_waited_for_only_when_nothing_else_is_left_to_do() {
    let progress = |counters| stands(Strategy::OnDelete, counters).1;
    assert_eq!(progress([3, 3, 1, 3]), Progress::WaitsForDeletion);
    assert_eq!(progress([3, 3, 1, 2]), Progress::InProgress);
    assert_eq!(progress([3, 3, 3, 3]), Progress::Complete);
}
