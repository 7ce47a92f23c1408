//! `cargo soak`: runs Everynode on a cluster with every fault that can be injected, while a checker watches.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use everynode_tests::soak::{self, Settings};
use everynode_tests::terminal::{Terminal, run_until_interrupted};

/// The long help text.
const ABOUT: &str = "\
Runs two planners and two executors on a real control plane, changes DaemonSets, nodes and pods at random, and meanwhile kills, stops \
and freezes the programs, cuts, delays, garbles and silences their connections, leads executors to planners of the last release, and \
restarts the API server. A checker that shares no code with Everynode looks at every state of the cluster and at the API server's audit \
log. It puts an end to the soak with the first thing that is wrong: two live pods of a DaemonSet on a node where there may be one, a \
pod deleted without a reason, an update that takes more pods than it may, a cluster that isn't as it should be within 30 s of being \
left in peace.

Exits with 0 when nothing was wrong, and with 1 and what was otherwise.";

#[derive(Parser)]
#[command(bin_name = "cargo soak", version, about = "Let everything go wrong for a while, and check that Everynode goes right", long_about = ABOUT)]
struct Args {
    /// How long to go on, in minutes.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,

    /// What the random numbers begin with; a random number when not given.
    #[arg(long)]
    seed: Option<u64>,

    /// Write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the report to this file, as a page.
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
    terminal.say(&format!("seed {}", settings.seed));
    let report = soak::run(&settings, |text| terminal.say(&text)).await?;
    let page = report.markdown(&settings);
    terminal.say(&page);
    if let Some(file) = &args.report {
        std::fs::write(file, &page).with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("writing {}", file.display()))?;
    }
    if !report.violations.is_empty() {
        bail!("{} with seed {}", report.violations.join("; "), report.seed);
    }
    Ok(())
}
