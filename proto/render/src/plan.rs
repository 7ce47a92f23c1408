//! Tables for the planner's answer to `Plan`: the actions, the status and the summary.

use everynode_proto::planner::v1::{Action, DeleteReason, PlanResponse, action};

use super::{TableStyle, explain, table::Table, values};

/// Renders the actions, the status, the summary of the verdicts, and the time after which to plan again.
pub fn table(answer: &PlanResponse, style: TableStyle) -> String {
    let mut text = actions(&answer.actions, style);
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

/// Whether there are no actions and no object has a problem.
pub fn is_as_desired(answer: &PlanResponse) -> bool {
    answer.problems.is_empty() && answer.actions.is_empty()
}

fn actions(actions: &[Action], style: TableStyle) -> String {
    if actions.is_empty() {
        return "Nothing to do.\n".to_owned();
    }
    let headings = ["ACTION", "NODE", "POD", "REASON"];
    let mut table = if style.is_wide {
        Table::new(["ACTION", "NODE", "POD", "REVISION", "UID", "REASON"])
    } else {
        Table::new(headings)
    };
    for action in actions {
        let Some([action, node, pod, revision, uid, reason]) = row(action) else {
            continue;
        };
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
