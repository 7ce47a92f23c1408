//! Tables for the planner's answers to `Plan`: the actions, the status and the summary.

use std::{collections::HashSet, iter};

use everynode_proto::planner::v1::{Action, DeleteReason, PlanResponse, PodReference, Verdict, action};

use super::{TableStyle, csv::Csv, explain, table::Table, values};

/// Renders the plans of several `DaemonSet`s one after another. Those with nothing to do share a table at the end. A
/// single plan needs no heading.
pub fn tables(answers: &[PlanResponse], style: TableStyle) -> String {
    if let [answer] = answers {
        return table(answer, style);
    }
    let is_settled = |answer: &&PlanResponse| has_nothing_to_do(answer) && answer.reconsider_after.is_none();
    let (settled, others): (Vec<_>, Vec<_>) = answers.iter().partition(is_settled);
    let sections = others.into_iter().map(|answer| {
        let heading = values::line(&format!("DaemonSet {}", daemon_set(answer)));
        heading + &table(answer, style)
    });
    let sections = sections.chain(settled_table(&settled, style));
    sections.collect::<Vec<_>>().join("\n")
}

/// Renders the status of `DaemonSet`s with nothing to do. `None` if there are none.
fn settled_table(answers: &[&PlanResponse], style: TableStyle) -> Option<String> {
    if answers.is_empty() {
        return None;
    }
    let mut table = Table::new(iter::once("DAEMONSET").chain(values::STATUS_HEADINGS));
    for answer in answers {
        let name = iter::once(daemon_set(answer).into());
        table.add_row(name.chain(values::status(answer.status.as_ref())));
    }
    let daemon_sets = values::count(answers.len() as u64, "DaemonSet");
    Some(format!(
        "Nothing to do for {daemon_sets}:\n{}",
        table.render(style)
    ))
}

/// Renders a line for each action of each `DaemonSet`.
pub fn csv(answers: &[PlanResponse]) -> String {
    let headings = ["DAEMONSET", "ACTION", "NODE", "POD", "REVISION", "UID", "REASON"];
    let mut csv = Csv::new(headings);
    for answer in answers {
        for row in rows(answer) {
            csv.add_row([daemon_set(answer)].into_iter().chain(row));
        }
    }
    csv.into_text()
}

/// Returns the name of the `DaemonSet` that was planned, as namespace/name.
fn daemon_set(answer: &PlanResponse) -> &str {
    answer.summary.as_ref().map_or("", |summary| &summary.daemon_set)
}

/// Renders the actions, the status, the summary of the verdicts, and the time after which to plan again.
pub fn table(answer: &PlanResponse, style: TableStyle) -> String {
    let mut text = actions(answer, style);
    if let Some(status) = &answer.status {
        let mut table = Table::new(values::STATUS_HEADINGS);
        table.add_row(values::status(Some(status)));
        text.push('\n');
        text.push_str(&table.render(style));
    }
    if let Some(summary) = &answer.summary {
        text.push('\n');
        text.push_str(&explain::summary(std::slice::from_ref(summary), style));
    }
    if let Some(after) = &answer.reconsider_after {
        let after = values::duration(after);
        let note = format!("\nPlan again in {after}, even if nothing changes.\n");
        text.push_str(&note);
    }
    text
}

/// Whether there is nothing to do and no object has a problem.
pub fn is_as_desired(answer: &PlanResponse) -> bool {
    answer.problems.is_empty() && has_nothing_to_do(answer)
}

/// Keeps the actions and the verdicts of the nodes with these names. The status and the summary still cover all nodes.
pub fn retain_nodes(answer: &mut PlanResponse, is_selected: impl Fn(&str) -> bool) {
    answer
        .actions
        .retain(|action| node(action).is_none_or(&is_selected));
    for pods in [&mut answer.adopt, &mut answer.release] {
        pods.retain(|pod| is_selected(&pod.node));
    }
    answer.verdicts.retain(|verdict| is_selected(&verdict.node));
}

/// Keeps the actions and the verdicts of the nodes with one of these verdicts, or of all nodes if there are none.
pub fn retain_verdicts(answer: &mut PlanResponse, verdicts: &[Verdict]) {
    if verdicts.is_empty() {
        return;
    }
    let has_verdict = answer
        .verdicts
        .iter()
        .filter(|verdict| verdicts.contains(&verdict.verdict()));
    let nodes: HashSet<_> = has_verdict.map(|verdict| verdict.node.clone()).collect();
    retain_nodes(answer, |node| nodes.contains(node));
}

/// Returns the node of an action. `None` for an action of an unknown kind.
fn node(action: &Action) -> Option<&str> {
    Some(match action.action.as_ref()? {
        action::Action::Create(create) => &create.node,
        action::Action::Delete(delete) => &delete.node,
    })
}

fn has_nothing_to_do(answer: &PlanResponse) -> bool {
    answer.actions.is_empty() && answer.adopt.is_empty() && answer.release.is_empty()
}

fn actions(answer: &PlanResponse, style: TableStyle) -> String {
    if has_nothing_to_do(answer) {
        return "Nothing to do.\n".to_owned();
    }
    let headings = ["ACTION", "NODE", "POD", "REASON"];
    let mut table = if style.is_wide {
        Table::new(["ACTION", "NODE", "POD", "REVISION", "UID", "REASON"])
    } else {
        Table::new(headings)
    };
    for [action, node, pod, revision, uid, reason] in rows(answer) {
        let or_dash = |text: &str| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text.to_owned()
            }
        };
        let names = [action, node, pod].map(|text| or_dash(text).into());
        if style.is_wide {
            let more = [revision, uid].map(|text| or_dash(text).into());
            table.add_row(names.into_iter().chain(more).chain([reason.into()]));
        } else {
            table.add_row(names.into_iter().chain([reason.into()]));
        }
    }
    table.render(style)
}

/// Returns the cells of each row. Pods that change their owner come first.
fn rows(answer: &PlanResponse) -> impl Iterator<Item = [&str; 6]> {
    let adopt = "the DaemonSet selects the pod, and nothing controls it";
    let adopted = answer.adopt.iter().map(|pod| reference("adopt", pod, adopt));
    let release = "the DaemonSet's selector no longer matches the pod";
    let released = answer
        .release
        .iter()
        .map(|pod| reference("release", pod, release));
    let actions = answer.actions.iter().filter_map(row);
    adopted.chain(released).chain(actions)
}

/// Returns the cells of a row for a pod that changes its owner.
fn reference<'r>(action: &'r str, pod: &'r PodReference, reason: &'r str) -> [&'r str; 6] {
    [action, &pod.node, &pod.pod, "", "", reason]
}

/// Returns the cells of a row: action, node, pod, revision, uid and reason.
fn row(action: &Action) -> Option<[&str; 6]> {
    Some(match action.action.as_ref()? {
        action::Action::Create(create) => {
            let reason = "the node should run a pod";
            ["create", &create.node, "", &create.revision, "", reason]
        }
        action::Action::Delete(delete) => {
            let reason = delete_reason(delete.reason());
            ["delete", &delete.node, &delete.pod, "", &delete.uid, reason]
        }
    })
}

fn delete_reason(reason: DeleteReason) -> &'static str {
    match reason {
        DeleteReason::Unspecified => "",
        DeleteReason::Excluded => "the node should no longer run the pod",
        DeleteReason::Failed => "the pod has failed",
        DeleteReason::Succeeded => "the pod has succeeded, but a daemon pod should keep running",
        DeleteReason::Excess => "the node has another pod of the DaemonSet",
        DeleteReason::Update => "the pod has an old template, and the rollout replaces it",
        DeleteReason::NodeGone => "the pod's node no longer exists",
    }
}

#[cfg(test)]
mod tests;
