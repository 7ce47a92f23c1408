//! Tables for the planner's answer to `Explain`: where each `DaemonSet` runs, and why it doesn't run elsewhere.

use everynode_proto::planner::v1::{ExplainResponse, NodeVerdict, Verdict, VerdictSummary};

use super::{
    View,
    table::{Cell, Table},
    words,
};

/// The number of pairs up to which a table shows all of them. If there are more pairs, it shows only those that don't
/// run, and at most this many.
pub const FEW_PAIRS: usize = 20;

/// Renders the verdicts as lines. The summary comes last, because people read the end of the output first.
///
/// If there are many pairs, the table shows only some of those that don't run, unless `all` is set.
pub fn table(answer: &ExplainResponse, all: bool, view: View) -> String {
    let verdicts = &answer.verdicts;
    let mut text = if all || verdicts.len() <= FEW_PAIRS {
        lines(verdicts.iter(), view)
    } else {
        let away = verdicts.iter().filter(|verdict| !runs(verdict));
        lines(away.take(FEW_PAIRS), view)
    };
    let hidden = verdicts.iter().filter(|verdict| !runs(verdict)).count();
    if !all && verdicts.len() > FEW_PAIRS && hidden > FEW_PAIRS {
        let more = words::count((hidden - FEW_PAIRS) as u64, "more pair");
        let note = format!("({more} not running; --all shows every pair)\n");
        text.push_str(&note);
    }
    if verdicts.len() > 1 {
        let summary = summary(&answer.summaries, view);
        if !text.is_empty() && !summary.is_empty() {
            text.push('\n');
        }
        text.push_str(&summary);
    }
    text
}

/// Whether every pair runs and no object has a problem.
pub fn is_as_wished(answer: &ExplainResponse) -> bool {
    answer.problems.is_empty() && answer.verdicts.iter().all(runs)
}

fn runs(verdict: &NodeVerdict) -> bool {
    verdict.verdict() == Verdict::Run
}

fn lines<'a>(verdicts: impl Iterator<Item = &'a NodeVerdict>, view: View) -> String {
    let mut table = Table::new(["DAEMONSET", "NODE", "VERDICT", "REASON"]);
    for verdict in verdicts {
        for reason in &verdict.reasons {
            let [daemon_set, node, word] = head(verdict);
            table.row([daemon_set, node, word, reason.message.as_str().into()]);
        }
        if verdict.reasons.is_empty() {
            table.row(head(verdict));
        }
    }
    if table.is_empty() {
        return String::new();
    }
    table.render(view)
}

/// Returns the cells that come before a verdict's reasons.
pub(super) fn head(verdict: &NodeVerdict) -> [Cell; 3] {
    [
        verdict.daemon_set.as_str().into(),
        verdict.node.as_str().into(),
        words::verdict(verdict.verdict()),
    ]
}

/// Renders the number of nodes with each verdict, and the number of nodes that each condition keeps pods away from.
pub fn summary(summaries: &[VerdictSummary], view: View) -> String {
    let mut counts = Table::new(["DAEMONSET", "RUN", "KEEP", "EXCLUDE"]);
    let mut conditions = Table::new(["DAEMONSET", "VERDICT", "NODES", "CONDITION THAT ISN'T MET"]);
    for summary in summaries {
        let daemon_set = || Cell::from(summary.daemon_set.as_str());
        let number = |number: u32| Cell::from(number.to_string());
        counts.row([
            daemon_set(),
            number(summary.run_nodes),
            number(summary.keep_nodes),
            number(summary.exclude_nodes),
        ]);
        for reason in &summary.reasons {
            conditions.row([
                daemon_set(),
                words::verdict(reason.verdict()),
                number(reason.nodes),
                reason.condition.as_str().into(),
            ]);
        }
    }
    let mut text = String::new();
    if !conditions.is_empty() {
        text.push_str(&conditions.render(view));
        text.push('\n');
    }
    if !counts.is_empty() {
        text.push_str(&counts.render(view));
    }
    text
}

#[cfg(test)]
mod tests;
