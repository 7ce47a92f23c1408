use serde_json::json;

use super::*;
use crate::testing::{
    AGENT, AGENT_STATUS, ExpectedCall, agent, agent_json, conflict, not_found, on, refuse, scenario, with,
};

fn wanted() -> DaemonSetStatus {
    DaemonSetStatus {
        observed_generation: 3,
        desired_number_scheduled: 5,
        current_number_scheduled: 4,
        number_misscheduled: 1,
        number_ready: 2,
        updated_number_scheduled: 3,
        number_available: 2,
        number_unavailable: 3,
    }
}

fn without_conditions() -> DesiredStatus {
    DesiredStatus {
        counters: wanted(),
        conditions: Vec::new(),
    }
}

fn sent(version: &str, observed: i64) -> Value {
    json!({
        "metadata": {"uid": "ds-1", "resourceVersion": version},
        "status": {
            "observedGeneration": observed, "desiredNumberScheduled": 5, "currentNumberScheduled": 4,
            "numberMisscheduled": 1, "numberReady": 2, "updatedNumberScheduled": 3, "numberAvailable": 2,
            "numberUnavailable": 3,
        },
    })
}

/// The agent after somebody else has written it.
fn fresh(version: &str, status: &Value) -> Value {
    with(
        agent_json(),
        json!({"metadata": {"resourceVersion": version}, "status": status}),
    )
}

async fn write_against(lines: Vec<ExpectedCall>) -> Result<DaemonSet, ApiError> {
    let (api, server) = scenario(lines);
    let result = write(api, Arc::new(agent()), without_conditions()).await;
    server.await.unwrap();
    result
}

#[test]
fn s2_status_differs_by_counters_but_not_by_a_higher_generation_or_collision_count() {
    let written: DaemonSet = crate::testing::read(&fresh("11", &sent("", 3)["status"]));
    assert!(!counters_differ(&wanted(), &written.status));
    let later = object::DaemonSetStatus {
        observed_generation: 9,
        collision_count: Some(2),
        ..written.status.clone()
    };
    assert!(!counters_differ(&wanted(), &later));
    assert!(counters_differ(
        &wanted(),
        &object::DaemonSetStatus {
            observed_generation: 2,
            ..written.status.clone()
        }
    ));
    assert!(counters_differ(
        &wanted(),
        &object::DaemonSetStatus {
            number_ready: 9,
            ..written.status
        }
    ));
}

#[tokio::test]
async fn s2_status_write_carries_the_uid_and_version_of_the_daemon_set() {
    let answer = fresh("11", &json!({"numberReady": 2}));
    let written = write_against(vec![on("PATCH", AGENT_STATUS, answer).with_body(sent("10", 3))])
        .await
        .unwrap();
    assert_eq!(written.metadata.resource_version, "11");
}

#[tokio::test]
async fn s2_conflict_is_retried_after_a_fresh_read_and_the_generation_never_falls() {
    let lines = vec![
        refuse("PATCH", AGENT_STATUS, conflict()).with_body(sent("10", 3)),
        on(
            "GET",
            AGENT,
            fresh("12", &json!({"observedGeneration": 7, "collisionCount": 1})),
        ),
        refuse("PATCH", AGENT_STATUS, conflict()).with_body(sent("12", 7)),
        on("GET", AGENT, fresh("13", &json!({"observedGeneration": 7}))),
        on("PATCH", AGENT_STATUS, fresh("14", &json!({}))).with_body(sent("13", 7)),
    ];
    assert_eq!(
        write_against(lines).await.unwrap().metadata.resource_version,
        "14"
    );
}

#[tokio::test]
async fn s2_up_to_date_status_found_on_a_fresh_read_is_not_written() {
    let lines = vec![
        refuse("PATCH", AGENT_STATUS, conflict()),
        on("GET", AGENT, fresh("12", &sent("", 4)["status"])),
    ];
    assert_eq!(
        write_against(lines).await.unwrap().metadata.resource_version,
        "12"
    );
}

#[tokio::test]
async fn s2_another_daemon_set_of_the_same_name_is_not_written() {
    let other = with(agent_json(), json!({"metadata": {"uid": "ds-2"}}));
    let lines = vec![refuse("PATCH", AGENT_STATUS, conflict()), on("GET", AGENT, other)];
    assert_eq!(write_against(lines).await.unwrap().metadata.uid, "ds-2");
}

#[tokio::test]
async fn failed_status_write_is_an_error() {
    let error = write_against(vec![refuse("PATCH", AGENT_STATUS, not_found())])
        .await
        .unwrap_err();
    assert!(error.is_not_found());
    let again = || {
        [
            refuse("PATCH", AGENT_STATUS, conflict()),
            on("GET", AGENT, agent_json()),
        ]
    };
    let mut lines: Vec<_> = (1..MAX_ATTEMPTS).flat_map(|_| again()).collect();
    lines.push(refuse("PATCH", AGENT_STATUS, conflict()));
    assert!(write_against(lines).await.unwrap_err().is_conflict());
}

#[test]
fn progress_comes_from_a_plan_or_is_derived_from_counters() {
    let of = |[desired, current, updated, available]: [i32; 4], is_on_delete| {
        let counters = DaemonSetStatus {
            desired_number_scheduled: desired,
            current_number_scheduled: current,
            updated_number_scheduled: updated,
            number_available: available,
            ..DaemonSetStatus::default()
        };
        RolloutProgress::from_counters(&counters, is_on_delete).progress
    };
    for is_on_delete in [false, true] {
        assert_eq!(of([0, 0, 0, 0], is_on_delete), Progress::Complete);
        assert_eq!(of([3, 3, 3, 3], is_on_delete), Progress::Complete);
        assert_eq!(of([3, 3, 3, 2], is_on_delete), Progress::InProgress);
        assert_eq!(of([3, 2, 2, 2], is_on_delete), Progress::InProgress);
    }
    assert_eq!(of([3, 3, 1, 3], false), Progress::InProgress);
    assert_eq!(of([3, 3, 1, 3], true), Progress::WaitingForDeletion);
    let counters = RolloutProgress::from_counters(&wanted(), false);
    assert_eq!(counters.message, "3 of 5 pods updated, 2 available");

    let mut plan = Plan {
        progress: Progress::Complete.into(),
        progress_message: "done".to_owned(),
        ..Plan::default()
    };
    let told = RolloutProgress::of(&mut plan).unwrap();
    assert!(told.is_complete() && told.message == "done");
    // A newer planner may report a progress that this executor doesn't know.
    for progress in [0, 99] {
        plan.progress = progress;
        assert_eq!(RolloutProgress::of(&mut plan), None);
    }
}
