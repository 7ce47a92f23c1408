use everynode_proto::{
    executor::v1::{
        ActionEnded, EventsLost, PlannerChanged, Rollout, Wait, WatchBegan, WatchPlansResponse,
        watch_plans_response::Event,
    },
    planner::v1::{
        Action, ActionOutcome, CreatePod, DaemonSetDemand, DaemonSetStatus, NodeSimulation, Plan, Problem,
        action,
    },
};

use super::*;
use crate::testing::{resources, summary, verdict};

fn wait(message: &str, nodes: u32) -> Wait {
    Wait {
        message: message.to_owned(),
        nodes,
        ..Wait::default()
    }
}

fn daemon_set(name: &str, state: RolloutState, waits: Vec<Wait>) -> DaemonSet {
    DaemonSet {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        status: Some(DaemonSetStatus {
            desired_number_scheduled: 3,
            current_number_scheduled: 3,
            number_ready: 2,
            updated_number_scheduled: 3,
            number_available: 2,
            ..DaemonSetStatus::default()
        }),
        rollout: Some(Rollout {
            state: state.into(),
            update_revision: "7bd5c".to_owned(),
            message: "3 of 3 pods are of the current template, 2 of them available".to_owned(),
        }),
        waits,
        ..DaemonSet::default()
    }
}

fn planner_info() -> PlannerInfo {
    PlannerInfo {
        version: "0.1.0".to_owned(),
        rules_version: "3".to_owned(),
        is_synced: true,
    }
}

#[test]
fn info_shows_the_executor_its_leader_and_its_planner() {
    let mut answer = GetInfoResponse {
        version: "0.1.0".to_owned(),
        identity: "executor-a".to_owned(),
        leader: "executor-a".to_owned(),
        cluster_is_listed: true,
        planner: Some(planner_info()),
    };
    assert_eq!(
        info(&answer, TableStyle::default()),
        "\
EXECUTOR     VERSION   LEADER   CLUSTER   PLANNER
executor-a   0.1.0     itself   synced    0.1.0 (rules 3)
"
    );
    answer.leader.clear();
    answer.cluster_is_listed = false;
    answer.planner = None;
    assert_eq!(
        info(&answer, TableStyle::default()),
        "\
EXECUTOR     VERSION   LEADER   CLUSTER   PLANNER
executor-a   0.1.0     none     syncing   none
"
    );
}

#[test]
fn list_of_daemonsets_shows_the_first_wait_of_each() {
    let waits = vec![wait("a pod isn't ready", 1), wait("a pod isn't available", 1)];
    let answer = ListDaemonSetsResponse {
        daemon_sets: vec![
            daemon_set("a", RolloutState::Complete, Vec::new()),
            daemon_set("b", RolloutState::Blocked, waits),
        ],
        ask_leader: String::new(),
    };
    assert_eq!(
        daemon_sets(&answer, TableStyle::default()),
        "\
DAEMONSET   DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   MISSCHEDULED   ROLLOUT    WAITS FOR
default/a   3         3         2       3            2           0              complete
default/b   3         3         2       3            2           0              blocked    a pod isn't ready (and 1 more)
"
    );
    assert!(!are_daemon_sets_as_desired(&answer));
}

#[test]
fn single_daemonset_is_shown_with_all_its_waits() {
    let waits = vec![wait("a pod isn't ready", 1), wait("the quota is used up", 0)];
    let mut answer = ListDaemonSetsResponse {
        daemon_sets: vec![daemon_set("a", RolloutState::Progressing, waits)],
        ask_leader: String::new(),
    };
    let style = TableStyle {
        is_wide: true,
        ..TableStyle::default()
    };
    let text = daemon_sets(&answer, style);
    let (table, details) = text.split_once("\n\n").unwrap();
    assert!(table.contains("   REVISION   ROLLOUT"), "{table}");
    assert_eq!(
        details,
        "\
Rollout: 3 of 3 pods are of the current template, 2 of them available
Waits: a pod isn't ready (1 node)
Waits: the quota is used up
"
    );
    answer.daemon_sets = vec![daemon_set("a", RolloutState::Complete, Vec::new())];
    assert!(are_daemon_sets_as_desired(&answer));
    answer.daemon_sets[0].problems.push(Problem::default());
    assert!(!are_daemon_sets_as_desired(&answer));
}

fn pod(name: &str) -> Pod {
    Pod {
        name: name.to_owned(),
        phase: "Running".to_owned(),
        is_bound: true,
        is_ready: true,
        revision: "7bd5c".to_owned(),
        ..Pod::default()
    }
}

#[test]
fn pair_is_shown_with_its_pods_its_reasons_and_its_waits() {
    let deleting = Pod {
        is_deleting: true,
        ..pod("agent-x2")
    };
    let answer = ExplainResponse {
        placements: vec![
            Placement {
                verdict: Some(verdict("worker-1", Verdict::Run, &["the node fits"])),
                pods: vec![pod("agent-x1")],
                waits: Vec::new(),
            },
            Placement {
                verdict: Some(verdict("worker-2", Verdict::Exclude, &["wants disk=ssd"])),
                pods: vec![deleting],
                waits: vec![wait("the pod is terminating", 0)],
            },
        ],
        summaries: vec![summary(1, 0, 1)],
        problems: Vec::new(),
    };
    assert_eq!(
        explain(&answer, false, TableStyle::default()),
        "\
DAEMONSET       NODE       VERDICT   POD                                 REASON
default/agent   worker-1   RUN       agent-x1 (Running, ready)           the node fits
default/agent   worker-2   EXCLUDE   agent-x2 (Running, being deleted)   wants disk=ssd
default/agent   worker-2   EXCLUDE   agent-x2 (Running, being deleted)   waits: the pod is terminating

DAEMONSET       VERDICT   NODES   UNMET CONDITION
default/agent   EXCLUDE   1       nodeSelector disk=ssd

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   1     0      1
"
    );
    assert!(!is_explain_as_desired(&answer));
}

#[test]
fn many_pairs_are_shown_only_if_they_dont_run_or_are_waiting() {
    let placement = |number: usize| Placement {
        verdict: Some(verdict(&format!("n-{number:02}"), Verdict::Run, &[])),
        pods: Vec::new(),
        waits: if number < 22 {
            vec![wait("soon", 0)]
        } else {
            Vec::new()
        },
    };
    let answer = ExplainResponse {
        placements: (0..30).map(placement).collect(),
        ..ExplainResponse::default()
    };
    let text = explain(&answer, false, TableStyle::default());
    assert_eq!(text.lines().count(), 1 + MAX_SHOWN_PAIRS + 1);
    assert!(
        text.ends_with("(2 more pairs not running or still waiting; --all shows every pair)\n"),
        "{text}"
    );
    assert_eq!(
        explain(&answer, true, TableStyle::default()).lines().count(),
        1 + 30
    );
    assert!(!is_explain_as_desired(&answer));
}

#[test]
fn pod_is_described_by_its_most_important_state() {
    let unbound = Pod {
        is_bound: false,
        is_ready: false,
        phase: "Pending".to_owned(),
        ..pod("a")
    };
    let unready = Pod {
        is_ready: false,
        ..pod("b")
    };
    assert_eq!(
        pod_text(&unbound, TableStyle::default()),
        "a (Pending, not bound)"
    );
    assert_eq!(
        pod_text(&unready, TableStyle::default()),
        "b (Running, not ready)"
    );
    let wide = TableStyle {
        is_wide: true,
        ..TableStyle::default()
    };
    assert_eq!(pod_text(&pod("c"), wide), "c (Running, ready, revision 7bd5c)");
}

#[test]
fn overhead_is_compared_with_the_nodes_capacity() {
    let answer = GetNodeOverheadResponse {
        node: Some(NodeSimulation {
            node_template: "worker-1".to_owned(),
            daemon_sets: vec!["default/agent".to_owned()],
            requests: resources([("cpu", "100m"), ("pods", "1")]),
            left: resources([("cpu", "1900m"), ("pods", "109")]),
            ..NodeSimulation::default()
        }),
        daemon_sets: vec![DaemonSetDemand {
            daemon_set: "default/agent".to_owned(),
            requests: resources([("cpu", "100m"), ("pods", "1")]),
            host_ports: Vec::new(),
        }],
        problems: Vec::new(),
        allocatable: resources([("cpu", "2"), ("pods", "110")]),
    };
    assert_eq!(
        overhead(&answer, TableStyle::default()),
        "\
Node worker-1
DAEMONSET       CPU     MEMORY   PODS   HOST PORTS
default/agent   100m    -        1
requested       100m    -        1
capacity        2       -        110
left            1900m   -        109
"
    );
    assert!(is_overhead_as_desired(&answer));
}

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
