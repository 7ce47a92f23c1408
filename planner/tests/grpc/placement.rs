//! Checks Explain against a stored sample of kube-controller-manager's verdicts. The integration tests write the sample
//! from a few of their comparisons.

use everynode_proto::planner::v1::{ExplainRequest, Verdict};
use serde::Deserialize;
use serde_json::Value;

use super::{Server, objects::raw_struct, soon};

const SAMPLE: &str = include_str!("../data/placement.jsonl");

/// Some `DaemonSet`s and nodes. For each `DaemonSet`, `verdicts` has the first letters of the verdicts on the nodes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    daemon_sets: Vec<Value>,
    nodes: Vec<Value>,
    verdicts: Vec<String>,
}

fn letter(verdict: Verdict) -> char {
    match verdict {
        Verdict::Run => 'R',
        Verdict::Keep => 'K',
        Verdict::Exclude => 'E',
        Verdict::Unspecified => '?',
    }
}

#[tokio::test]
async fn p1_p2_p3_p4_p5_explain_agrees_with_kube_controller_manager() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut letters = String::new();
    for line in SAMPLE.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let request = ExplainRequest {
            daemon_sets: case.daemon_sets.iter().map(raw_struct).collect(),
            nodes: case.nodes.iter().map(raw_struct).collect(),
            ..ExplainRequest::default()
        };
        let answer = soon(client.explain(request)).await.unwrap().into_inner();
        let mut answers = answer.verdicts.iter();
        for (daemon_set, verdicts) in case.daemon_sets.iter().zip(&case.verdicts) {
            for ((node, expected), found) in case.nodes.iter().zip(verdicts.chars()).zip(&mut answers) {
                assert_eq!(
                    letter(found.verdict()),
                    expected,
                    "{daemon_set} on {node}: {:?}",
                    found.reasons
                );
                letters.push(expected);
            }
        }
        assert_eq!(answers.next(), None, "{:?}", answer.problems);
    }
    assert!(letters.len() >= 2_000, "{}", letters.len());
    for verdict in ['R', 'K', 'E'] {
        let count = letters.chars().filter(|letter| *letter == verdict).count();
        assert!(
            count * 10 > letters.len(),
            "{verdict} is rare: {count} of {}",
            letters.len()
        );
    }
}
