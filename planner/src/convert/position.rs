//! Converts positions of nodes in rollouts to the wire, and the counts that they follow from to the model.

use everynode_proto::planner::v1 as wire;

use crate::{
    decide::rollout::{
        groups::Domain,
        position::{Position, PositionReason, StageTotals, Totals},
    },
    limits::number,
    model::Text,
};

/// Converts where a node is in a rollout to the wire. `policy` is the policy that applies, for people.
pub fn node_rollout(position: Position, policy: &str) -> wire::NodeRollout {
    use wire::NodeRolloutReason as Reason;
    let reason = match position.reason {
        PositionReason::Completed => Reason::Completed,
        PositionReason::Updated => Reason::Updated,
        PositionReason::InReplacement => Reason::InReplacement,
        PositionReason::Next => Reason::Next,
        PositionReason::Budget => Reason::Budget,
        PositionReason::Order => Reason::Order,
        PositionReason::EarlierStage => Reason::EarlierStage,
        PositionReason::Partition => Reason::Partition,
        PositionReason::Held => Reason::Held,
        PositionReason::Paused => Reason::Paused,
        PositionReason::NotPromoted => Reason::NotPromoted,
        PositionReason::NotRecorded => Reason::NotRecorded,
        PositionReason::PolicyGone => Reason::PolicyGone,
        PositionReason::PolicyInvalid => Reason::PolicyInvalid,
        PositionReason::PoliciesUnknown => Reason::PoliciesUnknown,
        PositionReason::TooManyIgnored => Reason::TooManyIgnored,
        PositionReason::MemoryLost => Reason::MemoryLost,
        PositionReason::CurrentRevisionLost => Reason::CurrentRevisionLost,
    };
    wire::NodeRollout {
        policy: policy.to_owned(),
        rollout: position.rollout,
        stage: position.stage.to_string(),
        stage_number: number(position.stage_number),
        stages: number(position.stages),
        target_revision: position.target.to_string(),
        reason: reason.into(),
        message: position.message,
    }
}

/// Reads the counts of all nodes from what the last plan says.
pub(crate) fn totals(report: &wire::RolloutReport, status: Option<&wire::DaemonSetStatus>) -> Totals {
    let count = |count: i32| usize::try_from(count).unwrap_or(0);
    let stages = report.stages.iter().map(|stage| StageTotals {
        desired: count(stage.desired),
        updated_available: count(stage.updated_available),
        domain: stage.domain.as_deref().map(|value| {
            let value = (!value.is_empty()).then(|| Text::from(value));
            Domain::of(value.as_ref())
        }),
    });
    let ignored = count(report.ignored);
    let unavailable = status.map_or(0, |status| count(status.number_unavailable));
    Totals {
        desired: count(report.desired),
        // Ignored nodes are outside the budget.
        unavailable: unavailable.saturating_sub(ignored),
        in_replacement: None,
        ignored,
        stages: stages.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_nodes_take_no_slot() {
        let stage = wire::StageReport {
            desired: 4,
            updated_available: 1,
            domain: Some(String::new()),
            ..wire::StageReport::default()
        };
        let report = wire::RolloutReport {
            desired: 10,
            ignored: 2,
            stages: vec![stage],
            ..wire::RolloutReport::default()
        };
        let status = wire::DaemonSetStatus {
            number_unavailable: 5,
            ..wire::DaemonSetStatus::default()
        };
        let totals = totals(&report, Some(&status));
        assert_eq!((totals.desired, totals.unavailable, totals.ignored), (10, 3, 2));
        let [stage] = totals.stages.as_slice() else {
            panic!("{totals:?}");
        };
        assert_eq!((stage.desired, stage.updated_available), (4, 1));
        assert_eq!(stage.domain, Some(Domain::of(None)));
    }
}
