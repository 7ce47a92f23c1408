mod placements;
mod rollouts;
mod waiting;

use everynode_proto::{
    executor::v1::{PlannerInfo, RolloutState, Wait, WaitCode},
    planner::v1::{NodeVerdict, Progress, Verdict},
};
use serde_json::{Value, json};

use super::{pod as pod_shown, *};
use crate::testing::{agent, agent_with};

const NOW: i64 = 1_000;

/// The agent in the middle of a rollout that has no problems. A synced planner has reported these counters: desired,
/// current, updated, available.
fn snapshot(counters: [i32; 4]) -> Snapshot {
    let [desired, current, updated, available] = counters;
    Snapshot {
        object: Arc::new(agent()),
        revision: Some("r1".to_owned()),
        counters: Some(DaemonSetStatus {
            observed_generation: 1,
            desired_number_scheduled: desired,
            current_number_scheduled: current,
            number_ready: available,
            updated_number_scheduled: updated,
            number_available: available,
            number_unavailable: desired - available,
            ..DaemonSetStatus::default()
        }),
        progress: RolloutProgress {
            progress: Progress::InProgress,
            message: "the planner's message".to_owned(),
        },
        available_at: Some(HashMap::new()),
        problems: Vec::new(),
        upkeep: Upkeep::Done,
        creations: RequestedActions::default(),
        deletions: RequestedActions::default(),
        known_rollout: None,
        pods: Vec::new(),
        pod_reasons: HashMap::new(),
    }
}

fn of_spec(spec: &Value, snapshot: Snapshot) -> Snapshot {
    Snapshot {
        object: Arc::new(agent_with(json!({"spec": spec}))),
        ..snapshot
    }
}

/// A pod that has been ready for a long time.
fn pod(name: &str, node: &str) -> PodFacts {
    PodFacts {
        uid: format!("uid of {name}"),
        name: name.to_owned(),
        node: node.to_owned(),
        bound: true,
        phase: PodPhase::Running.into(),
        ready_since: Some(at(0)),
        revision: "r1".to_owned(),
        ..PodFacts::default()
    }
}

fn pending(name: &str, node: &str) -> PodFacts {
    PodFacts {
        phase: PodPhase::Pending.into(),
        ready_since: None,
        ..pod(name, node)
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

fn refusal(message: &str, seconds: u64) -> Refusal {
    Refusal {
        message: message.to_owned(),
        retry_after: Duration::from_secs(seconds),
    }
}

/// The context of an executor that leads and has a synced planner.
fn leading() -> Context {
    Context {
        leadership: Leadership::ours("me"),
        planner: Some(PlannerInfo {
            is_synced: true,
            ..PlannerInfo::default()
        }),
        now: NOW,
    }
}

/// The context of a standby. `leader` is empty if no executor leads.
fn following(leader: &str) -> Context {
    Context {
        leadership: Leadership::of(leader),
        planner: None,
        now: NOW,
    }
}

/// Waits as (code, message, nodes).
fn short(waits: &[Wait]) -> Vec<(WaitCode, &str, u32)> {
    waits
        .iter()
        .map(|wait| (wait.code(), wait.message.as_str(), wait.nodes))
        .collect()
}

#[test]
fn counters_of_the_last_plan_precede_those_in_the_status() {
    let mut snapshot = snapshot([3, 3, 3, 2]);
    let written = json!({"status": {"desiredNumberScheduled": 7, "numberReady": 5, "observedGeneration": 1}});
    snapshot.object = Arc::new(agent_with(written));
    assert_eq!(status(&snapshot).desired_number_scheduled, 3);
    snapshot.counters = None;
    let status = status(&snapshot);
    assert_eq!((status.desired_number_scheduled, status.number_ready), (7, 5));
}

#[test]
fn daemon_set_has_status_rollout_waits_and_problems() {
    let mut snapshot = snapshot([2, 2, 2, 1]);
    snapshot.pods = vec![pending("agent-a", "n1")];
    snapshot.problems = vec![Problem {
        message: "odd".to_owned(),
        ..Problem::default()
    }];
    let shown = daemon_set(&snapshot, &leading());
    assert_eq!(
        (shown.namespace.as_str(), shown.name.as_str()),
        ("default", "agent")
    );
    assert_eq!((shown.uid.as_str(), shown.generation), ("ds-1", 1));
    assert_eq!(shown.status, snapshot.counters);
    let rollout = shown.rollout.unwrap();
    assert_eq!(rollout.state(), RolloutState::Progressing);
    assert_eq!(rollout.update_revision, "r1");
    let wait = (
        WaitCode::Readiness,
        "1 pod isn't ready: agent-a on n1 (Pending)",
        1,
    );
    assert_eq!(short(&shown.waits), [wait]);
    assert_eq!(shown.problems, snapshot.problems);
}

#[test]
fn pod_is_shown_with_the_phase_of_kubernetes() {
    let facts = PodFacts {
        created: Some(at(7)),
        ..pending("agent-a", "n1")
    };
    let shown = pod_shown(&facts, &snapshot([1, 1, 1, 0]));
    assert_eq!(
        (shown.name.as_str(), shown.phase.as_str()),
        ("agent-a", "Pending")
    );
    assert!(shown.is_bound && !shown.is_ready && !shown.is_deleting);
    assert_eq!((shown.revision.as_str(), shown.created), ("r1", Some(at(7))));
    let unheard_of = PodFacts { phase: 99, ..facts };
    assert_eq!(phase(&unheard_of), "Unknown");
}

#[test]
fn only_similar_names_are_suggested() {
    let names = [
        "default/agent",
        "kube-system/proxy",
        "other/agent",
        "default/agents",
    ];
    assert_eq!(
        suggestions::similar("default/agnet", names),
        ["default/agent", "default/agents"]
    );
    assert_eq!(
        suggestions::missing("DaemonSet", "monitoring/proxy", names),
        "there is no DaemonSet monitoring/proxy; did you mean kube-system/proxy?"
    );
    assert_eq!(
        suggestions::missing("node", "worker-1", ["db-7"]),
        "there is no node worker-1"
    );
}
