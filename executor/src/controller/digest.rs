//! Summarizes a plan in a log line.

use std::{collections::BTreeMap, fmt};

use everynode_proto::planner::v1::{DeleteReason, Plan, action::Action};
use tracing::{debug, info};

/// Maximum number of nodes that a log line names.
const NODES_NAMED: usize = 3;

/// A summary of a plan's actions.
#[derive(Debug, Default)]
struct Digest<'p> {
    creates: usize,
    deletes: usize,
    /// The number of pods to delete, by reason.
    reasons: BTreeMap<DeleteReason, usize>,
    nodes: Vec<&'p str>,
    /// The number of nodes beyond the named ones.
    more_nodes: usize,
}

/// Logs a plan: at level info if it has actions, otherwise at level debug.
pub(super) fn log(plan: &Plan) {
    let Plan {
        daemon_set,
        id,
        based_on,
        ..
    } = plan;
    if plan.actions.is_empty() {
        debug!(daemon_set, plan = id, based_on, "plan received without actions");
        return;
    }
    let digest = Digest::of(plan);
    info!(
        daemon_set,
        plan = id,
        based_on,
        creates = digest.creates,
        deletes = digest.deletes,
        reasons = %digest.reasons(),
        nodes = %digest.nodes(),
        "plan received"
    );
}

impl<'p> Digest<'p> {
    fn of(plan: &'p Plan) -> Self {
        let mut digest = Self::default();
        for action in &plan.actions {
            let node = match &action.action {
                Some(Action::Create(create)) => {
                    digest.creates += 1;
                    &create.node
                }
                Some(Action::Delete(delete)) => {
                    digest.deletes += 1;
                    *digest.reasons.entry(delete.reason()).or_default() += 1;
                    &delete.node
                }
                None => continue,
            };
            if digest.nodes.len() < NODES_NAMED {
                digest.nodes.push(node);
            } else {
                digest.more_nodes += 1;
            }
        }
        digest
    }

    fn reasons(&self) -> impl fmt::Display {
        let reasons = self.reasons.iter().map(|(reason, count)| {
            let name = reason.as_str_name().trim_start_matches("DELETE_REASON_");
            format!("{} {count}", name.to_lowercase())
        });
        reasons.collect::<Vec<_>>().join(", ")
    }

    fn nodes(&self) -> impl fmt::Display {
        let named = self.nodes.join(", ");
        match self.more_nodes {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::{Action as PlannedAction, CreatePod, DeletePod};

    use super::*;

    #[test]
    fn digest_of_a_plan_for_many_nodes_is_short() {
        let create = |number: u64| {
            Action::Create(CreatePod {
                node: format!("n{number}"),
                ..CreatePod::default()
            })
        };
        let delete = |number: u64, reason: DeleteReason| {
            Action::Delete(DeletePod {
                node: format!("n{number}"),
                reason: reason.into(),
                ..DeletePod::default()
            })
        };
        let mut actions: Vec<_> = (1..=4).map(create).collect();
        actions.push(delete(5, DeleteReason::Update));
        actions.push(delete(6, DeleteReason::Failed));
        actions.push(delete(7, DeleteReason::Update));
        let actions = actions.into_iter().map(|action| PlannedAction {
            id: 1,
            action: Some(action),
        });
        let plan = Plan {
            actions: actions.collect(),
            ..Plan::default()
        };
        let digest = Digest::of(&plan);
        assert_eq!((digest.creates, digest.deletes), (4, 3));
        assert_eq!(digest.reasons().to_string(), "failed 1, update 2");
        assert_eq!(digest.nodes().to_string(), "n1, n2, n3 and 4 more");
    }
}
