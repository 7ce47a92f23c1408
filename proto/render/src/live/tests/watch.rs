//! The events of a watch.

use everynode_proto::{
    executor::v1::{
        ActionEnded, EventsLost, PlannerChanged, WatchBegan, WatchPlansResponse, watch_plans_response::Event,
    },
    planner::v1::{Action, ActionOutcome, CreatePod, Plan, action},
};

use super::*;

#[test]
fn each_event_is_one_line_with_its_time() {
    let create = Action {
        id: 1,
        action: Some(action::Action::Create(CreatePod::default())),
    };
    let plan = Plan {
        daemon_set: "default/agent".to_owned(),
        actions: vec![create],
        status: daemon_set("agent", RolloutState::Complete, Vec::new()).status,
        ..Plan::default()
    };
    let ended = |outcome: ActionOutcome, message: &str| {
        Event::ActionEnded(ActionEnded {
            daemon_set: "default/agent".to_owned(),
            action_id: 1,
            outcome: outcome.into(),
            message: message.to_owned(),
        })
    };
    let events = [
        Event::Began(WatchBegan {
            identity: "executor-a".to_owned(),
            planner: Some(planner_info()),
        }),
        Event::Plan(plan),
        ended(ActionOutcome::Done, "Created pod: agent-7bd5c on node worker-3"),
        ended(ActionOutcome::Failed, "exceeded quota"),
        Event::PlannerChanged(PlannerChanged { planner: None }),
        Event::EventsLost(EventsLost { count: 3 }),
    ];
    let line = |event| {
        let response = WatchPlansResponse {
            time: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 0,
            }),
            event: Some(event),
        };
        events::event_line(&response, TableStyle::default())
    };
    assert_eq!(
        events.map(line).concat(),
        "\
2023-11-14T22:13:20Z   began     executor executor-a, planner 0.1.0 (rules 3)
2023-11-14T22:13:20Z   plan      default/agent: create 1 pod; 3 desired, 2 ready, 3 up to date, 2 available
2023-11-14T22:13:20Z   done      default/agent: Created pod: agent-7bd5c on node worker-3
2023-11-14T22:13:20Z   failed    default/agent: exceeded quota
2023-11-14T22:13:20Z   planner   none; no pods are created or deleted
2023-11-14T22:13:20Z   lost      3 events, because this program read too slowly
"
    );
}
