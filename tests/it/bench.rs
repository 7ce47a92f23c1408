//! Short runs of the benchmark. They check that it measures what it claims to measure, not how good the results are.

use everynode_tests::bench::contender::Contender;
use everynode_tests::bench::report::{Outcome, Report};
use everynode_tests::bench::scenario::Scenario;
use everynode_tests::bench::{self, Settings, plot};
use everynode_tests::programs::Profile;
use everynode_tests::terminal::Terminal;

/// Runs a scenario at a size that takes seconds.
async fn run_scenario(scenario: Scenario) -> Report {
    let settings = Settings {
        scenarios: vec![scenario],
        contenders: vec![Contender::Peer, Contender::Everynode],
        nodes: 20,
        daemonsets: 2,
        peer_qps: Some(2_000),
        rate: 50,
        seconds: 1,
        joins: 3,
        padding_bytes: 100,
        repeat: 1,
        profile: Profile::Dev,
    };
    let mut terminal = Terminal::plain(std::io::sink());
    let reports = bench::run(&settings, &mut terminal).await;
    let mut reports = reports.unwrap_or_else(|error| panic!("{error:#}"));
    reports.pop().unwrap()
}

fn value(outcome: &Outcome, figure: &str) -> f64 {
    let found = outcome.figure(figure);
    found
        .unwrap_or_else(|| panic!("{} has no {figure}", outcome.contender))
        .value
}

/// Checks a number of requests. Under load the peer sometimes sends the same request twice; Everynode doesn't.
fn check_count(outcome: &Outcome, figure: &str, expected: f64) {
    let counted = value(outcome, figure);
    let is_peer = outcome.contender == Contender::Peer.name();
    let fits = (counted - expected).abs() < 0.5 || (is_peer && counted > expected);
    assert!(
        fits,
        "{}: {counted} {figure}, expected {expected}",
        outcome.contender
    );
}

/// Checks the figures that every scenario must report for both contenders.
fn check_figures(report: &Report, figures: &[&str]) {
    for contender in [Contender::Peer, Contender::Everynode] {
        let outcome = report.outcome(contender).unwrap();
        let all = ["peak RSS", "RSS at the end", "read from the API server"];
        for figure in all.iter().chain(figures) {
            assert!(value(outcome, figure) > 0.0, "{} {figure}", outcome.contender);
        }
        assert!(!outcome.samples.is_empty(), "{}", outcome.contender);
    }
    for figure in figures {
        assert!(report.ratio(figure).is_some(), "no ratio of {figure}");
    }
    let again: Report = serde_json::from_str(&serde_json::to_string(report).unwrap()).unwrap();
    assert_eq!(again.title, report.title);
    assert!(
        plot::svg(std::slice::from_ref(report))
            .unwrap()
            .ends_with("</svg>\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn create_scenario_creates_every_pod_once() {
    let report = run_scenario(Scenario::Create).await;
    check_figures(
        &report,
        &["wall, to the last pod", "wall, to the last status", "requests"],
    );
    for outcome in &report.outcomes {
        if outcome.contender == "bare client" {
            assert!(value(outcome, "wall, to the last pod") > 0.0);
        } else {
            check_count(outcome, "requests, create pods", 40.0);
            assert!(outcome.created.len() >= 40);
        }
    }
    assert_eq!(report.outcomes.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollout_scenario_replaces_every_pod_once() {
    let report = run_scenario(Scenario::Rollout).await;
    check_figures(&report, &["wall, to the last status", "requests"]);
    for outcome in &report.outcomes {
        for requests in ["requests, create pods", "requests, delete pods"] {
            check_count(outcome, requests, 40.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn churn_scenario_creates_and_deletes_no_pod() {
    let report = run_scenario(Scenario::Churn).await;
    check_figures(&report, &["events", "requests"]);
    for outcome in &report.outcomes {
        for requests in ["requests, create pods", "requests, delete pods"] {
            assert!(outcome.figure(requests).is_none(), "{}", outcome.contender);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn join_scenario_creates_the_pods_of_each_new_node() {
    let report = run_scenario(Scenario::Join).await;
    check_figures(&report, &["to the last pod's request, p99", "requests"]);
    for outcome in &report.outcomes {
        check_count(outcome, "requests, create pods", 6.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_scenario_creates_the_missing_pod() {
    let report = run_scenario(Scenario::Restart).await;
    check_figures(&report, &["to the missing pod's request", "requests"]);
    for outcome in &report.outcomes {
        check_count(outcome, "requests, create pods", 1.0);
    }
}
