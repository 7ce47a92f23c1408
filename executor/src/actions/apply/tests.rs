use everynode_proto::planner::v1::Action as PlannedAction;

use super::*;

fn create(id: u64) -> PlannedAction {
    PlannedAction {
        id,
        action: Some(Action::Create(CreatePod::default())),
    }
}

fn delete(id: u64) -> PlannedAction {
    PlannedAction {
        id,
        action: Some(Action::Delete(DeletePod::default())),
    }
}

fn plan(actions: Vec<PlannedAction>) -> Plan {
    Plan {
        actions,
        ..Plan::default()
    }
}

fn applier(actions: Vec<PlannedAction>) -> Applier {
    let mut applier = Applier::default();
    assert_eq!(applier.push(plan(actions), None, &Span::none()), None);
    applier
}

/// Starts all creations that may start, and returns their ids.
fn start(applier: &mut Applier) -> Vec<u64> {
    std::iter::from_fn(|| applier.next_create())
        .map(|ready| ready.id)
        .collect()
}

fn seconds(pause: Option<Duration>) -> Option<u64> {
    pause.map(|pause| pause.as_secs())
}

#[test]
fn the_window_doubles_with_each_round_of_successes_up_to_its_limit() {
    let mut applier = applier((0..200).map(create).collect());
    let mut rounds = Vec::new();
    for _ in 0..8 {
        let round = start(&mut applier);
        rounds.push(round.len());
        for id in round {
            assert_eq!(applier.ended(Lane::Create, Some(id), Ended::Smoothly), None);
        }
    }
    assert_eq!(rounds, [1, 2, 4, 8, 16, MAX_WINDOW, MAX_WINDOW, MAX_WINDOW]);
}

#[test]
fn the_window_halves_under_pressure_and_never_closes_for_that() {
    let mut applier = applier((0..100).map(create).collect());
    for _ in 0..3 {
        for id in start(&mut applier) {
            applier.ended(Lane::Create, Some(id), Ended::Smoothly);
        }
    }
    let round = start(&mut applier);
    assert_eq!(round.len(), 8);
    for (place, id) in round.into_iter().enumerate() {
        let how = if place < 2 {
            Ended::WithPressure
        } else {
            Ended::Needless
        };
        assert_eq!(applier.ended(Lane::Create, Some(id), how), None);
    }
    assert_eq!(start(&mut applier).len(), 2);
}

#[test]
fn actions_start_in_the_plans_order() {
    let mut applier = applier(vec![create(5), create(3), create(4)]);
    let mut order = Vec::new();
    while let Some(ready) = applier.next_create() {
        order.push(ready.id);
        applier.ended(Lane::Create, Some(ready.id), Ended::Needless);
    }
    assert_eq!(order, [5, 3, 4]);
}

#[test]
fn a_refusal_closes_the_lane_for_twice_as_long_each_time() {
    let mut applier = applier((0..20).map(create).collect());
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let ready = applier.next_create().unwrap();
        pauses.push(seconds(applier.ended(
            Lane::Create,
            Some(ready.id),
            Ended::Refused,
        )));
        assert_eq!(applier.next_create(), None);
        assert_eq!(applier.open(Lane::Create), [ready.id]);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30].map(Some));
}

#[test]
fn a_success_forgets_the_refusals_before() {
    let mut applier = applier((0..4).map(create).collect());
    for how in [Ended::Refused, Ended::Refused, Ended::Smoothly] {
        let ready = applier.next_create().unwrap();
        applier.ended(Lane::Create, Some(ready.id), how);
        applier.open(Lane::Create);
    }
    let ready = applier.next_create().unwrap();
    assert_eq!(
        seconds(applier.ended(Lane::Create, Some(ready.id), Ended::Refused)),
        Some(1)
    );
}

#[test]
fn many_refusals_at_once_close_the_lane_once_and_are_all_told_when_it_opens() {
    let mut applier = applier((0..8).map(create).collect());
    for id in start(&mut applier) {
        applier.ended(Lane::Create, Some(id), Ended::Smoothly);
    }
    let round = start(&mut applier);
    let pauses: Vec<_> = round
        .iter()
        .map(|id| seconds(applier.ended(Lane::Create, Some(*id), Ended::Refused)))
        .collect();
    assert_eq!((round, pauses), (vec![1, 2], vec![Some(1), None]));
    assert_eq!(applier.open(Lane::Create), [1, 2]);
    assert!(applier.open(Lane::Create).is_empty());
}

#[test]
fn a_refused_action_of_a_planner_that_is_gone_is_told_to_nobody() {
    let mut applier = applier(vec![create(1)]);
    applier.next_create().unwrap();
    applier.clear();
    assert_eq!(
        seconds(applier.ended(Lane::Create, None, Ended::Refused)),
        Some(1)
    );
    assert!(applier.open(Lane::Create).is_empty());
}

#[test]
fn deletions_are_not_held_up_by_refused_creations() {
    let mut applier = applier(vec![create(1), delete(2), create(3)]);
    let ready = applier.next_create().unwrap();
    applier.ended(Lane::Create, Some(ready.id), Ended::Refused);
    assert_eq!(applier.next_create(), None);
    assert_eq!(applier.next_delete().map(|ready| ready.id), Some(2));
}

#[test]
fn clearing_forgets_what_waits_and_not_what_is_in_progress() {
    let mut applier = applier(vec![create(1), create(2), delete(3)]);
    assert!(!applier.is_busy());
    applier.next_create().unwrap();
    applier.clear();
    assert!(applier.is_busy());
    applier.ended(Lane::Create, Some(1), Ended::Smoothly);
    assert!(!applier.is_busy());
    assert_eq!((applier.next_create(), applier.next_delete()), (None, None));
}

#[test]
fn clearing_opens_closed_lanes_and_tells_of_nothing() {
    let mut applier = applier(vec![create(1)]);
    applier.next_create().unwrap();
    applier.ended(Lane::Create, Some(1), Ended::Refused);
    applier.clear();
    assert!(applier.open(Lane::Create).is_empty());
    applier.push(plan(vec![create(2)]), None, &Span::none());
    assert_eq!(applier.next_create().map(|ready| ready.id), Some(2));
}

#[test]
fn actions_of_unknown_kinds_hold_up_nothing_and_are_given_back_after_a_pause() {
    let unknown = |id| PlannedAction { id, action: None };
    let mut applier = Applier::default();
    let pause = applier.push(plan(vec![unknown(1), create(2), unknown(3)]), None, &Span::none());
    assert_eq!(pause, Some(UNKNOWN_PAUSE));
    assert_eq!(start(&mut applier), [2]);
    assert_eq!(
        applier.push(plan(vec![unknown(4)]), None, &Span::none()),
        None,
        "the pause has begun"
    );
    assert_eq!(applier.give_back(), [1, 3, 4]);
    assert_eq!(
        applier.push(plan(vec![unknown(5)]), None, &Span::none()),
        Some(UNKNOWN_PAUSE)
    );
    applier.clear();
    assert!(applier.give_back().is_empty(), "nobody waits for it any more");
}
