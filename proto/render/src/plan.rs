//! Tables for the planner's answer to `Plan`: the actions, and the status and summary that go with them.

use everynode_proto::planner::v1::{Action, DeleteReason, PlanResponse, action};

use super::{View, explain, table::Table, words};

/// Renders the actions, the status, the summary of the verdicts, and the time after which to plan again.
pub fn table(answer: &PlanResponse, view: View) -> String {
    let mut text = actions(&answer.actions, view);
    if let Some(status) = &answer.status {
        let mut table = Table::new(words::STATUS_HEADINGS);
        table.row(words::status(Some(status)));
        text.push('\n');
        text.push_str(&table.render(view));
    }
    if let Some(summary) = &answer.summary {
        text.push('\n');
        text.push_str(&explain::summary(std::slice::from_ref(summary), view));
    }
    if let Some(after) = &answer.reconsider_after {
        let after = words::duration(after);
        let note = format!("\nLook again in {after}, though nothing changes.\n");
        text.push_str(&note);
    }
    text
}

/// Whether there are no actions and no object has a problem.
pub fn is_as_wished(answer: &PlanResponse) -> bool {
    answer.problems.is_empty() && answer.actions.is_empty()
}

fn actions(actions: &[Action], view: View) -> String {
    if actions.is_empty() {
        return "Nothing to do.\n".to_owned();
    }
    let headings = ["ACTION", "NODE", "POD", "REASON"];
    let mut table = if view.wide {
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
        if view.wide {
            let more = [revision, uid].map(|text| or_dash(text).into());
            table.row(names.into_iter().chain(more).chain([reason.into()]));
        } else {
            table.row(names.into_iter().chain([reason.into()]));
        }
    }
    table.render(view)
}

/// Returns the cells of a row: action, node, pod, revision, uid and reason.
fn row(action: &Action) -> Option<[&str; 6]> {
    Some(match action.action.as_ref()? {
        action::Action::Create(create) => {
            let reason = "a pod belongs on the node";
            ["create", &create.node, "", &create.revision, "", reason]
        }
        action::Action::Delete(delete) => {
            let reason = delete_reason(delete.reason());
            ["delete", &delete.node, &delete.pod, "", &delete.uid, reason]
        }
    })
}

/// Describes in words why a pod is deleted.
pub fn delete_reason(reason: DeleteReason) -> &'static str {
    match reason {
        DeleteReason::Unspecified => "",
        DeleteReason::Excluded => "the node should not run it any more",
        DeleteReason::Failed => "it has failed",
        DeleteReason::Succeeded => "it has succeeded, which daemons don't",
        DeleteReason::Excess => "another pod of the DaemonSet is on the node",
        DeleteReason::Update => "it is of an old template, and the update has come to it",
        DeleteReason::NodeGone => "it waits for a node that is gone",
    }
}

#[cfg(test)]
mod tests;
