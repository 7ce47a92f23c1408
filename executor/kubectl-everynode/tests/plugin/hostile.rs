//! Terminal control sequences in responses, in kubectl's output, and in arguments.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use everynode_proto::{
    executor::v1::{
        ActionEnded, DaemonSet, ExplainResponse, GetInfoResponse, GetNodeOverheadResponse,
        ListDaemonSetsResponse, Placement, PlannerInfo, Pod, Rollout, Wait, WatchPlansResponse,
        watch_plans_response::Event,
    },
    planner::v1::{NodeSimulation, NodeVerdict, Problem, Reason},
};
use everynode_render::text::printable_lines;
use tonic::Status;

use crate::{
    fake::{Answers, FakeExecutor},
    program::{Run, finish, folder, plugin, run},
};

/// Clears the screen, sets the title, overwrites and forges a line, recolors and reverses what follows.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;t\u{7}b\rc\nd\u{9b}31me\u{7f}f\u{202e}g";
/// The same text with escapes, as the plugin must show it.
const SHOWN: &str = r"a\x1b[2J\x1b]0;t\x07b\rc\nd\u{9b}31me\x7ff\u{202e}g";

fn assert_is_printable(run: &Run) {
    for text in [&run.out, &run.err] {
        assert_eq!(printable_lines(text), text.as_str(), "{run:?}");
    }
}

fn answers() -> Answers {
    let text = || HOSTILE.to_owned();
    let problem = || Problem {
        object: text(),
        field: text(),
        message: text(),
        ..Problem::default()
    };
    let wait = || Wait {
        message: text(),
        nodes: 1,
        ..Wait::default()
    };
    Answers {
        info: GetInfoResponse {
            version: text(),
            identity: text(),
            leader: text(),
            cluster_is_listed: true,
            planner: Some(PlannerInfo {
                version: text(),
                rules_version: text(),
                is_synced: true,
            }),
        },
        daemon_sets: ListDaemonSetsResponse {
            daemon_sets: vec![DaemonSet {
                namespace: text(),
                name: text(),
                rollout: Some(Rollout {
                    message: text(),
                    ..Rollout::default()
                }),
                waits: vec![wait()],
                problems: vec![problem()],
                ..DaemonSet::default()
            }],
            ask_leader: text(),
        },
        explain: Some(ExplainResponse {
            placements: vec![Placement {
                verdict: Some(NodeVerdict {
                    daemon_set: text(),
                    node: text(),
                    reasons: vec![Reason {
                        message: text(),
                        ..Reason::default()
                    }],
                    ..NodeVerdict::default()
                }),
                pods: vec![Pod {
                    name: text(),
                    phase: text(),
                    ..Pod::default()
                }],
                waits: vec![wait()],
            }],
            problems: vec![problem()],
            ..ExplainResponse::default()
        }),
        overhead: GetNodeOverheadResponse {
            node: Some(NodeSimulation {
                node_template: text(),
                exceeded: vec![text()],
                ..NodeSimulation::default()
            }),
            problems: vec![problem()],
            ..GetNodeOverheadResponse::default()
        },
        refused_calls: 0,
        watches: [vec![Ok(WatchPlansResponse {
            event: Some(Event::ActionEnded(ActionEnded {
                daemon_set: text(),
                message: text(),
                ..ActionEnded::default()
            })),
            ..WatchPlansResponse::default()
        })]]
        .into(),
    }
}

#[tokio::test]
async fn control_characters_in_responses_are_escaped() {
    let fake = FakeExecutor::start(answers()).await;
    for format in ["table", "wide", "json", "yaml", "csv"] {
        for command in [
            &["status", "-A"][..],
            &["explain", "a/b"],
            &["overhead", "a"],
            &["version"],
        ] {
            let flags = ["--server", &fake.address(), "-o", format];
            let run = run(&[command, &flags].concat()).await;
            assert_is_printable(&run);
            assert!(
                run.out.contains(if format == "table" { SHOWN } else { "[2J" }),
                "{run:?}"
            );
            let has_problems = command[0] != "version";
            assert_eq!(run.err.contains(SHOWN), has_problems, "{run:?}");
        }
    }
}

#[tokio::test]
async fn control_characters_in_watch_events_and_errors_are_escaped() {
    let fake = FakeExecutor::start(answers()).await;
    let mut watch = plugin(&["watch", "-A", "--server", &fake.address()])
        .spawn()
        .unwrap();
    let mut out = tokio::io::BufReader::new(watch.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line)
        .await
        .unwrap();
    assert_eq!(line.trim_end(), format!("   ended     {SHOWN}: {SHOWN}"));

    fake.change_answers(|answers| answers.watches = [vec![Err(Status::failed_precondition(HOSTILE))]].into());
    let refused = run(&["watch", "-A", "--server", &fake.address()]).await;
    assert_eq!(refused.err, format!("kubectl everynode: {SHOWN}\n"));
}

#[tokio::test]
async fn control_characters_in_arguments_are_escaped() {
    for args in [
        &["explain", HOSTILE, HOSTILE, HOSTILE][..],
        &[HOSTILE],
        &["status", "-o", HOSTILE],
        &["status", &format!("node/{HOSTILE}")],
        &["status", "-A", "--server", HOSTILE],
        &["status", "-A", "--server", "127.0.0.1:1", "--tls-ca", HOSTILE],
    ] {
        let run = run(args).await;
        assert_is_printable(&run);
        assert!(run.err.contains(SHOWN), "{args:?}: {run:?}");
        assert_eq!(run.code, 64, "{run:?}");
    }
}

/// A kubectl that runs this shell script.
fn kubectl(test: &str, script: &str) -> PathBuf {
    let path = folder(test).join("kubectl");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn run_with(kubectl: PathBuf, args: &[&str]) -> Run {
    let mut command = plugin(args);
    command.env("KUBECTL_PATH", kubectl).env("PATH", "/usr/bin:/bin");
    finish(command.spawn().unwrap()).await
}

#[tokio::test]
async fn control_characters_in_kubectl_errors_are_escaped() {
    let script = r"printf 'error: \033[2J\033]0;t\007 a\rb \302\23331m\n' >&2; exit 1";
    let run = run_with(kubectl("hostile-errors", script), &["status", "-A"]).await;
    assert_is_printable(&run);
    assert!(
        run.err.contains(r"error: \x1b[2J\x1b]0;t\x07 a\rb \u{9b}31m"),
        "{run:?}"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn unprintable_names_are_not_completed() {
    let kubectl = kubectl(
        "hostile-names",
        r"printf 'good \033[2Jbad worse\302\233 ba\302\255d'",
    );
    let run = run_with(kubectl, &["complete", "--", "overhead", ""]).await;
    assert_eq!((run.out.as_str(), run.err.as_str()), ("node/good\n:4\n", ""));
}
