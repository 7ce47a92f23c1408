//! Compares the planner with kube-controller-manager on the same `DaemonSet`s and nodes, pair by pair.

use std::fmt::Write as _;
use std::path::PathBuf;

use everynode_proto::facts::RawStruct;
use everynode_proto::planner::v1::planner_service_client::PlannerServiceClient;
use everynode_proto::planner::v1::{ExplainRequest, NodeVerdict, Verdict};
use everynode_tests::judge::{Verdicts, placement_verdicts};
use everynode_tests::placement_cases::{self, PlacementCase, has_unknown_field_matching_all};
use everynode_tests::programs::{Profile, Programs, workspace};
use everynode_tests::service::{Planner, ServiceOptions};
use everynode_tests::toolbox::Toolbox;
use serde_json::{Value, json};
use tonic::transport::Channel;

/// When set, the test rewrites the stored sample.
const BLESS: &str = "EVERYNODE_BLESS";
/// Number of differences to show. Further ones add nothing new.
const MAX_SHOWN: usize = 5;

async fn explain(client: &mut PlannerServiceClient<Channel>, case: &PlacementCase) -> Vec<NodeVerdict> {
    let structs = |objects: &[Value]| {
        let each = objects
            .iter()
            .map(|object| RawStruct::from(object.as_object().unwrap()));
        each.collect()
    };
    let request = ExplainRequest {
        daemon_sets: structs(&case.daemon_sets),
        nodes: structs(&case.nodes),
        ..ExplainRequest::default()
    };
    let answer = client.explain(request).await.unwrap().into_inner();
    let asked = case.daemon_sets.len() * case.nodes.len();
    assert_eq!(answer.verdicts.len(), asked, "{:?}", answer.problems);
    answer.verdicts
}

/// The number of compared pairs, how often the reference gave each verdict, and the first differences.
#[derive(Debug, Default)]
struct Comparison {
    pairs: usize,
    run: usize,
    keep: usize,
    exclude: usize,
    differences: usize,
    /// Differences that are expected, for the reason given at `has_unknown_field_matching_all`.
    excused: usize,
    shown: String,
}

impl Comparison {
    fn add(&mut self, case: &PlacementCase, planner: &[NodeVerdict], reference: &Verdicts) {
        let mut answers = planner.iter();
        for (daemon_set, row) in case.daemon_sets.iter().zip(reference) {
            for ((node, expected), found) in case.nodes.iter().zip(row).zip(&mut answers) {
                assert_eq!(node["metadata"]["name"], found.node.as_str());
                // Excused for the reason given at `has_unknown_field_matching_all`. Where the two differ, the planner
                // must be the one that places nothing.
                if has_unknown_field_matching_all(daemon_set) {
                    let differs = found.verdict() != *expected;
                    self.excused += usize::from(differs);
                    assert!(!differs || found.verdict() == Verdict::Exclude, "{found:?}");
                    continue;
                }
                self.pairs += 1;
                match expected {
                    Verdict::Run => self.run += 1,
                    Verdict::Keep => self.keep += 1,
                    Verdict::Exclude | Verdict::Unspecified => self.exclude += 1,
                }
                if found.verdict() != *expected {
                    self.record_difference(daemon_set, node, found, *expected);
                }
            }
        }
        assert_eq!(answers.next(), None);
    }

    fn record_difference(
        &mut self,
        daemon_set: &Value,
        node: &Value,
        found: &NodeVerdict,
        expected: Verdict,
    ) {
        self.differences += 1;
        if self.differences <= MAX_SHOWN {
            let pair = json!({"daemonSets": [daemon_set], "nodes": [node]});
            let (planner, reference) = (found.verdict().as_str_name(), expected.as_str_name());
            let reasons: Vec<_> = found.reasons.iter().map(|reason| &reason.message).collect();
            let line = format!("planner {planner} because {reasons:?}, reference {reference}");
            writeln!(self.shown, "\n{line}:\n{pair}").unwrap();
        }
    }
}

#[tokio::test]
async fn p1_p2_p3_p4_p5_explain_agrees_with_the_reference_on_100_000_random_pairs() {
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let mut planner = Planner::start(&programs, ServiceOptions::default())
        .await
        .unwrap();
    let mut client = PlannerServiceClient::connect(planner.url()).await.unwrap();
    let toolbox = Toolbox::ensured().await.unwrap();

    let cases = placement_cases::many();
    let reference = placement_verdicts(&toolbox, &cases).await.unwrap();
    let mut comparison = Comparison::default();
    for (case, reference) in cases.iter().zip(&reference) {
        comparison.add(case, &explain(&mut client, case).await, reference);
    }
    // A planner waits for its clients to disconnect before it stops.
    drop(client);
    planner.stop().await.unwrap();

    let Comparison {
        pairs, differences, ..
    } = comparison;
    assert_eq!(
        differences, 0,
        "{differences} of {pairs} pairs differ; the first ones:\n{}",
        comparison.shown
    );
    assert!(pairs >= 100_000, "{pairs}");
    assert!(
        comparison.excused > 0,
        "no excused pair differs, so no pair needs to be excused"
    );
    for (verdict, count) in [
        ("RUN", comparison.run),
        ("KEEP", comparison.keep),
        ("EXCLUDE", comparison.exclude),
    ] {
        assert!(count * 10 > pairs, "{verdict} is rare: {count} of {pairs}");
    }
}

fn sample_file() -> PathBuf {
    workspace().join("planner/tests/data/placement.jsonl")
}

/// A line of the stored sample: a case, and for each `DaemonSet` the first letters of its nodes' verdicts.
fn sample_line(case: &PlacementCase, reference: &Verdicts) -> Value {
    let letter = |verdict: &Verdict| match verdict {
        Verdict::Run => 'R',
        Verdict::Keep => 'K',
        Verdict::Exclude | Verdict::Unspecified => 'E',
    };
    let rows: Vec<String> = reference
        .iter()
        .map(|row| row.iter().map(letter).collect())
        .collect();
    json!({"daemonSets": case.daemon_sets, "nodes": case.nodes, "verdicts": rows})
}

#[tokio::test]
async fn stored_placement_sample_matches_the_reference() {
    let toolbox = Toolbox::ensured().await.unwrap();
    let sample = placement_cases::sample();
    let reference = placement_verdicts(&toolbox, &sample).await.unwrap();
    let lines: Vec<_> = sample
        .iter()
        .zip(&reference)
        .map(|(case, reference)| sample_line(case, reference))
        .collect();
    let file = sample_file();
    if std::env::var_os(BLESS).is_some() {
        let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let kept: Vec<Value> = kept
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        kept == lines,
        "{} is out of date; `{BLESS}=1 cargo test -p everynode-tests --test it -- placement` rewrites it",
        file.display()
    );
}
