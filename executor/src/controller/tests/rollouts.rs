//! What is written to the status of a `DaemonSetRollout`.

use everynode_proto::planner::v1::{RolloutMemory, RolloutPhase, RolloutReport, RolloutState};

use super::*;

const ROLLOUTS: &str = "/apis/everynode.io/v1alpha1/namespaces/default/daemonsetrollouts";
const ROLLOUT_STATUS: &str = "/apis/everynode.io/v1alpha1/namespaces/default/daemonsetrollouts/agent/status";

/// A plan that asks to remember a rollout of this revision.
fn remembering(update: &str) -> Plan {
    let memory = RolloutMemory {
        rollout: 1,
        daemon_set_uid: "ds-1".to_owned(),
        update_revision: update.to_owned(),
        state: RolloutState::Waiting.into(),
        ..RolloutMemory::default()
    };
    let report = RolloutReport {
        memory: Some(memory),
        phase: RolloutPhase::Waiting.into(),
        ..RolloutReport::default()
    };
    Plan {
        rollout: Some(report),
        ..Plan::default()
    }
}

fn stored(version: &str) -> Value {
    json!({"metadata": {"namespace": "default", "name": "agent", "uid": "dsr-1", "resourceVersion": version}})
}

/// The rollout of an earlier agent.
fn earlier() -> Value {
    let status =
        json!({"rollout": 1, "daemonSetUid": "ds-0", "updateRevision": "r0", "state": "Progressing"});
    with(
        stored("30"),
        json!({"spec": {"promoteFull": 1}, "status": status}),
    )
}

#[tokio::test(start_paused = true)]
async fn t14_nothing_is_written_while_nothing_is_remembered() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_plan(remembering("")).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn t9_rollout_of_an_earlier_daemon_set_is_replaced_once_it_is_deleted() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    rig.report(Change::Rollout(watch::Event::Changed(read(&earlier()))))
        .await;
    assert!(rig.is_idle().await);
    planner.send_plan(remembering("r1")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(rig.is_idle().await);
    assert_eq!(rig.events().await, [""; 0], "the garbage collector has some time");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(rig.is_idle().await);
    let events = rig.events().await;
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(
        event.starts_with("RolloutHeld: ") && event.contains("delete it"),
        "{event}"
    );
    rig.report(Change::Rollout(watch::Event::Gone(read(&earlier()))))
        .await;
    rig.api.expect("POST", ROLLOUTS).await.answer(&stored("31"));
    let call = rig.api.expect("PUT", ROLLOUT_STATUS).await;
    assert_eq!(call.body["status"]["daemonSetUid"], "ds-1");
    let written = with(stored("32"), json!({"status": call.body["status"]}));
    call.answer(&written);
    assert!(rig.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn api_server_that_drops_fields_is_not_asked_again_at_once() {
    let (mut rig, mut planner) = Rig::synced(&["n1"], &[]).await;
    planner.send_plan(remembering("r1")).await;
    rig.api.expect("POST", ROLLOUTS).await.answer(&stored("31"));
    for version in ["32", "33", "34"] {
        rig.api
            .expect("PUT", ROLLOUT_STATUS)
            .await
            .answer(&stored(version));
        tokio::time::sleep(Duration::from_millis(1_900)).await;
        assert!(rig.is_idle().await, "{version}");
    }
}
