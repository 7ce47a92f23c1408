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

fn queue(actions: Vec<PlannedAction>) -> ActionQueue {
    let mut queue = ActionQueue::default();
    assert_eq!(queue.push(plan(actions), None, &Span::none()), None);
    queue
}

/// Starts all creations that may start, and returns their ids.
fn start(queue: &mut ActionQueue) -> Vec<u64> {
    std::iter::from_fn(|| queue.next_create())
        .map(|ready| ready.id)
        .collect()
}

fn seconds(pause: Option<Duration>) -> Option<u64> {
    pause.map(|pause| pause.as_secs())
}

#[test]
fn window_doubles_with_each_round_of_successes_up_to_its_limit() {
    let mut queue = queue((0..200).map(create).collect());
    let mut rounds = Vec::new();
    for _ in 0..8 {
        let round = start(&mut queue);
        rounds.push(round.len());
        for id in round {
            assert_eq!(
                queue.on_finished(Lane::Create, Some(id), CallOutcome::Succeeded),
                None
            );
        }
    }
    assert_eq!(rounds, [1, 2, 4, 8, 16, MAX_WINDOW, MAX_WINDOW, MAX_WINDOW]);
}

#[test]
fn window_halves_after_retries_without_closing_the_lane() {
    let mut queue = queue((0..100).map(create).collect());
    for _ in 0..3 {
        for id in start(&mut queue) {
            queue.on_finished(Lane::Create, Some(id), CallOutcome::Succeeded);
        }
    }
    let round = start(&mut queue);
    assert_eq!(round.len(), 8);
    for (place, id) in round.into_iter().enumerate() {
        let outcome = if place < 2 {
            CallOutcome::SucceededAfterRetries
        } else {
            CallOutcome::Skipped
        };
        assert_eq!(queue.on_finished(Lane::Create, Some(id), outcome), None);
    }
    assert_eq!(start(&mut queue).len(), 2);
}

#[test]
fn actions_start_in_the_order_of_the_plan() {
    let mut queue = queue(vec![create(5), create(3), create(4)]);
    let mut order = Vec::new();
    while let Some(ready) = queue.next_create() {
        order.push(ready.id);
        queue.on_finished(Lane::Create, Some(ready.id), CallOutcome::Skipped);
    }
    assert_eq!(order, [5, 3, 4]);
}

#[test]
fn pause_of_the_lane_doubles_with_each_refusal() {
    let mut queue = queue((0..20).map(create).collect());
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let ready = queue.next_create().unwrap();
        pauses.push(seconds(queue.on_finished(
            Lane::Create,
            Some(ready.id),
            CallOutcome::Refused,
        )));
        assert_eq!(queue.next_create(), None);
        assert_eq!(queue.open(Lane::Create), [ready.id]);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30].map(Some));
}

#[test]
fn success_resets_the_pause_after_refusals() {
    let mut queue = queue((0..4).map(create).collect());
    for outcome in [CallOutcome::Refused, CallOutcome::Refused, CallOutcome::Succeeded] {
        let ready = queue.next_create().unwrap();
        queue.on_finished(Lane::Create, Some(ready.id), outcome);
        queue.open(Lane::Create);
    }
    let ready = queue.next_create().unwrap();
    assert_eq!(
        seconds(queue.on_finished(Lane::Create, Some(ready.id), CallOutcome::Refused)),
        Some(1)
    );
}

#[test]
fn concurrent_refusals_close_the_lane_once_and_are_reported_when_it_opens() {
    let mut queue = queue((0..8).map(create).collect());
    for id in start(&mut queue) {
        queue.on_finished(Lane::Create, Some(id), CallOutcome::Succeeded);
    }
    let round = start(&mut queue);
    let pauses: Vec<_> = round
        .iter()
        .map(|id| seconds(queue.on_finished(Lane::Create, Some(*id), CallOutcome::Refused)))
        .collect();
    assert_eq!((round, pauses), (vec![1, 2], vec![Some(1), None]));
    assert_eq!(queue.open(Lane::Create), [1, 2]);
    assert!(queue.open(Lane::Create).is_empty());
}

#[test]
fn refused_action_of_a_lost_planner_is_not_reported() {
    let mut queue = queue(vec![create(1)]);
    queue.next_create().unwrap();
    queue.clear();
    assert_eq!(
        seconds(queue.on_finished(Lane::Create, None, CallOutcome::Refused)),
        Some(1)
    );
    assert!(queue.open(Lane::Create).is_empty());
}

#[test]
fn refused_creations_do_not_block_deletions() {
    let mut queue = queue(vec![create(1), delete(2), create(3)]);
    let ready = queue.next_create().unwrap();
    queue.on_finished(Lane::Create, Some(ready.id), CallOutcome::Refused);
    assert_eq!(queue.next_create(), None);
    assert_eq!(queue.next_delete().map(|ready| ready.id), Some(2));
}

#[test]
fn clear_drops_waiting_actions_and_keeps_those_in_progress() {
    let mut queue = queue(vec![create(1), create(2), delete(3)]);
    assert!(!queue.is_busy());
    queue.next_create().unwrap();
    queue.clear();
    assert!(queue.is_busy());
    queue.on_finished(Lane::Create, Some(1), CallOutcome::Succeeded);
    assert!(!queue.is_busy());
    assert_eq!((queue.next_create(), queue.next_delete()), (None, None));
}

#[test]
fn clear_opens_closed_lanes_and_drops_refused_actions() {
    let mut queue = queue(vec![create(1)]);
    queue.next_create().unwrap();
    queue.on_finished(Lane::Create, Some(1), CallOutcome::Refused);
    queue.clear();
    assert!(queue.open(Lane::Create).is_empty());
    queue.push(plan(vec![create(2)]), None, &Span::none());
    assert_eq!(queue.next_create().map(|ready| ready.id), Some(2));
}

#[test]
fn actions_of_unknown_kinds_block_nothing_and_are_returned_after_a_pause() {
    let unknown = |id| PlannedAction { id, action: None };
    let mut queue = ActionQueue::default();
    let pause = queue.push(plan(vec![unknown(1), create(2), unknown(3)]), None, &Span::none());
    assert_eq!(pause, Some(UNKNOWN_PAUSE));
    assert_eq!(start(&mut queue), [2]);
    assert_eq!(
        queue.push(plan(vec![unknown(4)]), None, &Span::none()),
        None,
        "the pause has already begun"
    );
    assert_eq!(queue.take_unknown(), [1, 3, 4]);
    assert_eq!(
        queue.push(plan(vec![unknown(5)]), None, &Span::none()),
        Some(UNKNOWN_PAUSE)
    );
    queue.clear();
    assert!(queue.take_unknown().is_empty(), "clear drops unknown actions");
}
