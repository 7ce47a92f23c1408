//! Tables for the planner's answer to `Explain`: the nodes on which each `DaemonSet` runs, and why it doesn't run on
//! the others.
//!
//! - `pair`: a pair of `DaemonSet` and node, and its rows. The executor's answers are pairs too.
//! - `fold`: groups many pairs by condition, and nodes and `DaemonSet`s that are alike; `folded` prints the groups.
//! - `stages`: counts the nodes of each stage of a rollout.

mod fold;
mod folded;
pub(crate) mod pair;
mod stages;

use std::{collections::HashMap, str::FromStr};

use everynode_proto::planner::v1::{
    ExplainResponse, NodeRollout, NodeVerdict, ReasonCount, Verdict, VerdictSummary,
};

use self::pair::{Layout, Pair};
use super::{
    TableStyle,
    csv::Csv,
    table::{Cell, Table},
    values,
};

/// A table with at most this number of pairs lists all of them. If there are more pairs, the table lists those that
/// don't run, if they take at most this number of rows.
const MAX_SHOWN_PAIRS: usize = 20;

/// Which pairs of an answer are printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExplainView {
    /// How much of the answer is printed.
    pub extent: Extent,
    /// The verdicts of the pairs to show. Empty means all verdicts.
    pub verdicts: Vec<Verdict>,
}

/// How much of an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    /// In a table, what fits on one or two screens: every pair of a small answer, and the groups of a large one. The
    /// formats for programs contain every pair.
    #[default]
    Fitting,
    /// Every pair.
    All,
    /// Only the summary.
    Summary,
}

impl Extent {
    /// Returns the extent that the flags `--all` and `--summary` select.
    pub fn from_flags(all: bool, summary: bool) -> Self {
        match (all, summary) {
            (true, _) => Self::All,
            (false, true) => Self::Summary,
            (false, false) => Self::Fitting,
        }
    }
}

/// A verdict by which `--verdict` selects pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerdictName(pub Verdict);

impl VerdictName {
    /// The names that the flag accepts, in the order of the help.
    pub const NAMES: [&'static str; 3] = ["run", "keep", "exclude"];
}

impl FromStr for VerdictName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "run" => Ok(Self(Verdict::Run)),
            "keep" => Ok(Self(Verdict::Keep)),
            "exclude" => Ok(Self(Verdict::Exclude)),
            _ => Err(format!("must be one of {}", Self::NAMES.join(", "))),
        }
    }
}

impl ExplainView {
    /// Whether the view shows pairs with this verdict.
    pub fn shows(&self, verdict: Verdict) -> bool {
        self.verdicts.is_empty() || self.verdicts.contains(&verdict)
    }

    /// Whether the formats for programs contain pairs with this verdict. With only the summary, they contain none.
    pub fn prints(&self, verdict: Verdict) -> bool {
        self.extent != Extent::Summary && self.shows(verdict)
    }

    /// Renders pairs and their summary. The summary comes last, because people read the end of the output first.
    pub(crate) fn render(
        &self,
        pairs: &[Pair<'_>],
        summaries: &[VerdictSummary],
        layout: &Layout<'_>,
        style: TableStyle,
    ) -> String {
        let is_small = pairs.len() <= MAX_SHOWN_PAIRS;
        let shown = || pairs.iter().filter(|pair| self.shows(pair.verdict()));
        let every_pair = || {
            let table = layout.table(shown(), style);
            vec![table, summary_of_several(pairs, summaries, style)]
        };
        let sections = match self.extent {
            Extent::All => every_pair(),
            Extent::Fitting if is_small => every_pair(),
            Extent::Summary if is_small => vec![summary(summaries, style)],
            Extent::Fitting | Extent::Summary => folded::sections(pairs, self, layout, style),
        };
        let sections: Vec<_> = sections.into_iter().filter(|text| !text.is_empty()).collect();
        if sections.is_empty() && !pairs.is_empty() && !self.verdicts.is_empty() {
            let names: Vec<_> = self.verdicts.iter().copied().map(values::verdict_name).collect();
            return format!("No pair has the verdict {}.\n", names.join(" or "));
        }
        sections.join("\n")
    }
}

/// Renders the verdicts, a row for each reason, with a summary below them. If there are many pairs, it groups them as
/// the view says.
pub fn table(answer: &ExplainResponse, view: &ExplainView, style: TableStyle) -> String {
    let pairs: Vec<_> = answer.verdicts.iter().map(Pair::of_verdict).collect();
    view.render(&pairs, &answer.summaries, &Layout::VERDICTS, style)
}

/// Renders a line for each pair that the view selects, or only the summary.
pub fn csv(answer: &ExplainResponse, view: &ExplainView) -> String {
    if view.extent == Extent::Summary {
        return summary_csv(&answer.summaries);
    }
    // Without rollouts, the columns are the same as ever.
    let has_rollouts = answer.verdicts.iter().any(|verdict| verdict.rollout.is_some());
    let headings = ["DAEMONSET", "NODE", "VERDICT", "REASON"].into_iter();
    let of_rollouts = has_rollouts.then_some(ROLLOUT_HEADINGS);
    let mut csv = Csv::new(headings.chain(of_rollouts.into_iter().flatten()));
    for verdict in &answer.verdicts {
        if view.prints(verdict.verdict()) {
            let reasons: Vec<_> = verdict
                .reasons
                .iter()
                .map(|reason| reason.message.as_str())
                .collect();
            let cells = [
                verdict.daemon_set.clone(),
                verdict.node.clone(),
                values::verdict_name(verdict.verdict()).to_owned(),
                reasons.join("; "),
            ];
            let in_rollout = has_rollouts.then(|| rollout_cells(verdict.rollout.as_ref()));
            csv.add_row(cells.into_iter().chain(in_rollout.into_iter().flatten()));
        }
    }
    csv.into_text()
}

/// The headings of [`rollout_cells`].
pub(super) const ROLLOUT_HEADINGS: [&str; 5] =
    ["POLICY", "ROLLOUT", "STAGE", "TARGET REVISION", "ROLLOUT REASON"];

/// Returns the cells of comma-separated values that say where a node is in a rollout. Without a rollout, they are empty.
pub(super) fn rollout_cells(rollout: Option<&NodeRollout>) -> [String; 5] {
    let Some(rollout) = rollout else {
        return <[String; 5]>::default();
    };
    [
        rollout.policy.clone(),
        rollout.rollout.to_string(),
        rollout.stage.clone(),
        rollout.target_revision.clone(),
        rollout.message.clone(),
    ]
}

/// Renders the number of nodes with each verdict, a line for each `DaemonSet`.
pub(super) fn summary_csv(summaries: &[VerdictSummary]) -> String {
    let mut csv = Csv::new(["DAEMONSET", "RUN", "KEEP", "EXCLUDE"]);
    for summary in summaries {
        csv.add_row([
            summary.daemon_set.clone(),
            summary.run_nodes.to_string(),
            summary.keep_nodes.to_string(),
            summary.exclude_nodes.to_string(),
        ]);
    }
    csv.into_text()
}

/// Whether every pair runs and no object has a problem. A pair whose pod stays pending because of its `RuntimeClass`
/// doesn't run.
pub fn is_as_desired(answer: &ExplainResponse) -> bool {
    let mut pairs = answer.verdicts.iter().map(Pair::of_verdict);
    answer.problems.is_empty() && pairs.all(|pair| pair.runs_without_waiting())
}

/// Counts verdicts, as the planner's summaries do, for an answer that was put together from several.
pub fn summarize<'a>(verdicts: impl IntoIterator<Item = &'a NodeVerdict>) -> Vec<VerdictSummary> {
    let mut summaries: Vec<VerdictSummary> = Vec::new();
    let mut indices: HashMap<&str, usize> = HashMap::new();
    for verdict in verdicts {
        let index = *indices.entry(&verdict.daemon_set).or_insert_with(|| {
            summaries.push(VerdictSummary {
                daemon_set: verdict.daemon_set.clone(),
                ..VerdictSummary::default()
            });
            summaries.len() - 1
        });
        if let Some(summary) = summaries.get_mut(index) {
            add_to_summary(summary, verdict);
        }
    }
    for summary in &mut summaries {
        // The sort is stable, as that of the planner.
        summary
            .reasons
            .sort_by_key(|reason| std::cmp::Reverse(reason.nodes));
    }
    summaries
}

fn add_to_summary(summary: &mut VerdictSummary, verdict: &NodeVerdict) {
    match verdict.verdict() {
        Verdict::Run => summary.run_nodes += 1,
        Verdict::Keep => summary.keep_nodes += 1,
        Verdict::Exclude => summary.exclude_nodes += 1,
        Verdict::Unspecified => {}
    }
    let mut counted = Vec::new();
    for reason in &verdict.reasons {
        let (code, condition) = (reason.code, reason.condition.as_str());
        // The reason for RUN has no condition. Two taints of a node may give the same condition, which then counts once.
        if condition.is_empty() || counted.contains(&(code, condition)) {
            continue;
        }
        counted.push((code, condition));
        let found = summary.reasons.iter_mut().find(|count| {
            (count.code, count.condition.as_str(), count.verdict) == (code, condition, verdict.verdict)
        });
        match found {
            Some(count) => count.nodes += 1,
            None => summary.reasons.push(ReasonCount {
                code,
                condition: condition.to_owned(),
                verdict: verdict.verdict,
                nodes: 1,
            }),
        }
    }
}

/// Renders the summary of an answer, unless each `DaemonSet` has only one pair, which says the same.
fn summary_of_several(pairs: &[Pair<'_>], summaries: &[VerdictSummary], style: TableStyle) -> String {
    if pairs.len() > summaries.len() {
        summary(summaries, style)
    } else {
        String::new()
    }
}

/// Renders the number of nodes with each verdict, and the number of nodes that don't meet each condition.
pub(super) fn summary(summaries: &[VerdictSummary], style: TableStyle) -> String {
    let mut counts = Table::new(["DAEMONSET", "RUN", "KEEP", "EXCLUDE"]);
    let mut conditions = Table::new(["DAEMONSET", "VERDICT", "NODES", "UNMET CONDITION"]);
    for summary in summaries {
        let daemon_set = || Cell::from(summary.daemon_set.as_str());
        let number = |number: u32| Cell::from(number.to_string());
        counts.add_row([
            daemon_set(),
            number(summary.run_nodes),
            number(summary.keep_nodes),
            number(summary.exclude_nodes),
        ]);
        for reason in &summary.reasons {
            conditions.add_row([
                daemon_set(),
                values::verdict(reason.verdict()),
                number(reason.nodes),
                reason.condition.as_str().into(),
            ]);
        }
    }
    let mut text = String::new();
    if !conditions.is_empty() {
        text.push_str(&conditions.render(style));
        text.push('\n');
    }
    if !counts.is_empty() {
        text.push_str(&counts.render(style));
    }
    text
}

#[cfg(test)]
mod tests;
