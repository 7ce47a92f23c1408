//! Compares the planner with kube-controller-manager on the same `DaemonSet`s and nodes, pair by pair.

use std::fmt::Write as _;
use std::path::PathBuf;

use everynode_proto::facts::RawStruct;
use everynode_proto::planner::v1::planner_service_client::PlannerServiceClient;
use everynode_proto::planner::v1::{ExplainRequest, NodeVerdict, Verdict};
use everynode_tests::judge::{Verdicts, judge};
use everynode_tests::programs::{Profile, Programs, workspace};
use everynode_tests::questions::{self, Question, mistakes_a_field};
use everynode_tests::service::{Planner, ServiceOptions};
use everynode_tests::toolbox::Toolbox;
use serde_json::{Value, json};
use tonic::transport::Channel;

/// When set, the test rewrites the stored sample.
const BLESS: &str = "EVERYNODE_BLESS";
/// Number of differences to show. Further ones say nothing new.
const SHOWN: usize = 5;

async fn explain(client: &mut PlannerServiceClient<Channel>, question: &Question) -> Vec<NodeVerdict> {
    let structs = |objects: &[Value]| {
        let each = objects
            .iter()
            .map(|object| RawStruct::from(object.as_object().unwrap()));
        each.collect()
    };
    let request = ExplainRequest {
        daemon_sets: structs(&question.daemon_sets),
        nodes: structs(&question.nodes),
    };
    let answer = client.explain(request).await.unwrap().into_inner();
    let asked = question.daemon_sets.len() * question.nodes.len();
    assert_eq!(answer.verdicts.len(), asked, "{:?}", answer.problems);
    answer.verdicts
}

/// The number of pairs that both were asked about, how often the reference gave each verdict, and the first
/// differences.
#[derive(Debug, Default)]
struct Comparison {
    pairs: usize,
    run: usize,
    keep: usize,
    exclude: usize,
    differences: usize,
    slips: usize,
    shown: String,
}

impl Comparison {
    fn add(&mut self, question: &Question, planner: &[NodeVerdict], reference: &Verdicts) {
        let mut answers = planner.iter();
        for (daemon_set, row) in question.daemon_sets.iter().zip(reference) {
            for ((node, expected), found) in question.nodes.iter().zip(row).zip(&mut answers) {
                assert_eq!(node["metadata"]["name"], found.node.as_str());
                // Left out for the reason given at `mistakes_a_field`. Where the two differ, the planner must be the
                // one that places nothing.
                if mistakes_a_field(daemon_set) {
                    let slipped = found.verdict() != *expected;
                    self.slips += usize::from(slipped);
                    assert!(!slipped || found.verdict() == Verdict::Exclude, "{found:?}");
                    continue;
                }
                self.pairs += 1;
                match expected {
                    Verdict::Run => self.run += 1,
                    Verdict::Keep => self.keep += 1,
                    Verdict::Exclude | Verdict::Unspecified => self.exclude += 1,
                }
                if found.verdict() != *expected {
                    self.differ(daemon_set, node, found, *expected);
                }
            }
        }
        assert_eq!(answers.next(), None);
    }

    fn differ(&mut self, daemon_set: &Value, node: &Value, found: &NodeVerdict, expected: Verdict) {
        self.differences += 1;
        if self.differences <= SHOWN {
            let pair = json!({"daemonSets": [daemon_set], "nodes": [node]});
            let (planner, reference) = (found.verdict().as_str_name(), expected.as_str_name());
            let reasons: Vec<_> = found.reasons.iter().map(|reason| &reason.message).collect();
            let told = format!("planner {planner} because {reasons:?}, reference {reference}");
            writeln!(self.shown, "\n{told}:\n{pair}").unwrap();
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

    let questions = questions::many();
    let reference = judge(&toolbox, &questions).await.unwrap();
    let mut comparison = Comparison::default();
    for (question, reference) in questions.iter().zip(&reference) {
        comparison.add(question, &explain(&mut client, question).await, reference);
    }
    // A planner waits for its clients to disconnect before it stops.
    drop(client);
    planner.stop().await.unwrap();

    let Comparison {
        pairs, differences, ..
    } = comparison;
    assert_eq!(
        differences, 0,
        "of {pairs} pairs; the first ones:\n{}",
        comparison.shown
    );
    assert!(pairs >= 100_000, "{pairs}");
    assert!(comparison.slips > 0, "there is no need to leave pairs out");
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

/// A line of the stored sample: a question, and for each `DaemonSet` the first letters of its nodes' verdicts.
fn sample_line(question: &Question, reference: &Verdicts) -> Value {
    let letter = |verdict: &Verdict| match verdict {
        Verdict::Run => 'R',
        Verdict::Keep => 'K',
        Verdict::Exclude | Verdict::Unspecified => 'E',
    };
    let rows: Vec<String> = reference
        .iter()
        .map(|row| row.iter().map(letter).collect())
        .collect();
    json!({"daemonSets": question.daemon_sets, "nodes": question.nodes, "verdicts": rows})
}

#[tokio::test]
async fn the_kept_sample_of_placement_is_what_the_reference_says_today() {
    let toolbox = Toolbox::ensured().await.unwrap();
    let sample = questions::sample();
    let reference = judge(&toolbox, &sample).await.unwrap();
    let lines: Vec<_> = sample
        .iter()
        .zip(&reference)
        .map(|(question, reference)| sample_line(question, reference))
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
        "{} is out of date; `{BLESS}=1 cargo test -p everynode-tests --test it -- placement` writes it anew",
        file.display()
    );
}
