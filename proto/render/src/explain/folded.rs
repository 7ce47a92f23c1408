//! Prints the groups of many pairs, so that they fit on one or two screens.

use std::{cmp::Reverse, collections::HashSet};

use everynode_proto::{
    executor::v1::WaitCode,
    planner::v1::{ReasonCode, Toleration},
};

use super::{
    ExplainView, Extent, MAX_SHOWN_PAIRS,
    fold::{Condition, ConditionKind, Fold, Group, Members},
    pair::{Layout, Pair},
    stages,
};
use crate::{
    TableStyle,
    table::{MIN_WRAP_WIDTH, Table, length, wrap},
    text::printable,
    values,
};

/// The lines of one screen.
const SCREEN_LINES: usize = 50;
/// Answers with more pairs may take two screens.
const MAX_PAIRS_OF_ONE_SCREEN: usize = 5_000;
/// The width of lines if nothing limits it.
const DEFAULT_WIDTH: usize = 160;
/// The lines of each section beside its rows: the heading, a note on rows that are left out, and an empty line.
const OTHER_LINES: usize = 3;
/// Up to this number of `DaemonSet`s each have a row of their own, if they fit.
const MAX_UNFOLDED: usize = 20;
/// A condition is shortened to this number of lines. A node affinity may list a hundred values.
const MAX_CONDITION_LINES: usize = 2;
/// The sections share at least this number of rows.
const MIN_ROWS: usize = 12;

/// Returns the sections: the pairs if there are few to show, then the conditions, the kinds of nodes, and the
/// `DaemonSet`s with the number of nodes for each verdict.
pub(super) fn sections(
    pairs: &[Pair<'_>],
    view: &ExplainView,
    layout: &Layout<'_>,
    style: TableStyle,
) -> Vec<String> {
    let shown: Vec<_> = pairs.iter().filter(|pair| is_shown(view, pair)).collect();
    let rows: usize = shown.iter().map(|pair| row_count(pair)).sum();
    let lists_pairs = view.extent == Extent::Fitting && rows <= MAX_SHOWN_PAIRS;
    let listed = if lists_pairs {
        // The table of conditions has the advice.
        layout.table_without_advice(shown, style)
    } else {
        String::new()
    };

    let style = TableStyle {
        width: Some(style.width.unwrap_or(DEFAULT_WIDTH)),
        ..style
    };
    let fold = Fold::new(pairs);
    let printer = Printer {
        fold: &fold,
        view,
        style,
        // The list of pairs already says which conditions apply to which nodes.
        names_conditions: !lists_pairs,
    };
    let conditions = printer.conditions();
    let nodes = if lists_pairs { &[] } else { fold.nodes.as_slice() };
    let screens = if pairs.len() > MAX_PAIRS_OF_ONE_SCREEN {
        2
    } else {
        1
    };
    let other_lines = listed.lines().count() + 3 * OTHER_LINES;
    let budget = (screens * SCREEN_LINES).saturating_sub(other_lines).max(MIN_ROWS);
    let condition_lines = conditions.iter().map(|row| row.height).sum();
    let share = |daemon_sets: &[Group<'_>]| shares(budget, [condition_lines, nodes.len(), daemon_sets.len()]);
    let mut daemon_sets = fold.each_daemon_set.as_slice();
    let [mut for_conditions, mut for_nodes, mut for_daemon_sets] = share(daemon_sets);
    if daemon_sets.len() > for_daemon_sets.min(MAX_UNFOLDED) {
        daemon_sets = &fold.daemon_sets;
        [for_conditions, for_nodes, for_daemon_sets] = share(daemon_sets);
    }
    vec![
        listed,
        printer.condition_table(&conditions, for_conditions),
        printer.group_table("node", nodes, for_nodes),
        stages::table(pairs, style),
        printer.group_table("DaemonSet", daemon_sets, for_daemon_sets),
    ]
}

/// Whether the list of pairs shows this one: all pairs with the chosen verdicts, or those that don't run.
fn is_shown(view: &ExplainView, pair: &Pair<'_>) -> bool {
    if view.verdicts.is_empty() {
        !pair.runs_without_waiting()
    } else {
        view.shows(pair.verdict())
    }
}

fn row_count(pair: &Pair<'_>) -> usize {
    let in_rollout = usize::from(pair.found.rollout.is_some());
    (pair.found.reasons.len() + pair.waits.len() + in_rollout).max(1)
}

/// Distributes rows: each section gets what it needs, or else as much as any other.
fn shares(rows: usize, needs: [usize; 3]) -> [usize; 3] {
    let mut shares = [0; 3];
    for _ in 0..rows {
        let unsatisfied = shares
            .iter_mut()
            .zip(needs)
            .filter(|(share, need)| **share < *need);
        let Some((smallest, _)) = unsatisfied.min_by_key(|(share, _)| **share) else {
            break;
        };
        *smallest += 1;
    }
    shares
}

/// A row of the table of conditions.
struct ConditionRow<'f> {
    condition: &'f Condition<'f>,
    text: String,
    /// The number of lines that the row takes.
    height: usize,
}

/// Prints the sections below the list of pairs.
struct Printer<'f> {
    fold: &'f Fold<'f>,
    view: &'f ExplainView,
    style: TableStyle,
    /// Whether the tables of groups name the conditions.
    names_conditions: bool,
}

impl<'f> Printer<'f> {
    fn conditions(&self) -> Vec<ConditionRow<'f>> {
        let mut table = condition_table();
        for condition in &self.fold.conditions {
            table.add_row([values::verdict(condition.verdict), "".into()]);
        }
        let width = self.style.width.and_then(|width| table.last_column_width(width));
        let max_length = width.map_or(usize::MAX, |width| width * MAX_CONDITION_LINES);
        let mut advised = HashSet::new();
        let row = |condition: &'f Condition<'f>| {
            let advice = condition.admitted_by.filter(|_| advised.insert(condition.kind));
            let text = condition_text(condition, max_length) + &advice.map_or_else(String::new, advice_text);
            let text = printable(&text).into_owned();
            ConditionRow {
                height: width.map_or(1, |width| wrap(&text, width).len()),
                text,
                condition,
            }
        };
        let conditions = self.fold.conditions.iter();
        conditions
            .filter(|condition| self.view.shows(condition.verdict))
            .map(row)
            .collect()
    }

    fn condition_table(&self, rows: &[ConditionRow<'_>], lines: usize) -> String {
        if rows.is_empty() {
            return String::new();
        }
        let mut table = condition_table();
        let mut taken = 0;
        let mut shown = 0;
        for row in rows {
            taken += row.height;
            if taken > lines && shown > 0 {
                break;
            }
            shown += 1;
            table.add_row([values::verdict(row.condition.verdict), row.text.as_str().into()]);
        }
        table.render(self.style) + &note(rows.len() - shown, "condition")
    }

    /// Renders groups of nodes or `DaemonSet`s, whichever the noun says.
    fn group_table(&self, noun: &str, groups: &[Group<'_>], rows: usize) -> String {
        if groups.is_empty() {
            return String::new();
        }
        let is_folded = groups.iter().any(|group| group.members.count > 1);
        let heading = noun.to_uppercase() + if is_folded { "S" } else { "" };
        let names_conditions =
            self.names_conditions && groups.iter().any(|group| !group.conditions.is_empty());
        let new_table = || {
            let headings = [heading.as_str(), "RUN", "KEEP", "EXCLUDE"];
            let last = names_conditions.then_some("CONDITIONS");
            Table::new(headings.into_iter().chain(last))
        };
        let (mut without_last, mut table) = (new_table(), new_table());
        let shown = || groups.iter().take(rows.max(1));
        let cells = |group: &Group<'_>| {
            let counts = [group.run, group.keep, group.exclude].map(|count| count.to_string().into());
            let Members { first, count } = group.members;
            [values::group_name(first, count, noun).into()]
                .into_iter()
                .chain(counts)
        };
        for group in shown() {
            without_last.add_row(cells(group).chain(names_conditions.then(|| "".into())));
        }
        let width = self
            .style
            .width
            .and_then(|width| without_last.last_column_width(width));
        for group in shown() {
            let conditions = names_conditions.then(|| self.condition_list(group, width).into());
            table.add_row(cells(group).chain(conditions));
        }
        let left_out: usize = groups
            .iter()
            .skip(rows.max(1))
            .map(|group| group.members.count)
            .sum();
        table.render(self.style) + &note(left_out, noun)
    }

    /// Lists a group's conditions with the number of pairs, as many as fit in `width`. Without a width, the column is so
    /// narrow that it doesn't wrap, and the list is short.
    fn condition_list(&self, group: &Group<'_>, width: Option<usize>) -> String {
        // A condition may apply to pairs with different verdicts.
        let mut counts: Vec<(ConditionKind<'_>, usize)> = Vec::new();
        for (index, count) in &group.conditions {
            let condition = self.fold.conditions.get(*index);
            let Some(condition) = condition.filter(|condition| self.view.shows(condition.verdict)) else {
                continue;
            };
            match counts.iter_mut().find(|(kind, _)| *kind == condition.kind) {
                Some((_, known)) => *known += count,
                None => counts.push((condition.kind, *count)),
            }
        }
        // The sort is stable.
        counts.sort_by_key(|(_, count)| Reverse(*count));
        let text =
            |(kind, count): &(ConditionKind<'_>, usize)| format!("{} ({count})", printable(kind_text(*kind)));
        let conditions: Vec<_> = counts.iter().map(text).collect();
        join_fitting(&conditions, width.unwrap_or(MIN_WRAP_WIDTH))
    }
}

fn condition_table() -> Table {
    Table::new(["VERDICT", "CONDITION"])
}

/// Says in one sentence which pairs a condition is about. A condition with more than `max_length` characters is
/// shortened.
fn condition_text(condition: &Condition<'_>, max_length: usize) -> String {
    let daemon_sets = count(condition.daemon_sets, "DaemonSet");
    let nodes = count(condition.nodes, "node");
    let kind = shortened(&printable(kind_text(condition.kind)), max_length);
    match condition.kind {
        ConditionKind::Wait(_) => format!("{kind}: {daemon_sets} on {nodes}"),
        ConditionKind::Unmet(ReasonCode::RuntimeClass, _) => {
            format!("{kind} keeps the pods of {daemon_sets} pending on {nodes}")
        }
        ConditionKind::Unmet(..) => format!("{kind} keeps {daemon_sets} off {nodes}"),
    }
}

/// Says which toleration would admit the pods. A taint may have a row for each verdict, of which only the first one says
/// it.
fn advice_text(admitted_by: &Toleration) -> String {
    format!(
        "; a toleration {} would admit the pods",
        values::toleration(admitted_by)
    )
}

fn kind_text(kind: ConditionKind<'_>) -> &str {
    match kind {
        ConditionKind::Unmet(ReasonCode::SelectsEverything, _) => "an empty or missing spec.selector",
        ConditionKind::Unmet(ReasonCode::BeingDeleted, _) => "a deletionTimestamp",
        ConditionKind::Unmet(_, text) => text,
        ConditionKind::Wait(code) => wait_text(code),
    }
}

/// Says what pods wait for. The messages of waits name pods, so they differ from pair to pair.
fn wait_text(code: WaitCode) -> &'static str {
    match code {
        WaitCode::Planner => "no plans, because there is no leader or no planner",
        WaitCode::Refused => "the API server refuses to create or delete pods",
        WaitCode::Creation => "pods haven't been created yet",
        WaitCode::Deletion => "pods haven't been deleted yet",
        WaitCode::Scheduling => "pods aren't bound to their nodes",
        WaitCode::Readiness => "pods aren't ready",
        WaitCode::Availability => "pods haven't been ready for minReadySeconds",
        WaitCode::UserDeletion => "old pods stay until somebody deletes them",
        WaitCode::FailedPods => "failed pods are replaced only after a back-off",
        WaitCode::Upkeep => "the history or the ownership of pods is being repaired",
        WaitCode::Unspecified => "pods wait for something that this program doesn't know",
    }
}

/// Names a single object, and counts several.
fn count(members: Members<'_>, noun: &str) -> String {
    match members.count {
        1 => members.first.to_owned(),
        count => values::count(count as u64, noun),
    }
}

/// Separates conditions, which contain commas themselves.
const SEPARATOR: &str = "; ";

/// Joins texts. If they don't fit in `width`, the last one counts those that are left out.
fn join_fitting(texts: &[String], width: usize) -> String {
    let more = |left_out: usize| format!("{SEPARATOR}{left_out} more");
    let mut joined = 0;
    let mut fitting = 0;
    for (number, text) in (1..).zip(texts) {
        joined += length(text) + if number > 1 { SEPARATOR.len() } else { 0 };
        if joined + length(&more(texts.len() - number)) <= width {
            fitting = number;
        }
        if joined > width {
            break;
        }
    }
    if joined <= width {
        return texts.join(SEPARATOR);
    }
    let (shown, left_out) = texts.split_at(fitting);
    if !shown.is_empty() {
        return shown.join(SEPARATOR) + &more(left_out.len());
    }
    let rest = match texts.len() {
        0 | 1 => String::new(),
        count => more(count - 1),
    };
    let first = texts.first().map_or("", String::as_str);
    shortened(first, width.saturating_sub(length(&rest))) + &rest
}

/// Returns a text of at most `max_length` characters. If it isn't complete, it ends with an ellipsis.
fn shortened(text: &str, max_length: usize) -> String {
    if length(text) <= max_length {
        return text.to_owned();
    }
    text.chars()
        .take(max_length.saturating_sub(1))
        .chain(['…'])
        .collect()
}

fn note(left_out: usize, noun: &str) -> String {
    if left_out == 0 {
        return String::new();
    }
    let more = values::count(left_out as u64, &format!("more {noun}"));
    format!("({more}; --all shows every pair)\n")
}

#[cfg(test)]
mod tests;
