//! Counts the nodes of each stage of a rollout, by the reason why they have their revision.

use std::collections::BTreeMap;

use everynode_proto::planner::v1::NodeRolloutReason;

use super::pair::Pair;
use crate::{TableStyle, table::Table};

/// Renders a row for each `DaemonSet`, stage and reason. Without rollouts, the text is empty.
pub(super) fn table(pairs: &[Pair<'_>], style: TableStyle) -> String {
    let mut counts: BTreeMap<(&str, i64, u32, &str, i32), usize> = BTreeMap::new();
    for pair in pairs {
        if let Some(rollout) = &pair.found.rollout {
            let key = (
                pair.found.daemon_set.as_str(),
                rollout.rollout,
                rollout.stage_number,
                rollout.stage.as_str(),
                rollout.reason,
            );
            *counts.entry(key).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["DAEMONSET", "ROLLOUT", "STAGE", "NODES", "STATE"]);
    for ((daemon_set, rollout, number, stage, reason), count) in counts {
        let stage = match (number, stage) {
            (0, _) => "-",
            (_, "") => "(other nodes)",
            (_, stage) => stage,
        };
        let reason = NodeRolloutReason::try_from(reason).unwrap_or_default();
        table.add_row([
            daemon_set.into(),
            rollout.to_string().into(),
            stage.into(),
            count.to_string().into(),
            state(reason).into(),
        ]);
    }
    table.render(style)
}

fn state(reason: NodeRolloutReason) -> &'static str {
    match reason {
        NodeRolloutReason::Completed => "no rollout is under way",
        NodeRolloutReason::Updated => "updated",
        NodeRolloutReason::InReplacement => "being replaced",
        NodeRolloutReason::Next => "replaced next",
        NodeRolloutReason::Budget => "waits for a slot of the budget",
        NodeRolloutReason::Order => "waits for another domain",
        NodeRolloutReason::EarlierStage => "waits for an earlier stage",
        NodeRolloutReason::Partition => "kept by the partition",
        NodeRolloutReason::Held => "held by a label of the node",
        NodeRolloutReason::Paused => "paused",
        NodeRolloutReason::NotPromoted => "waits for a promotion",
        NodeRolloutReason::NotRecorded => "the next step is being recorded",
        NodeRolloutReason::PolicyGone => "held, because no policy applies any more",
        NodeRolloutReason::PolicyInvalid => "held, because the policy is invalid",
        NodeRolloutReason::PoliciesUnknown => "held, because the policies can't be read",
        NodeRolloutReason::TooManyIgnored => "held, because too many nodes had no available pod",
        NodeRolloutReason::MemoryLost => "held, because which stages were done isn't known",
        NodeRolloutReason::CurrentRevisionLost => "held, because the current revision is gone",
        NodeRolloutReason::Unspecified => "a state that this program doesn't know",
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::{NodeRollout, NodeVerdict, Verdict};

    use super::*;
    use crate::testing::verdict;

    #[test]
    fn nodes_of_each_stage_are_counted_by_their_state() {
        let with = |node: &str, number, stage: &str, reason: NodeRolloutReason| NodeVerdict {
            rollout: Some(NodeRollout {
                rollout: 7,
                stage: stage.to_owned(),
                stage_number: number,
                reason: reason.into(),
                ..NodeRollout::default()
            }),
            ..verdict(node, Verdict::Run, &["the node fits"])
        };
        let verdicts = [
            with("a", 1, "canary", NodeRolloutReason::Updated),
            with("b", 2, "", NodeRolloutReason::EarlierStage),
            with("c", 2, "", NodeRolloutReason::EarlierStage),
        ];
        let pairs: Vec<_> = verdicts.iter().map(Pair::of_verdict).collect();
        assert_eq!(
            table(&pairs, TableStyle::default()),
            "\
DAEMONSET       ROLLOUT   STAGE           NODES   STATE
default/agent   7         canary          1       updated
default/agent   7         (other nodes)   2       waits for an earlier stage
"
        );
        assert_eq!(table(&[], TableStyle::default()), "");
    }
}
