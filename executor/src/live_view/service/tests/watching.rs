//! Watches of plans.

use everynode_proto::planner::v1::{DaemonSetCondition, Plan};
use everynode_proto::status::is_watch_expired;
use tonic::Streaming;

use super::*;

/// Number of plans that are sent; a slow reader misses some of them.
const PLANS: u64 = 3_000;

/// A plan of a few kilobytes. Watches receive all of it.
fn long_plan() -> Plan {
    let condition = DaemonSetCondition {
        r#type: "Available".to_owned(),
        reason: "Long".to_owned(),
        message: "x".repeat(4 * 1024),
        ..DaemonSetCondition::default()
    };
    Plan {
        conditions: vec![condition],
        ..Plan::default()
    }
}

struct Watching(Streaming<WatchPlansResponse>);

impl LiveViewRig {
    async fn watch(&mut self, namespace: &str, name: &str) -> Result<Watching, Status> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let request = WatchPlansRequest { namespace, name };
        let events = soon(self.client.watch_plans(request)).await?;
        Ok(Watching(events.into_inner()))
    }
}

impl Watching {
    async fn next(&mut self) -> Event {
        let event = soon(self.0.message()).await.unwrap().unwrap();
        assert!(event.time.is_some());
        event.event.unwrap()
    }

    async fn end(&mut self) -> Status {
        soon(self.0.message()).await.unwrap_err()
    }
}

#[tokio::test(start_paused = true)]
async fn watch_reports_the_planner_then_a_plan_and_its_outcome() {
    let (mut view, mut planned) = LiveViewRig::synced(&["n1"], &[]).await;
    let mut all = view.watch("", "").await.unwrap();
    let Event::Began(began) = all.next().await else {
        panic!("the first event is Began")
    };
    assert_eq!(began.identity, "me");
    assert!(began.planner.unwrap().is_synced);
    planned.send_actions(vec![create(1, "n1")]).await;
    let Event::Plan(plan) = all.next().await else {
        panic!("expected the plan")
    };
    assert_eq!(
        (plan.daemon_set.as_str(), plan.actions.len()),
        ("default/agent", 1)
    );
    accept(view.rig.api.expect("POST", PODS).await, 20);
    let Event::ActionEnded(ended) = all.next().await else {
        panic!("expected its outcome")
    };
    assert_eq!((ended.daemon_set.as_str(), ended.action_id), ("default/agent", 1));
    assert!(
        ended.message.starts_with("Created pod: agent-"),
        "{}",
        ended.message
    );
}

#[tokio::test(start_paused = true)]
async fn filter_excludes_other_daemon_sets_but_not_planner_changes() {
    let (mut view, mut planned) = LiveViewRig::synced(&["n1"], &[]).await;
    let mut ours = view.watch("default", "agent").await.unwrap();
    let mut others = view.watch("other", "").await.unwrap();
    ours.next().await;
    others.next().await;
    planned.send_actions(Vec::new()).await;
    assert!(matches!(ours.next().await, Event::Plan(_)));
    view.rig.lose_planner(planned).await;
    for watching in [&mut ours, &mut others] {
        let Event::PlannerChanged(changed) = watching.next().await else {
            panic!("every watch gets planner changes")
        };
        assert_eq!(changed.planner, None);
    }
    let refusal = view.watch("", "Agent").await.err().unwrap();
    assert_eq!(refusal.code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn slow_reader_gets_the_number_of_lost_events_and_later_events() {
    let (mut view, mut planned) = LiveViewRig::synced(&["n1"], &[]).await;
    let mut watching = view.watch("", "").await.unwrap();
    watching.next().await;
    // This is far more than the transport and the event bus can buffer.
    let plan = long_plan();
    for _ in 0..PLANS {
        planned.send_plan(plan.clone()).await;
    }
    let (mut seen, mut lost) = (0, 0);
    while seen + lost < PLANS {
        match watching.next().await {
            Event::Plan(plan) => {
                seen += 1;
                assert_eq!(plan.id, seen + lost, "in their order");
            }
            Event::EventsLost(events) => lost += events.count,
            event => panic!("{event:?}"),
        }
    }
    assert!(lost > 0 && seen > 0, "{seen} seen, {lost} lost");
}

#[tokio::test(start_paused = true)]
async fn unread_watch_is_closed_after_its_maximum_duration() {
    let (mut view, mut planned) = LiveViewRig::synced(&["n1"], &[]).await;
    let mut watching = view.watch("", "").await.unwrap();
    watching.next().await;
    // This is far more than the transport can buffer.
    let plan = long_plan();
    for _ in 0..PLANS {
        planned.send_plan(plan.clone()).await;
    }
    tokio::time::sleep(Duration::from_mins(40)).await;
    let end = loop {
        if let Err(end) = soon(watching.0.message()).await {
            break end;
        }
    };
    assert!(
        !is_watch_expired(&end),
        "the connection ended, not the watch: {end}"
    );
    // The next watch gets a new connection.
    view.watch("", "").await.unwrap().next().await;
}

#[tokio::test(start_paused = true)]
async fn standby_refuses_watches_and_names_the_leader() {
    let (mut view, _planned) = LiveViewRig::synced(&["n1"], &[]).await;
    let mut watching = view.watch("", "").await.unwrap();
    watching.next().await;
    view.set_leader("other");
    let end = watching.end().await;
    assert_eq!(
        (end.code(), end.message()),
        (
            Code::FailedPrecondition,
            "this executor isn't the leader; ask other"
        )
    );
    let refusal = view.watch("", "").await.err().unwrap();
    assert_eq!(refusal.message(), end.message());
    view.set_leader("");
    let refusal = view.watch("", "").await.err().unwrap();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(refusal.message().contains("no leader is known"), "{refusal}");
    view.leads.send_replace(Leadership::ours("me"));
    view.watch("", "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn watch_ends_when_the_executor_shuts_down() {
    let (mut view, _planned) = LiveViewRig::synced(&["n1"], &[]).await;
    let mut watching = view.watch("", "").await.unwrap();
    watching.next().await;
    view.stop.cancel();
    let end = watching.end().await;
    assert_eq!(
        (end.code(), end.message()),
        (Code::Unavailable, "the executor is shutting down")
    );
    view.task.await.unwrap().unwrap();
}
