//! `cargo soak`: runs Everynode on a cluster while faults are injected, and checks that it behaves correctly.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use everynode_tests::soak::{self, Settings};
use everynode_tests::terminal::{Terminal, run_until_interrupted};

/// The long help text.
const ABOUT: &str = "\
Runs two planners and two executors on a real control plane, and changes DaemonSets, nodes and pods at random. \
Meanwhile it injects faults: it kills, stops and freezes the programs; cuts, delays, corrupts and stalls their \
connections; connects executors to planners of the last release; and restarts the API server.

A checker that shares no code with Everynode watches the cluster and reads the API server's audit log. The soak ends \
with the first violation, for example: a node has two live pods of a DaemonSet that may have one; a pod is deleted \
without a valid reason; an update makes too many pods unavailable; the cluster isn't in its desired state 30 s after \
the last fault.

Exit codes: 0 no violations, 1 violations found or the soak failed, 2 usage, 130 interrupted with Ctrl-C.";

#[derive(Parser)]
#[command(
    bin_name = "cargo soak",
    version,
    about = "Check Everynode's behavior under random faults",
    long_about = ABOUT
)]
struct Args {
    /// Duration in minutes
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,

    /// Seed of the random numbers [default: random; printed at the start]
    #[arg(long)]
    seed: Option<u64>,

    /// Write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the report to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    run_until_interrupted(async |terminal| run(&args, terminal).await)
}

async fn run(args: &Args, terminal: &mut Terminal) -> Result<()> {
    let settings = Settings {
        minutes: args.minutes,
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..)),
    };
    terminal.print(&format!("seed {}", settings.seed));
    let report = soak::run(&settings, |text| terminal.print(&text)).await?;
    let page = report.markdown(&settings);
    terminal.print(&page);
    if let Some(file) = &args.report {
        std::fs::write(file, &page).with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("writing {}", file.display()))?;
    }
    if !report.violations.is_empty() {
        bail!(
            "violations with seed {}: {}",
            report.seed,
            report.violations.join("; ")
        );
    }
    Ok(())
}
