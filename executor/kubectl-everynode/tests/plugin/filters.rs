//! Tests of the flags that select `DaemonSet`s, nodes and verdicts, with `--server`.

use everynode_proto::{
    executor::v1::{
        ActionEnded, DaemonSet, ExplainResponse, GetNodeOverheadResponse, ListDaemonSetsResponse, Placement,
        Rollout, RolloutState, WatchPlansResponse, watch_plans_response::Event,
    },
    planner::v1::{NodeSimulation, NodeVerdict, Problem, ProblemCode, Reason, Verdict, VerdictSummary},
};
use tonic::Status;

use crate::{
    fake::{Answers, FakeExecutor},
    program::{Run, run},
};

fn daemon_set(namespace: &str, name: &str) -> DaemonSet {
    DaemonSet {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        rollout: Some(Rollout {
            state: RolloutState::Complete.into(),
            ..Rollout::default()
        }),
        ..DaemonSet::default()
    }
}

fn placement(node: &str, verdict: Verdict) -> Placement {
    Placement {
        verdict: Some(NodeVerdict {
            daemon_set: "team-a/agent".to_owned(),
            node: node.to_owned(),
            verdict: verdict.into(),
            reasons: vec![Reason {
                message: "because".to_owned(),
                ..Reason::default()
            }],
            rollout: None,
        }),
        ..Placement::default()
    }
}

fn answers(daemon_sets: &[(&str, &str)]) -> Answers {
    Answers {
        daemon_sets: ListDaemonSetsResponse {
            daemon_sets: daemon_sets
                .iter()
                .map(|(namespace, name)| daemon_set(namespace, name))
                .collect(),
            ..ListDaemonSetsResponse::default()
        },
        explain: Some(ExplainResponse {
            placements: vec![
                placement("worker-1", Verdict::Run),
                placement("worker-2", Verdict::Keep),
                placement("control", Verdict::Exclude),
            ],
            ..ExplainResponse::default()
        }),
        overhead: GetNodeOverheadResponse {
            node: Some(NodeSimulation {
                node_template: "worker".to_owned(),
                ..NodeSimulation::default()
            }),
            ..GetNodeOverheadResponse::default()
        },
        ..Answers::default()
    }
}

async fn run_with_server(fake: &FakeExecutor, args: &[&str]) -> Run {
    run(&[args, &["--server", &fake.address()]].concat()).await
}

#[tokio::test]
async fn explain_finds_a_unique_name_in_any_namespace() {
    let fake = FakeExecutor::start(answers(&[("team-a", "agent")])).await;
    let run = run_with_server(&fake, &["explain", "ds/agent", "-A", "-o", "csv"]).await;
    assert_eq!((run.err.as_str(), run.code), ("", 1), "{run:?}");
    assert_eq!(
        fake.requests(),
        [
            "ListDaemonSetsRequest { namespace: \"\", name: \"agent\" }",
            "ExplainRequest { daemon_set: \"team-a/agent\", node: \"\" }",
        ]
    );
}

#[tokio::test]
async fn ambiguous_name_lists_the_candidates_and_exits_with_65() {
    let fake = FakeExecutor::start(answers(&[("a", "agent"), ("b", "agent")])).await;
    let run = run_with_server(&fake, &["explain", "agent", "-A"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: several DaemonSets have the name agent; choose one of a/agent, b/agent\n"
    );
    assert_eq!((run.out.as_str(), run.code), ("", 65));
    fake.change_answers(|answers| answers.daemon_sets.daemon_sets.clear());
    let run = run_with_server(&fake, &["explain", "agent", "-A"]).await;
    assert_eq!(run.err, "kubectl everynode: there is no DaemonSet agent\n");
    assert_eq!(run.code, 66);
}

#[tokio::test]
async fn explain_shows_the_selected_nodes_and_verdicts() {
    let fake = FakeExecutor::start(answers(&[("team-a", "agent")])).await;
    for (flags, rows) in [
        (&["team-a/agent", "--node", "worker-*"][..], 2),
        (&["-A"], 3),
        (&["-n", "team-a", "--node", "*-2", "--node", "c*"], 2),
        (&["-n", "team-a", "--verdict", "exclude"], 1),
        (
            &[
                "--daemon-set",
                "team-a/agent",
                "--verdict",
                "run",
                "--verdict",
                "KEEP",
            ],
            2,
        ),
    ] {
        let args = [&["explain"], flags, &["-o", "csv"]].concat();
        let run = run_with_server(&fake, &args).await;
        assert_eq!(run.out.lines().count(), 1 + rows, "{flags:?}: {run:?}");
    }
    let run = run_with_server(&fake, &["explain", "team-a/agent", "--node", "gpu-*"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: there is no node that matches gpu-*\n"
    );
    assert_eq!((run.out.as_str(), run.code), ("", 66));
}

#[tokio::test]
async fn each_named_node_is_requested_and_the_answers_are_merged() {
    let fake = FakeExecutor::start(answers(&[("team-a", "agent")])).await;
    let args = [
        "explain",
        "team-a/agent",
        "--node",
        "b",
        "--node",
        "a",
        "-o",
        "json",
    ];
    let run = run_with_server(&fake, &args).await;
    assert_eq!(
        fake.requests(),
        [
            "ExplainRequest { daemon_set: \"team-a/agent\", node: \"a\" }",
            "ExplainRequest { daemon_set: \"team-a/agent\", node: \"b\" }",
        ]
    );
    // The fake executor answers each request with all of its pairs.
    assert_eq!(
        run.out.matches("\"VERDICT_KEEP\",\n        \"reasons\"").count(),
        2,
        "{run:?}"
    );
    assert!(run.out.contains("\"runNodes\": 2"), "{run:?}");
}

#[tokio::test]
async fn calls_that_a_limit_refuses_are_repeated() {
    let fake = FakeExecutor::start(answers(&[("team-a", "agent")])).await;
    for args in [
        &["explain", "-A", "-o", "csv"][..],
        &["overhead", "a", "-o", "csv"],
    ] {
        fake.change_answers(|answers| answers.refused_calls = 2);
        let run = run_with_server(&fake, args).await;
        assert_eq!(run.err, "", "{args:?}");
        assert!(run.out.lines().count() > 1, "{args:?}: {run:?}");
    }
}

#[tokio::test]
async fn daemon_set_that_is_deleted_after_it_was_listed_is_left_out() {
    let mut deleted = answers(&[("team-a", "agent")]);
    deleted.explain = None;
    let fake = FakeExecutor::start(deleted).await;
    let run = run_with_server(&fake, &["explain", "-A", "-o", "csv"]).await;
    assert_eq!(run.out, "DAEMONSET,NODE,VERDICT,POD,REASON\n");
    assert_eq!((run.err.as_str(), run.code), ("", 0));
    let run = run_with_server(&fake, &["explain", "team-a/agent", "-o", "csv"]).await;
    assert_eq!((run.out.as_str(), run.code), ("", 66), "{run:?}");
}

#[tokio::test]
async fn answer_without_daemon_sets_is_a_message_for_people_and_empty_for_programs() {
    let fake = FakeExecutor::start(answers(&[])).await;
    let run = run_with_server(&fake, &["explain", "-n", "a"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: there are no DaemonSets in namespace a\n"
    );
    assert_eq!((run.out.as_str(), run.code), ("", 0));
    let run = run_with_server(&fake, &["explain", "-n", "a", "-o", "json"]).await;
    assert_eq!((run.out.as_str(), run.err.as_str(), run.code), ("{}\n", "", 0));
}

#[tokio::test]
async fn summary_has_no_pairs_in_any_format() {
    let mut with_summary = answers(&[("team-a", "agent")]);
    if let Some(answer) = &mut with_summary.explain {
        answer.summaries.push(VerdictSummary {
            daemon_set: "team-a/agent".to_owned(),
            run_nodes: 1,
            keep_nodes: 1,
            exclude_nodes: 1,
            ..VerdictSummary::default()
        });
    }
    let fake = FakeExecutor::start(with_summary).await;
    let summary = async |format: &str| {
        let args = ["explain", "team-a/agent", "--summary", "-o", format];
        run_with_server(&fake, &args).await
    };
    let csv = summary("csv").await;
    assert_eq!(csv.out, "DAEMONSET,RUN,KEEP,EXCLUDE\nteam-a/agent,1,1,1\n");
    let json = summary("json").await;
    assert!(
        json.out.contains("\"runNodes\": 1") && !json.out.contains("placements"),
        "{json:?}"
    );
    let table = summary("table").await;
    assert!(!table.out.contains("worker-1"), "{table:?}");
    assert_eq!((csv.code, json.code, table.code), (1, 1, 1));
}

#[tokio::test]
async fn status_shows_only_the_named_daemon_sets() {
    let fake = FakeExecutor::start(answers(&[("a", "x"), ("a", "y"), ("b", "x")])).await;
    let args = ["status", "a/x", "--daemon-set", "b/x", "-o", "csv"];
    let run = run_with_server(&fake, &args).await;
    let names: Vec<_> = run
        .out
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').next())
        .collect();
    assert_eq!(names, ["a/x", "b/x"]);
    assert_eq!(
        fake.requests(),
        ["ListDaemonSetsRequest { namespace: \"\", name: \"\" }"]
    );
    let run = run_with_server(&fake, &["status", "a/x", "--daemon-set", "c/x"]).await;
    assert_eq!(run.err, "kubectl everynode: there is no DaemonSet c/x\n");
    assert_eq!(run.code, 66);
}

#[tokio::test]
async fn quiet_commands_have_only_an_exit_code_and_problems() {
    let fake = FakeExecutor::start(answers(&[("a", "x")])).await;
    for (args, code) in [
        (&["status", "-A"][..], 0),
        (&["explain", "a/x"], 1),
        (&["overhead", "worker-1"], 0),
    ] {
        let run = run_with_server(&fake, &[args, &["-q"]].concat()).await;
        assert_eq!(
            (run.out.as_str(), run.err.as_str(), run.code),
            ("", "", code),
            "{args:?}"
        );
    }
    let problem = Problem {
        code: ProblemCode::Malformed.into(),
        object: "daemonset a/x".to_owned(),
        message: "can't be read".to_owned(),
        ..Problem::default()
    };
    fake.change_answers(|answers| answers.daemon_sets.daemon_sets[0].problems.push(problem));
    for (flags, code) in [(&[][..], 1), (&["--detailed-exit-code"], 3)] {
        let run = run_with_server(&fake, &[&["status", "-A", "-q"], flags].concat()).await;
        assert_eq!(run.err, "kubectl everynode: daemonset a/x: can't be read\n");
        assert_eq!((run.out.as_str(), run.code), ("", code));
    }
}

#[tokio::test]
async fn overhead_of_several_nodes_is_one_table() {
    let fake = FakeExecutor::start(answers(&[])).await;
    let run = run_with_server(&fake, &["overhead", "node/b", "--node", "a"]).await;
    assert!(run.out.starts_with("NODES "), "{run:?}");
    assert!(run.out.contains("2 nodes like worker"), "{run:?}");
    assert_eq!(
        fake.requests(),
        [
            "GetNodeOverheadRequest { node: \"a\" }",
            "GetNodeOverheadRequest { node: \"b\" }"
        ]
    );
}

#[tokio::test]
async fn watch_prints_only_events_of_the_selected_daemon_sets() {
    let ended = |daemon_set: &str| {
        Ok(WatchPlansResponse {
            event: Some(Event::ActionEnded(ActionEnded {
                daemon_set: daemon_set.to_owned(),
                message: "done".to_owned(),
                ..ActionEnded::default()
            })),
            ..WatchPlansResponse::default()
        })
    };
    let refused = Err(Status::permission_denied("no right"));
    let mut answers = answers(&[]);
    answers.watches = [vec![ended("a/x"), ended("a/y"), ended("b/x"), refused]].into();
    let fake = FakeExecutor::start(answers).await;
    let args = ["watch", "--daemon-set", "a/x", "--daemon-set", "b/x", "-o", "csv"];
    let run = run_with_server(&fake, &args).await;
    assert_eq!(run.out, "TIME,EVENT,TEXT\n,ended,a/x: done\n,ended,b/x: done\n");
    assert_eq!(
        fake.requests(),
        ["WatchPlansRequest { namespace: \"\", name: \"\" }"]
    );
}
