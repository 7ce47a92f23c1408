//! Tables for the planner's answer to `Explain`: the nodes on which each `DaemonSet` runs, and why it doesn't run on
//! the others.

use everynode_proto::planner::v1::{ExplainResponse, NodeVerdict, Verdict, VerdictSummary};

use super::{
    TableStyle,
    table::{Cell, Table},
    values,
};

/// A table with at most this number of pairs shows all of them. If there are more pairs, the table shows only pairs
/// that don't run, at most this number.
pub(super) const MAX_SHOWN_PAIRS: usize = 20;

/// Renders the verdicts, a row for each reason. The summary comes last, because people read the end of the output
/// first.
///
/// If there are many pairs, the table shows only some of those that don't run, unless `all` is set.
pub fn table(answer: &ExplainResponse, all: bool, style: TableStyle) -> String {
    let verdicts = &answer.verdicts;
    let mut text = if all || verdicts.len() <= MAX_SHOWN_PAIRS {
        verdict_table(verdicts.iter(), style)
    } else {
        let not_running = verdicts.iter().filter(|verdict| !runs(verdict));
        verdict_table(not_running.take(MAX_SHOWN_PAIRS), style)
    };
    let not_running = verdicts.iter().filter(|verdict| !runs(verdict)).count();
    if !all && verdicts.len() > MAX_SHOWN_PAIRS && not_running > MAX_SHOWN_PAIRS {
        let more = values::count((not_running - MAX_SHOWN_PAIRS) as u64, "more pair");
        let note = format!("({more} not running; --all shows every pair)\n");
        text.push_str(&note);
    }
    if verdicts.len() > 1 {
        let summary = summary(&answer.summaries, style);
        if !text.is_empty() && !summary.is_empty() {
            text.push('\n');
        }
        text.push_str(&summary);
    }
    text
}

/// Whether every pair runs and no object has a problem.
pub fn is_as_desired(answer: &ExplainResponse) -> bool {
    answer.problems.is_empty() && answer.verdicts.iter().all(runs)
}

fn runs(verdict: &NodeVerdict) -> bool {
    verdict.verdict() == Verdict::Run
}

fn verdict_table<'a>(verdicts: impl Iterator<Item = &'a NodeVerdict>, style: TableStyle) -> String {
    let mut table = Table::new(["DAEMONSET", "NODE", "VERDICT", "REASON"]);
    for verdict in verdicts {
        for reason in &verdict.reasons {
            let [daemon_set, node, verdict_cell] = leading_cells(verdict);
            table.add_row([daemon_set, node, verdict_cell, reason.message.as_str().into()]);
        }
        if verdict.reasons.is_empty() {
            table.add_row(leading_cells(verdict));
        }
    }
    if table.is_empty() {
        return String::new();
    }
    table.render(style)
}

/// Returns the cells before a verdict's reason.
pub(super) fn leading_cells(verdict: &NodeVerdict) -> [Cell; 3] {
    [
        verdict.daemon_set.as_str().into(),
        verdict.node.as_str().into(),
        values::verdict(verdict.verdict()),
    ]
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
