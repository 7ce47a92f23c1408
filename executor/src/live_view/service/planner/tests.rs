use everynode_proto::planner::v1::{NodeVerdict, Problem, ReasonCode, ReasonCount, Verdict};
use serde_json::json;
use tonic_types::{ErrorDetails, StatusExt};

use super::*;

fn object(bytes: usize) -> RawStruct {
    let value = json!({"text": "x".repeat(bytes)});
    RawStruct::from(value.as_object().unwrap())
}

fn sizes(objects: Vec<RawStruct>, most: usize) -> Vec<usize> {
    pieces(objects, most).iter().map(Vec::len).collect()
}

#[test]
fn what_is_too_much_for_one_call_is_cut_by_number_and_by_size() {
    assert_eq!(sizes(Vec::new(), 2), [0; 0]);
    assert_eq!(sizes(vec![object(1); 5], 2), [2, 2, 1]);
    assert_eq!(sizes(vec![object(6 * 1024 * 1024); 5], 100), [2, 2, 1]);
    // An object that is too large by itself gets its own piece, and the planner refuses it.
    assert_eq!(sizes(vec![object(17 * 1024 * 1024), object(1)], 100), [1, 1]);
    const { assert!(NODES_AT_ONCE * DAEMON_SETS_AT_ONCE <= 100_000) };
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
fn answers_to_the_pieces_add_up_to_one() {
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
    let mut whole = ExplainResponse::default();
    for (node, summary) in [
        ("n1", summary(3, &[reason("a", 2)])),
        ("n2", summary(4, &[reason("b", 1), reason("a", 1)])),
    ] {
        add(
            &mut whole,
            ExplainResponse {
                verdicts: vec![verdict(node)],
                problems: vec![problem.clone()],
                summaries: vec![summary],
            },
        );
    }
    assert_eq!(whole.verdicts, [verdict("n1"), verdict("n2")]);
    assert_eq!(whole.problems, [problem]);
    let [summary] = whole.summaries.as_slice() else {
        panic!("{:?}", whole.summaries)
    };
    let counts = (summary.run_nodes, summary.keep_nodes, summary.exclude_nodes);
    assert_eq!(counts, (7, 2, 4));
    assert_eq!(summary.reasons, [reason("a", 3), reason("b", 1)]);
}

#[test]
fn what_a_planner_refuses_is_said_as_what_it_means_here() {
    for code in [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Cancelled,
        Code::Unknown,
    ] {
        let status = explained(Status::new(code, "gone"));
        assert_eq!(status.code(), Code::Unavailable);
        let words = "no planner answers, and verdicts are the planner's to give: gone";
        assert_eq!(status.message(), words);
    }
    assert_eq!(explained(Status::unimplemented("")).code(), Code::Unimplemented);
    // An invalid argument is our bug.
    assert_eq!(explained(Status::invalid_argument("no")).code(), Code::Internal);
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(2)));
    let status = explained(Status::with_error_details(
        Code::ResourceExhausted,
        "busy",
        details,
    ));
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_error_details().retry_info().unwrap().retry_delay;
    assert_eq!(
        retry,
        Some(Duration::from_secs(2)),
        "the time to try again comes through"
    );
}
