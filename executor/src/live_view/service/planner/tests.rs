use everynode_proto::planner::v1::{NodeVerdict, PodFacts, Problem, ReasonCode, ReasonCount, Verdict};
use serde_json::json;
use tonic_types::{ErrorDetails, StatusExt};

use super::*;

fn object(bytes: usize) -> Named {
    let value = json!({"text": "x".repeat(bytes)});
    Named {
        name: "object".to_owned(),
        object: RawStruct::from(value.as_object().unwrap()),
    }
}

fn sizes(objects: Vec<Named>, max_count: usize) -> Vec<usize> {
    chunks(objects, max_count).iter().map(Vec::len).collect()
}

#[test]
fn objects_are_split_by_number_and_by_size() {
    assert_eq!(sizes(Vec::new(), 2), [0; 0]);
    assert_eq!(sizes(vec![object(1); 5], 2), [2, 2, 1]);
    assert_eq!(sizes(vec![object(6 * 1024 * 1024); 5], 100), [2, 2, 1]);
    // An object that is too large by itself gets its own chunk, and the planner refuses it.
    assert_eq!(sizes(vec![object(17 * 1024 * 1024), object(1)], 100), [1, 1]);
    const { assert!(MAX_NODES_PER_CALL * MAX_DAEMON_SETS_PER_CALL <= 100_000) };
}

#[test]
fn rollouts_are_split_with_their_daemon_sets_and_their_pods_with_the_nodes() {
    let named = |name: &str| Named {
        name: name.to_owned(),
        ..object(1)
    };
    let pod = |node: &str| PodFacts {
        node: node.to_owned(),
        ..PodFacts::default()
    };
    let known = |daemon_set: &str| KnownRollout {
        daemon_set: daemon_set.to_owned(),
        pods: vec![pod("n1"), pod("n2")],
        ..KnownRollout::default()
    };
    let all = [known("default/a"), known("default/b")];
    let found = rollouts_of(&all, &[named("default/b"), named("default/c")], &[named("n2")]);
    let [found] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(found.daemon_set, "default/b");
    assert_eq!(found.pods, [pod("n2")]);
}

fn verdict(node: &str) -> NodeVerdict {
    NodeVerdict {
        node: node.to_owned(),
        verdict: Verdict::Run.into(),
        ..NodeVerdict::default()
    }
}

fn reason(condition: &str, nodes: u32) -> ReasonCount {
    ReasonCount {
        code: ReasonCode::NodeSelector.into(),
        condition: condition.to_owned(),
        verdict: Verdict::Exclude.into(),
        nodes,
    }
}

#[test]
fn answers_to_chunks_are_merged() {
    let summary = |run_nodes, reasons: &[ReasonCount]| VerdictSummary {
        daemon_set: "default/agent".to_owned(),
        run_nodes,
        keep_nodes: 1,
        exclude_nodes: 2,
        reasons: reasons.to_vec(),
    };
    let problem = Problem {
        message: "odd".to_owned(),
        ..Problem::default()
    };
    let mut merged = ExplainResponse::default();
    for (node, summary) in [
        ("n1", summary(3, &[reason("a", 2)])),
        ("n2", summary(4, &[reason("b", 1), reason("a", 1)])),
    ] {
        merge(
            &mut merged,
            ExplainResponse {
                verdicts: vec![verdict(node)],
                problems: vec![problem.clone()],
                summaries: vec![summary],
            },
        );
    }
    assert_eq!(merged.verdicts, [verdict("n1"), verdict("n2")]);
    assert_eq!(merged.problems, [problem]);
    let [summary] = merged.summaries.as_slice() else {
        panic!("{:?}", merged.summaries)
    };
    let counts = (summary.run_nodes, summary.keep_nodes, summary.exclude_nodes);
    assert_eq!(counts, (7, 2, 4));
    assert_eq!(summary.reasons, [reason("a", 3), reason("b", 1)]);
}

#[test]
fn planner_errors_are_translated_for_the_caller() {
    for code in [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Cancelled,
        Code::Unknown,
    ] {
        let status = translate(Status::new(code, "gone"));
        assert_eq!(status.code(), Code::Unavailable);
        let message = "no planner answers, and only a planner can give verdicts: gone";
        assert_eq!(status.message(), message);
    }
    assert_eq!(translate(Status::unimplemented("")).code(), Code::Unimplemented);
    // An invalid argument is our bug.
    assert_eq!(translate(Status::invalid_argument("no")).code(), Code::Internal);
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(2)));
    let status = translate(Status::with_error_details(
        Code::ResourceExhausted,
        "busy",
        details,
    ));
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_error_details().retry_info().unwrap().retry_delay;
    assert_eq!(
        retry,
        Some(Duration::from_secs(2)),
        "the retry delay is passed on"
    );
}

#[test]
fn failed_connection_is_reported_with_its_cause() {
    let error = ConnectError::Tcp {
        address: "planner:1".to_owned(),
        source: std::io::ErrorKind::ConnectionRefused.into(),
    };
    let status = translate(Status::from_error(tonic::ConnectError(error.into()).into()));
    assert_eq!(status.code(), Code::Unavailable);
    let message = "no planner answers, and only a planner can give verdicts: connecting to planner:1 failed: \
                   connection refused";
    assert_eq!(status.message(), message);
}
