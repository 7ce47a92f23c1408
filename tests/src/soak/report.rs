//! What a soak has come to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Settings;

/// What was done, what came of it, and what was wrong.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What random numbers began with.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// What was made to go wrong, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// What was done to the cluster meanwhile, by kind.
    pub operations: BTreeMap<&'static str, u64>,
    /// What Everynode has done, by verb and resource, as the API server has it in its audit log.
    pub actions: BTreeMap<String, u64>,
    /// Why pods were deleted by Everynode, as the checker finds.
    pub deletions: BTreeMap<&'static str, u64>,
    /// How often the cluster was left in peace and came to rest, and how long that took, in seconds.
    pub rests: Vec<f64>,
    /// Terms of leadership.
    pub terms: u64,
    /// What was wrong. The soak ends with the first.
    pub violations: Vec<String>,
    /// Resident MiB of the planner that was never restarted, in each part of the time: the median and the most.
    pub planner_memory: Vec<Memory>,
    /// The same of the executor.
    pub executor_memory: Vec<Memory>,
}

/// Resident memory in a part of the time, in MiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// The median of all samples.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

/// Into how many parts the time is cut for memory.
const PARTS: usize = 6;

/// Samples in bytes, in the order of time, as medians and most of each part of the time.
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
    /// The report as a page, as docs/reliability.md has it.
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
            "{minutes} min {} s; violations: **{}**; terms of leadership: {}; times at rest: {}, after {:.1} s in the median and {:.1} s at the longest.",
            self.seconds % 60,
            self.violations.len(),
            self.terms,
            self.rests.len(),
            median(&self.rests),
            self.rests.iter().copied().fold(0.0, f64::max),
        ));
        for violation in &self.violations {
            line(format!("- violation: {violation}"));
        }
        for (title, counts) in [
            ("fault", owned(&self.faults)),
            ("operation", owned(&self.operations)),
            ("by Everynode, as the audit log has it", self.actions.clone()),
            (
                "reason of a deletion, as the checker finds",
                owned(&self.deletions),
            ),
        ] {
            let sum: u64 = counts.values().sum();
            line(format!("\n| {title} | times |\n|---|--:|"));
            for (kind, times) in &counts {
                line(format!("| {kind} | {times} |"));
            }
            line(format!("| together | {sum} |"));
        }
        line("\n| memory of the planner and the executor that were never restarted, MiB: median (most) in each sixth of the time | | | | | | |\n|---|--:|--:|--:|--:|--:|--:|".to_owned());
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
