//! The results of a soak.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Settings;

/// The faults, operations and results of a soak.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The seed of the random numbers.
    pub seed: u64,
    /// The duration in seconds.
    pub seconds: u64,
    /// How often each kind of fault was injected.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often users made each kind of change to the cluster.
    pub operations: BTreeMap<&'static str, u64>,
    /// Everynode's requests by verb and resource, as recorded in the API server's audit log.
    pub actions: BTreeMap<String, u64>,
    /// Everynode's deletions of pods, by the reason that the checker found.
    pub deletions: BTreeMap<&'static str, u64>,
    /// For each time that the undisturbed cluster converged, how many seconds that took.
    pub convergence_seconds: Vec<f64>,
    /// The number of leadership terms.
    pub terms: u64,
    /// The violations found. The soak ends with the first.
    pub violations: Vec<String>,
    /// Resident memory of the planner that was never restarted, in MiB: the median and the maximum of each part of the
    /// soak.
    pub planner_memory: Vec<Memory>,
    /// Resident memory of the executor that was never restarted, in the same form.
    pub executor_memory: Vec<Memory>,
}

/// Resident memory during one part of the soak, in MiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// The median of all samples.
    pub median: f64,
    /// The largest sample.
    pub most: f64,
}

/// The number of parts into which the memory samples are divided.
const PARTS: usize = 6;

/// The median and the maximum of each part of the soak. The samples are in bytes, the oldest first.
pub(super) fn by_part(samples: &[u64]) -> Vec<Memory> {
    let part = samples.len().div_ceil(PARTS).max(1);
    let parts = samples.chunks(part).map(|part| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "no process has so many bytes")]
        let mib = |bytes: Option<&u64>| bytes.map_or(0.0, |bytes| *bytes as f64 / f64::from(1 << 20));
        Memory {
            median: mib(sorted.get(sorted.len() / 2)),
            most: mib(sorted.last()),
        }
    });
    parts.collect()
}

impl Report {
    /// The report as a Markdown page, in the form that docs/reliability.md uses.
    pub fn markdown(&self, settings: &Settings) -> String {
        let mut page = String::new();
        let mut line = |text: String| {
            let _ = writeln!(page, "{text}");
        };
        line(format!(
            "Command: `cargo soak --minutes {} --seed {}`",
            settings.minutes, self.seed
        ));
        line(String::new());
        let minutes = self.seconds / 60;
        line(format!(
            "{minutes} min {} s; violations: **{}**; leadership terms: {}; convergences: {}, after {:.1} s (median) and {:.1} s (maximum).",
            self.seconds % 60,
            self.violations.len(),
            self.terms,
            self.convergence_seconds.len(),
            median(&self.convergence_seconds),
            self.convergence_seconds.iter().copied().fold(0.0, f64::max),
        ));
        for violation in &self.violations {
            line(format!("- violation: {violation}"));
        }
        for (title, counts) in [
            ("fault", owned(&self.faults)),
            ("operation", owned(&self.operations)),
            ("request by Everynode, from the audit log", self.actions.clone()),
            (
                "reason for a deletion, as found by the checker",
                owned(&self.deletions),
            ),
        ] {
            let sum: u64 = counts.values().sum();
            line(format!("\n| {title} | count |\n|---|--:|"));
            for (kind, times) in &counts {
                line(format!("| {kind} | {times} |"));
            }
            line(format!("| total | {sum} |"));
        }
        line("\n| memory of the planner and the executor that were never restarted, in MiB: median (maximum) of each sixth of the time | | | | | | |\n|---|--:|--:|--:|--:|--:|--:|".to_owned());
        for (name, parts) in [
            ("planner", &self.planner_memory),
            ("executor", &self.executor_memory),
        ] {
            let cells = parts
                .iter()
                .map(|part| format!(" {:.1} ({:.1}) |", part.median, part.most));
            line(format!("| {name} |{}", cells.collect::<String>()));
        }
        page
    }
}

fn owned(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(kind, times)| ((*kind).to_owned(), *times))
        .collect()
}

fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
