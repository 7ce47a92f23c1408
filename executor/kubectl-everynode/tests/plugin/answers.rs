//! Tests of commands with `--server`.

use everynode_proto::{
    executor::v1::{
        DaemonSet, ExplainResponse, GetInfoResponse, GetNodeOverheadResponse, ListDaemonSetsResponse,
        Placement, PlannerInfo, Pod, Rollout, RolloutState, Wait,
    },
    planner::v1::{DaemonSetStatus, NodeSimulation, NodeVerdict, Problem, Reason, Verdict},
};

use crate::{
    fake::{Answers, FakeExecutor},
    program::{Run, run},
};

fn answers() -> Answers {
    let verdict = NodeVerdict {
        daemon_set: "default/agent".to_owned(),
        node: "worker-3".to_owned(),
        verdict: Verdict::Run.into(),
        reasons: vec![Reason {
            message: "the node fits".to_owned(),
            ..Reason::default()
        }],
        rollout: None,
    };
    let pod = Pod {
        name: "agent-x1".to_owned(),
        phase: "Running".to_owned(),
        is_bound: true,
        is_ready: true,
        ..Pod::default()
    };
    Answers {
        info: GetInfoResponse {
            version: "0.1.0".to_owned(),
            identity: "executor-a".to_owned(),
            leader: "executor-a".to_owned(),
            cluster_is_listed: true,
            planner: Some(PlannerInfo {
                version: "0.1.0".to_owned(),
                rules_version: "3".to_owned(),
                is_synced: true,
            }),
        },
        daemon_sets: ListDaemonSetsResponse {
            daemon_sets: vec![daemon_set()],
            ask_leader: String::new(),
        },
        explain: Some(ExplainResponse {
            placements: vec![Placement {
                verdict: Some(verdict),
                pods: vec![pod],
                waits: Vec::new(),
            }],
            ..ExplainResponse::default()
        }),
        overhead: GetNodeOverheadResponse {
            node: Some(NodeSimulation {
                node_template: "worker-3".to_owned(),
                exceeded: vec!["memory".to_owned()],
                ..NodeSimulation::default()
            }),
            ..GetNodeOverheadResponse::default()
        },
        ..Answers::default()
    }
}

fn daemon_set() -> DaemonSet {
    DaemonSet {
        namespace: "default".to_owned(),
        name: "agent".to_owned(),
        status: Some(DaemonSetStatus {
            desired_number_scheduled: 1,
            ..DaemonSetStatus::default()
        }),
        rollout: Some(Rollout {
            state: RolloutState::Complete.into(),
            ..Rollout::default()
        }),
        ..DaemonSet::default()
    }
}

/// Runs the plugin with the executor's address.
async fn run_with_server(fake: &FakeExecutor, args: &[&str]) -> Run {
    run(&[args, &["--server", &fake.address()]].concat()).await
}

#[tokio::test]
async fn explain_requests_the_pair_and_shows_verdict_pods_and_reasons() {
    let fake = FakeExecutor::start(answers()).await;
    let expected = "\
DAEMONSET       NODE       VERDICT   POD                         REASON
default/agent   worker-3   RUN       agent-x1 (Running, ready)   the node fits
";
    for (args, daemon_set, node) in [
        (
            &["explain", "ds/agent", "node/worker-3"][..],
            "default/agent",
            "worker-3",
        ),
        (&["explain", "agent", "-n", "other"], "other/agent", ""),
        (&["explain", "node/worker-3"], "", "worker-3"),
        (
            &["explain", "kube-system/agent", "worker-3"],
            "kube-system/agent",
            "worker-3",
        ),
    ] {
        let Run { out, err, code } = run_with_server(&fake, args).await;
        assert_eq!((out.as_str(), err.as_str(), code), (expected, "", 0), "{args:?}");
        let request = format!("ExplainRequest {{ daemon_set: {daemon_set:?}, node: {node:?} }}");
        assert_eq!(fake.requests().pop().unwrap(), request);
    }
}

#[tokio::test]
async fn json_and_yaml_are_the_executors_response() {
    let fake = FakeExecutor::start(answers()).await;
    let json = run_with_server(&fake, &["explain", "ds/agent", "-o", "json"]).await;
    assert!(json.out.contains("\"verdict\": \"VERDICT_RUN\""), "{json:?}");
    let yaml = run_with_server(&fake, &["explain", "ds/agent", "-o", "yaml"]).await;
    assert!(yaml.out.contains("verdict: VERDICT_RUN\n"), "{yaml:?}");
    let json = run_with_server(&fake, &["version", "-o", "json"]).await;
    assert!(json.out.starts_with("{\n  \"version\": \"0.1.0\""), "{json:?}");
}

#[tokio::test]
async fn missing_object_is_reported_with_the_executors_message_and_exit_code_66() {
    let mut absent = answers();
    absent.explain = None;
    absent.daemon_sets.daemon_sets.clear();
    let fake = FakeExecutor::start(absent).await;
    let run = run_with_server(&fake, &["explain", "ds/agent", "node/worker-9"]).await;
    let message = "kubectl everynode: there is no node worker-9; did you mean worker-3?\n";
    assert_eq!((run.out.as_str(), run.err.as_str(), run.code), ("", message, 66));
    let run = run_with_server(&fake, &["status", "ds/agent"]).await;
    let message = "kubectl everynode: there is no DaemonSet default/agent\n";
    assert_eq!((run.out.as_str(), run.err.as_str(), run.code), ("", message, 66));
    let run = run_with_server(&fake, &["status"]).await;
    let message = "kubectl everynode: there are no DaemonSets in namespace default\n";
    assert_eq!((run.out.as_str(), run.err.as_str(), run.code), ("", message, 0));
}

#[tokio::test]
async fn status_exits_with_0_when_everything_is_done_and_with_1_when_something_waits() {
    let fake = FakeExecutor::start(answers()).await;
    let complete = run_with_server(&fake, &["status", "-A"]).await;
    assert_eq!(
        complete.out,
        "\
DAEMONSET       DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   MISSCHEDULED   ROLLOUT    WAITS FOR
default/agent   1         0         0       0            0           0              complete
"
    );
    assert_eq!((complete.err.as_str(), complete.code), ("", 0));
    assert_eq!(
        fake.requests(),
        ["ListDaemonSetsRequest { namespace: \"\", name: \"\" }"]
    );
    fake.change_answers(|answers| {
        let daemon_set = &mut answers.daemon_sets.daemon_sets[0];
        daemon_set.waits.push(Wait {
            message: "a pod isn't ready".to_owned(),
            nodes: 1,
            ..Wait::default()
        });
        daemon_set.problems.push(Problem {
            object: "daemonset default/agent".to_owned(),
            field: "spec.selector".to_owned(),
            message: "is empty".to_owned(),
            ..Problem::default()
        });
    });
    let waiting = run_with_server(&fake, &["status", "daemonset/agent"]).await;
    assert!(
        waiting.out.ends_with("\nWaits: a pod isn't ready (1 node)\n"),
        "{waiting:?}"
    );
    assert_eq!(
        waiting.err,
        "kubectl everynode: daemonset default/agent: spec.selector: is empty\n"
    );
    assert_eq!(waiting.code, 1);
}

#[tokio::test]
async fn note_is_printed_when_server_is_not_the_leader() {
    let mut follower = answers();
    follower.daemon_sets.ask_leader = "executor-b".to_owned();
    let fake = FakeExecutor::start(follower).await;
    let run = run_with_server(&fake, &["status"]).await;
    assert!(run.out.contains("default/agent"), "{run:?}");
    assert_eq!(
        run.err,
        "kubectl everynode: note: waits and problems that follow from plans are missing; only the leader \
         executor-b knows them: --server is the address of another executor\n"
    );
}

#[tokio::test]
async fn overhead_that_doesnt_fit_exits_with_1() {
    let fake = FakeExecutor::start(answers()).await;
    let run = run_with_server(&fake, &["overhead", "node/worker-3"]).await;
    assert_eq!(
        run.out,
        "Node worker-3\nNo DaemonSet would run on this node.\nexceeded: memory\n"
    );
    assert_eq!(run.code, 1);
    assert_eq!(fake.requests(), ["GetNodeOverheadRequest { node: \"worker-3\" }"]);
}

#[tokio::test]
async fn version_prints_the_versions_of_plugin_and_executor() {
    let fake = FakeExecutor::start(answers()).await;
    let run = run_with_server(&fake, &["version"]).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        run.out,
        format!(
            "\
kubectl-everynode {version}
EXECUTOR     VERSION   LEADER   CLUSTER   PLANNER
executor-a   0.1.0     itself   synced    0.1.0 (rules 3)
"
        )
    );
    assert_eq!((run.err.as_str(), run.code), ("", 0));
}
