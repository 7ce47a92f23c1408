//! Comma-separated values.

use everynode_proto::executor::v1::WatchPlansResponse;

use super::*;

#[test]
fn csv_has_a_line_for_each_pair_with_its_pods_and_waits() {
    let answer = ExplainResponse {
        placements: vec![
            Placement {
                verdict: Some(verdict("worker-1", Verdict::Run, &["the node fits"])),
                pods: vec![pod("agent-x1")],
                waits: vec![wait("the pod is terminating", 0)],
            },
            Placement {
                verdict: Some(verdict("worker-2", Verdict::Exclude, &["wants disk=ssd"])),
                pods: Vec::new(),
                waits: Vec::new(),
            },
        ],
        ..ExplainResponse::default()
    };
    assert_eq!(
        explain_csv(&answer, &ExplainView::default()),
        "\
DAEMONSET,NODE,VERDICT,POD,REASON
default/agent,worker-1,RUN,\"agent-x1 (Running, ready)\",the node fits; waits: the pod is terminating
default/agent,worker-2,EXCLUDE,,wants disk=ssd
"
    );
    let excluded = ExplainView {
        verdicts: vec![Verdict::Exclude],
        ..ExplainView::default()
    };
    assert_eq!(explain_csv(&answer, &excluded).lines().count(), 2);
}

#[test]
fn daemon_sets_and_the_executor_have_a_line_each_as_csv() {
    let waits = vec![wait("a pod isn't ready", 1), wait("the quota is used up", 0)];
    let answer = ListDaemonSetsResponse {
        daemon_sets: vec![
            daemon_set("a", RolloutState::Blocked, waits),
            DaemonSet::default(),
        ],
        ask_leader: String::new(),
    };
    assert_eq!(
        daemon_sets_csv(&answer),
        "\
DAEMONSET,DESIRED,CURRENT,READY,UP-TO-DATE,AVAILABLE,MISSCHEDULED,REVISION,ROLLOUT,WAITS FOR
default/a,3,3,2,3,2,0,7bd5c,blocked,a pod isn't ready; the quota is used up
/,,,,,,,,,
"
    );
    let info = GetInfoResponse {
        version: "0.1.0".to_owned(),
        identity: "executor-a".to_owned(),
        ..GetInfoResponse::default()
    };
    assert_eq!(
        info_csv(&info),
        "EXECUTOR,VERSION,LEADER,CLUSTER,PLANNER\nexecutor-a,0.1.0,,syncing,none\n"
    );
    assert_eq!(
        events::csv_header() + &events::csv_line(&WatchPlansResponse::default()),
        "TIME,EVENT,TEXT\n,unknown,this event is of a kind that only newer versions of this program know\n"
    );
}

#[test]
fn nodes_have_a_line_each_with_plain_numbers() {
    let answers = [
        overhead("worker-2", "100m", "1900m"),
        overhead("worker-1", "1", "1"),
    ];
    assert_eq!(
        overheads_csv(&answers, SortBy::Name),
        "\
NODE,DAEMONSETS,CPU,CPU CAPACITY,MEMORY,MEMORY CAPACITY,PODS,PODS CAPACITY,LEFT CPU,LEFT MEMORY,LEFT PODS,EXCEEDED,CONFLICTS,PENDING,UNDECIDED
worker-1,1,1,2,0,,1,110,1,,109,,,,
worker-2,1,0.1,2,0,,1,110,1.9,,109,,,,
"
    );
}
