//! `cargo bench-peer`: compares Everynode with kube-controller-manager's `DaemonSet` controller.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use everynode_tests::bench::contender::Contender;
use everynode_tests::bench::report::Report;
use everynode_tests::bench::scenario::Scenario;
use everynode_tests::bench::{self, Settings, plot};
use everynode_tests::programs::Profile;
use everynode_tests::terminal::run_until_interrupted;

/// The long help text.
const ABOUT: &str = "\
Compares kube-controller-manager's DaemonSet controller, alone in its process, with Everynode's planner and executor. \
Each of the two does the same work on its own control plane, one after the other. The report shows for each: duration, \
processor time, peak memory, requests to the API server, and bytes read from it. Everynode's figures are the sums of \
both processes.

The control planes are real. The first run builds them from source with Go and keeps them in the user's cache. Nothing \
else should run on the machine during a measurement. Compare the ratios, not the seconds.

Exit codes: 0 success, 1 a measurement failed, 2 usage, 130 interrupted with Ctrl-C.";

#[derive(Parser)]
#[command(
    bin_name = "cargo bench-peer",
    version,
    about = "Compare Everynode with kube-controller-manager's DaemonSet controller",
    long_about = ABOUT
)]
struct Args {
    /// Work to measure; several scenarios, separated by commas, run one after the other
    #[arg(
        long,
        value_enum,
        value_name = "SCENARIO",
        value_delimiter = ',',
        default_value = "create"
    )]
    scenario: Vec<ScenarioArg>,

    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,

    /// Number of DaemonSets, each for every node
    #[arg(long, value_name = "D", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    daemonsets: u32,

    /// Requests per second of kube-controller-manager; bursts may be twice as many [default: 20, with bursts of 30]
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u32).range(1..))]
    peer_qps: Option<u32>,

    /// Events per second, in the scenario churn
    #[arg(long, value_name = "R", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Duration of the events in seconds, in the scenario churn
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Number of nodes that join, in the scenario join
    #[arg(long, value_name = "J", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    joins: u32,

    /// Bytes to add to each pod's spec
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    padding: u32,

    /// Number of rounds; the report shows medians
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,

    /// Measure only one of the two [default: both]
    #[arg(long, value_enum, value_name = "CONTENDER")]
    only: Option<ContenderArg>,

    /// Write all figures and the samples over time to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Plot the resource usage of each contender over time to this file, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScenarioArg {
    /// Create DaemonSets; nothing schedules or starts their pods
    Create,
    /// Change the image of DaemonSets, with maxUnavailable 10%, a scheduler and simulated kubelets
    Rollout,
    /// Change the readiness of pods, and the labels and taints of nodes; no pod has to be created or deleted
    Churn,
    /// Add nodes one by one
    Join,
    /// Start the processes on a cluster where one pod is missing
    Restart,
}

impl ScenarioArg {
    fn resolve(self) -> Scenario {
        match self {
            Self::Create => Scenario::Create,
            Self::Rollout => Scenario::Rollout,
            Self::Churn => Scenario::Churn,
            Self::Join => Scenario::Join,
            Self::Restart => Scenario::Restart,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum ContenderArg {
    /// kube-controller-manager
    Peer,
    /// Everynode's planner and executor
    Everynode,
}

impl Args {
    fn settings(&self) -> Settings {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let contenders = match self.only {
            None => vec![Contender::Peer, Contender::Everynode],
            Some(ContenderArg::Peer) => vec![Contender::Peer],
            Some(ContenderArg::Everynode) => vec![Contender::Everynode],
        };
        Settings {
            scenarios: self.scenario.iter().map(|scenario| scenario.resolve()).collect(),
            contenders,
            nodes: size(self.nodes),
            daemonsets: size(self.daemonsets),
            peer_qps: self.peer_qps,
            rate: self.rate,
            seconds: self.seconds,
            joins: size(self.joins),
            padding_bytes: size(self.padding),
            repeat: size(self.repeat),
            profile: Profile::Release,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    run_until_interrupted(async |terminal| {
        let reports = bench::run(&args.settings(), terminal).await?;
        terminal.step("Results");
        for report in &reports {
            terminal.print(&format!("\n{report}"));
        }
        write(&args, &reports)
    })
}

fn write(args: &Args, reports: &[Report]) -> Result<()> {
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(reports).context("encoding the reports as JSON")?;
        std::fs::write(path, json + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(path) = &args.plot {
        std::fs::write(path, plot::svg(reports)?).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
