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
Has kube-controller-manager's DaemonSet controller (alone in its process) and Everynode (planner and executor) do the same \
work, one after the other, each on a control plane of its own, and prints what each took for it: time, processor seconds, \
peak memory, requests to the API server, bytes read from it. What there are two processes of is summed up.

The control planes are the real ones, built from source with Go on the first run and kept in the user's cache. Nothing \
else should run on the machine meanwhile; what counts are ratios, not seconds.

Exits with 0 when everything was measured, with 1 and the reason otherwise, and with 130 after Ctrl-C.";

#[derive(Parser)]
#[command(
    bin_name = "cargo bench-peer",
    version,
    about = "Compare Everynode with kube-controller-manager's DaemonSet controller",
    long_about = ABOUT
)]
struct Args {
    /// What is to be done; several, separated by commas, are done one after the other.
    #[arg(
        long,
        value_enum,
        value_name = "SCENARIO",
        value_delimiter = ',',
        default_value = "create"
    )]
    scenario: Vec<ScenarioArg>,

    /// How many nodes there are.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,

    /// How many DaemonSets there are, each for every node.
    #[arg(long, value_name = "D", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    daemonsets: u32,

    /// The requests per second that kube-controller-manager allows itself, with bursts of twice as many [default: its own
    /// default, 20 and bursts of 30].
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u32).range(1..))]
    peer_qps: Option<u32>,

    /// How many events come in a second, in the scenario churn.
    #[arg(long, value_name = "R", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// For how many seconds they come.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// How many nodes join, in the scenario join.
    #[arg(long, value_name = "J", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    joins: u32,

    /// By how many bytes the pods' specs are bigger than usual.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    padding: u32,

    /// How often everything is done; what is printed are medians.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,

    /// Have only one of the two do it.
    #[arg(long, value_enum, value_name = "WHO")]
    only: Option<ContenderArg>,

    /// Write all figures, and what was seen over time, to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw the two over time into a file.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScenarioArg {
    /// DaemonSets are created; nobody schedules or starts their pods.
    Create,
    /// DaemonSets get another image, maxUnavailable 10%, with scheduler and kubelets.
    Rollout,
    /// Nothing to do, but pods get unready and ready and nodes change labels and taints.
    Churn,
    /// Nodes join one by one.
    Join,
    /// From the start of the processes to the first missing pod.
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
    /// kube-controller-manager.
    Peer,
    /// Planner and executor.
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
        terminal.step("The figures");
        for report in &reports {
            terminal.say(&format!("\n{report}"));
        }
        write(&args, &reports)
    })
}

fn write(args: &Args, reports: &[Report]) -> Result<()> {
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(reports).context("the reports as JSON")?;
        std::fs::write(path, json + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(path) = &args.plot {
        std::fs::write(path, plot::svg(reports)?).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
