//! Benchmark of Everynode against kube-controller-manager's `DaemonSet` controller. Both do the same work on identical
//! control planes, one after the other. The benchmark measures the resources that each uses.
//!
//! In reading order:
//! - [`scenario`] defines the work and what is measured.
//! - [`contender`] starts a contender, and `cluster` the control plane that it works on, with objects from
//!   `population`.
//! - `trial` runs a contender on a cluster and measures it, with [`meter`] (processor and memory), [`crate::audit`]
//!   (requests) and `relay` (bytes).
//! - [`report`] compares the outcomes, and [`plot`] draws them.

mod cluster;
pub mod contender;
pub mod meter;
pub mod plot;
mod population;
mod relay;
pub mod report;
pub mod scenario;
mod trial;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use self::contender::Contender;
use self::report::{Outcome, Report};
use self::scenario::Scenario;
use crate::programs::Profile;
use crate::terminal::Terminal;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The scenarios, run one after the other.
    pub scenarios: Vec<Scenario>,
    /// The contenders, run one after the other.
    pub contenders: Vec<Contender>,
    /// How many nodes there are.
    pub nodes: usize,
    /// How many `DaemonSet`s there are, each for every node.
    pub daemonsets: usize,
    /// The peer's limit of requests per second, with bursts of twice as many; `None` for its default (20, with bursts
    /// of 30).
    pub peer_qps: Option<u32>,
    /// Events per second in [`Scenario::Churn`].
    pub rate: u32,
    /// Seconds for which [`Scenario::Churn`] generates events.
    pub seconds: u32,
    /// How many nodes join, in [`Scenario::Join`].
    pub joins: usize,
    /// Bytes that are added to each pod's spec.
    pub padding_bytes: usize,
    /// How often each scenario is repeated. The report shows medians.
    pub repeat: usize,
    /// The build profile of planner and executor.
    pub profile: Profile,
}

/// Runs the scenarios under each contender and returns one report for each scenario.
///
/// # Errors
/// When a control plane doesn't start, or a contender doesn't do its work.
pub async fn run(settings: &Settings, terminal: &mut Terminal) -> Result<Vec<Report>> {
    let at_rest = settings
        .scenarios
        .iter()
        .any(|scenario| scenario.starts_at_rest());
    let store = if at_rest {
        terminal.step(&format!(
            "Prepare {} nodes with {} ready pods each",
            settings.nodes, settings.daemonsets
        ));
        let start = Instant::now();
        let store = cluster::prepare(settings)
            .await
            .context("preparing the cluster")?;
        terminal.done(
            "The cluster is prepared; each contender starts from a copy",
            start.elapsed(),
        );
        Some(store)
    } else {
        None
    };
    let store = store.as_ref().map(|store| store.file("etcd"));
    let mut reports = Vec::new();
    for scenario in &settings.scenarios {
        reports.push(compare(settings, *scenario, store.as_deref(), terminal).await?);
    }
    Ok(reports)
}

async fn compare(
    settings: &Settings,
    scenario: Scenario,
    store: Option<&Path>,
    terminal: &mut Terminal,
) -> Result<Report> {
    let mut rounds = vec![Vec::new(); settings.contenders.len()];
    let mut bare_client = Vec::new();
    for round in 1..=settings.repeat.max(1) {
        for (contender, outcomes) in settings.contenders.iter().zip(&mut rounds) {
            terminal.step(&format!("{scenario}: {}, round {round}", contender.name()));
            let start = Instant::now();
            let outcome = scenario::run(settings, scenario, *contender, store)
                .await
                .with_context(|| format!("{scenario} under {}", contender.name()))?;
            terminal.done(&outcome.headline(), start.elapsed());
            outcomes.push(outcome);
        }
        if scenario == Scenario::Create {
            terminal.step(&format!("{scenario}: a bare client, round {round}"));
            let start = Instant::now();
            let outcome = scenario::create::run_bare_client(settings).await?;
            terminal.done(&outcome.headline(), start.elapsed());
            bare_client.push(outcome);
        }
    }
    rounds.push(bare_client);
    let outcomes = rounds.into_iter().filter_map(Outcome::median).collect();
    Ok(Report::new(settings, scenario, outcomes))
}
