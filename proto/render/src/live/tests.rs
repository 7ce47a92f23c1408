use everynode_proto::{
    executor::v1::{Rollout, Wait, WaitCode},
    planner::v1::{DaemonSetDemand, DaemonSetStatus, NodeSimulation, Problem, Verdict},
};

use super::*;
use crate::testing::{resources, summary, verdict};

mod csv;
mod watch;

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
fn pod_that_is_not_ready_is_shown_with_its_reason() {
    let unbound = Pod {
        phase: "Pending".to_owned(),
        is_bound: false,
        is_ready: false,
        reason: "SchedulingGated".to_owned(),
        message: "Scheduling is blocked".to_owned(),
        ..pod("agent-x1")
    };
    let wide = TableStyle {
        is_wide: true,
        ..TableStyle::default()
    };
    assert_eq!(
        pod_text(&unbound, TableStyle::default()),
        "agent-x1 (Pending, not bound: SchedulingGated)"
    );
    assert_eq!(
        pod_text(&unbound, wide),
        "agent-x1 (Pending, not bound: SchedulingGated, revision 7bd5c)"
    );
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
        explain(&answer, &ExplainView::default(), TableStyle::default()),
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

fn waiting(pairs: usize, waiting: usize) -> ExplainResponse {
    let placement = |number: usize| Placement {
        verdict: Some(verdict(&format!("n-{number:02}"), Verdict::Run, &["fits"])),
        pods: Vec::new(),
        waits: if number < waiting {
            vec![Wait {
                code: WaitCode::Readiness.into(),
                ..wait(&format!("agent-{number} isn't ready"), 1)
            }]
        } else {
            Vec::new()
        },
    };
    ExplainResponse {
        placements: (0..pairs).map(placement).collect(),
        ..ExplainResponse::default()
    }
}

#[test]
fn few_of_many_pairs_that_wait_are_listed() {
    let text = explain(&waiting(30, 2), &ExplainView::default(), TableStyle::default());
    assert_eq!(
        text,
        "\
DAEMONSET       NODE   VERDICT   POD   REASON
default/agent   n-00   RUN       -     fits
default/agent   n-00   RUN       -     waits: agent-0 isn't ready
default/agent   n-01   RUN       -     fits
default/agent   n-01   RUN       -     waits: agent-1 isn't ready

VERDICT   CONDITION
RUN       pods aren't ready: default/agent on 2 nodes

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   30    0      0
"
    );
}

#[test]
fn many_pairs_that_wait_are_folded() {
    let answer = waiting(60, 40);
    let text = explain(&answer, &ExplainView::default(), TableStyle::default());
    assert_eq!(
        text,
        "\
VERDICT   CONDITION
RUN       pods aren't ready: default/agent on 40 nodes

NODES                RUN   KEEP   EXCLUDE   CONDITIONS
40 nodes like n-00   1     0      0         pods aren't ready (1)
20 nodes like n-40   1     0      0

DAEMONSET       RUN   KEEP   EXCLUDE   CONDITIONS
default/agent   60    0      0         pods aren't ready (40)
"
    );
    let all = ExplainView {
        extent: Extent::All,
        ..ExplainView::default()
    };
    let rows = explain(&answer, &all, TableStyle::default());
    assert_eq!(
        rows.lines().filter(|line| line.contains("isn't ready")).count(),
        40
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

fn overhead(node: &str, cpu: &str, left: &str) -> GetNodeOverheadResponse {
    GetNodeOverheadResponse {
        node: Some(NodeSimulation {
            node_template: node.to_owned(),
            daemon_sets: vec!["default/agent".to_owned()],
            requests: resources([("cpu", cpu), ("pods", "1")]),
            left: resources([("cpu", left), ("pods", "109")]),
            ..NodeSimulation::default()
        }),
        daemon_sets: vec![DaemonSetDemand {
            daemon_set: "default/agent".to_owned(),
            requests: resources([("cpu", cpu), ("pods", "1")]),
            host_ports: Vec::new(),
        }],
        problems: Vec::new(),
        allocatable: resources([("cpu", "2"), ("pods", "110")]),
    }
}

#[test]
fn overhead_is_compared_with_the_nodes_capacity() {
    let answer = overhead("worker-1", "100m", "1900m");
    assert_eq!(
        overheads(std::slice::from_ref(&answer), SortBy::Name, TableStyle::default()),
        "\
Node worker-1
DAEMONSET       CPU     MEMORY   PODS   HOST PORTS
default/agent   100m    -        1
requested       100m    -        1
percent         5%      -        0%
capacity        2       -        110
left            1900m   -        109
"
    );
    assert!(is_overhead_as_desired(&answer));
}

#[test]
fn several_nodes_share_a_table_and_wide_tables_are_detailed() {
    let answers = [
        overhead("worker-2", "100m", "1900m"),
        overhead("worker-1", "100m", "1900m"),
        overhead("worker-3", "1", "1"),
    ];
    assert_eq!(
        overheads(&answers, SortBy::Cpu, TableStyle::default()),
        "\
NODES                   DAEMONSETS   CPU     %     MEMORY   %   PODS   LEFT (CPU / MEMORY / PODS)
worker-3                1            1000m   50%   0        -   1      1000m / - / 109
2 nodes like worker-1   1            100m    5%    0        -   1      1900m / - / 109
"
    );
    let wide = TableStyle {
        is_wide: true,
        ..TableStyle::default()
    };
    let text = overheads(&answers, SortBy::Name, wide);
    let names: Vec<_> = text.lines().filter(|line| line.starts_with("Node ")).collect();
    assert_eq!(names, ["Node worker-1", "Node worker-2", "Node worker-3"]);
}
