//! Measurements side by side, as a table for people and as JSON.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};

use super::Settings;
use super::contender::Contender;
use super::meter::Sample;
use super::scenario::Scenario;

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, the same for all contenders.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// Its value.
    pub value: f64,
}

impl Figure {
    /// Creates a figure.
    pub fn new(name: &str, unit: Unit, value: f64) -> Self {
        Self {
            name: name.to_owned(),
            unit,
            value,
        }
    }

    /// A number of bytes.
    #[expect(clippy::cast_precision_loss, reason = "measured values are far below 2^53")]
    pub fn bytes(name: &str, bytes: u64) -> Self {
        Self::new(name, Unit::Bytes, bytes as f64)
    }

    /// A number of things.
    #[expect(clippy::cast_precision_loss, reason = "measured values are far below 2^53")]
    pub fn count(name: &str, count: u64) -> Self {
        Self::new(name, Unit::Count, count as f64)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Seconds if self.value < 1.0 => write!(formatter, "{:.1} ms", self.value * 1e3),
            Unit::Seconds => write!(formatter, "{:.2} s", self.value),
            Unit::Bytes if self.value < 1e6 => write!(formatter, "{:.1} kB", self.value / 1e3),
            Unit::Bytes => write!(formatter, "{:.1} MB", self.value / 1e6),
            Unit::Count => write!(formatter, "{:.0}", self.value),
        }
    }
}

/// What one contender used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The contender's name.
    pub contender: String,
    /// The figures; the scenario's own come first.
    pub figures: Vec<Figure>,
    /// Usage over time in the last round, from the start of the measurement.
    pub samples: Vec<Sample>,
    /// When pods were created in the last round, in seconds from the start of the measurement.
    pub created: Vec<f64>,
}

impl Outcome {
    /// The most important figures, on one line.
    pub fn headline(&self) -> String {
        let figures = self.figures.iter().take(4);
        let texts: Vec<_> = figures
            .map(|figure| format!("{} {figure}", figure.name))
            .collect();
        texts.join(", ")
    }

    /// The figure with this name.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// The median of each figure over several rounds. Samples and creation times are those of the last round.
    pub fn median(mut rounds: Vec<Self>) -> Option<Self> {
        let mut median = rounds.last()?.clone();
        for figure in &mut median.figures {
            let mut values: Vec<_> = rounds
                .iter_mut()
                .filter_map(|round| Some(round.figure(&figure.name)?.value))
                .collect();
            values.sort_by(f64::total_cmp);
            figure.value = percentile(&values, 0.5);
        }
        Some(median)
    }
}

/// The value that this share of all values doesn't exceed; zero if there are no values. The median of an even number of
/// values is the greater of the two in the middle.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_owned();
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an index into a short list"
    )]
    let index = (values.len() as f64 * share) as usize;
    values
        .get(index.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// The outcomes of one scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The scenario and its size.
    pub title: String,
    /// The outcome of each contender.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// Creates a report from outcomes.
    pub fn new(settings: &Settings, scenario: Scenario, outcomes: Vec<Outcome>) -> Self {
        let qps = settings
            .peer_qps
            .map_or_else(|| "its default".to_owned(), |qps| qps.to_string());
        let rounds = match settings.repeat {
            0 | 1 => "1 round".to_owned(),
            rounds => format!("{rounds} rounds"),
        };
        let title = format!(
            "{scenario}: {} nodes × {} DaemonSets, peer's QPS {qps}, {rounds}",
            settings.nodes, settings.daemonsets,
        );
        Self { title, outcomes }
    }

    /// The outcome of a contender.
    pub fn outcome(&self, contender: Contender) -> Option<&Outcome> {
        self.outcomes
            .iter()
            .find(|outcome| outcome.contender == contender.name())
    }

    /// Everynode's figure divided by the peer's; `None` if one of them lacks the figure or the peer's is zero.
    pub fn ratio(&self, figure: &str) -> Option<f64> {
        let value = |contender| Some(self.outcome(contender)?.figure(figure)?.value);
        let (peer, everynode) = (value(Contender::Peer)?, value(Contender::Everynode)?);
        (peer > 0.0).then(|| everynode / peer)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled);
        let names = self.outcomes.iter().map(|outcome| outcome.contender.clone());
        let header = std::iter::once(String::new()).chain(names);
        table.set_header(header.chain(["ratio".to_owned()]));
        let mut rows: Vec<&str> = Vec::new();
        for figure in self.outcomes.iter().flat_map(|outcome| &outcome.figures) {
            if !rows.contains(&figure.name.as_str()) {
                rows.push(&figure.name);
            }
        }
        for name in rows {
            let cells = self
                .outcomes
                .iter()
                .map(|outcome| outcome.figure(name).map_or_else(String::new, Figure::to_string));
            let ratio = self
                .ratio(name)
                .map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            table.add_row(std::iter::once(name.to_owned()).chain(cells).chain([ratio]));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        write!(formatter, "{}\n\n{table}", self.title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(contender: Contender, seconds: f64) -> Outcome {
        Outcome {
            contender: contender.name().to_owned(),
            figures: vec![Figure::new("CPU", Unit::Seconds, seconds)],
            samples: Vec::new(),
            created: Vec::new(),
        }
    }

    #[test]
    fn report_shows_the_figures_of_all_contenders_and_their_ratio() {
        let mut everynode = outcome(Contender::Everynode, 0.25);
        everynode.figures.push(Figure::bytes("peak RSS", 12_500_000));
        let report = Report {
            title: "create".to_owned(),
            outcomes: vec![outcome(Contender::Peer, 2.0), everynode],
        };
        let lines = [
            "create",
            "",
            "|          | kube-controller-manager | Everynode | ratio |",
            "|----------|-------------------------|-----------|-------|",
            "| CPU      |                  2.00 s |  250.0 ms |  0.12 |",
            "| peak RSS |                         |   12.5 MB |       |",
        ];
        let shown = report.to_string();
        assert_eq!(shown.lines().collect::<Vec<_>>(), lines, "{shown}");
        assert_eq!(report.ratio("CPU"), Some(0.125));
        assert_eq!(report.ratio("peak RSS"), None);
    }

    #[test]
    fn median_is_taken_of_each_figure() {
        let rounds = [3.0, 1.0, 2.0].map(|seconds| outcome(Contender::Peer, seconds));
        let median = Outcome::median(rounds.into()).unwrap();
        assert_eq!(median.figures, [Figure::new("CPU", Unit::Seconds, 2.0)]);
        assert!(Outcome::median(Vec::new()).is_none());
    }

    #[test]
    fn percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        for (values, share, expected) in [
            (&values[..], 0.5, 51.0),
            (&values[..], 0.99, 100.0),
            (&values[..], 1.0, 100.0),
            (&[], 0.5, 0.0),
        ] {
            let found = percentile(values, share);
            assert!((found - expected).abs() < f64::EPSILON, "{share}: {found}");
        }
    }
}
