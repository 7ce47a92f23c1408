//! Says why a node has its revision, or not the update revision yet.

use super::{Place, PositionReason, StageTotals, Standing};
use crate::{
    decide::{
        Rules,
        cell::{Cell, RolloutCell, Target},
        node::NodeDecision,
        rollout::{
            budget, old_pod,
            policy::RolloutRules,
            report::Hold,
            staging::{StageIndex, Staging},
        },
    },
    model::{
        DaemonSet, Millis, Text,
        rollout::{PolicySpec, Stage, StageSize, State},
    },
};

impl Standing<'_> {
    pub(super) fn reason(
        &self,
        rules: &Rules<'_>,
        rollout: &RolloutRules<'_>,
        cell: &Cell<'_, '_>,
        seen: &RolloutCell,
        place: &Place,
    ) -> (PositionReason, String) {
        let mut decision = NodeDecision::default();
        decision.recompute(rules, cell);
        let old = old_pod(rules, cell, &decision);
        let new = decision.staying().find(|pod| rules.is_target(cell, pod));
        let goes_back = self.memory.is_some_and(|memory| memory.state == State::GoingBack);
        let waits_for_stage = seen.target == Target::Current && !goes_back;
        let at = |why: String| format!("in {}: {why}", place.text);
        if !waits_for_stage && (old.is_none() || new.is_some()) {
            let target = if goes_back { "current" } else { "update" };
            return match new {
                Some(new) if old.is_none() && rules.is_available(new) => {
                    let message = at(format!(
                        "the node already has an available pod of the {target} revision"
                    ));
                    (PositionReason::Updated, message)
                }
                Some(_) => {
                    let message = at(format!(
                        "the node's pod of the {target} revision isn't available yet"
                    ));
                    (PositionReason::InReplacement, message)
                }
                None => {
                    let message = at(format!("the node gets a pod of the {target} revision"));
                    (PositionReason::InReplacement, message)
                }
            };
        }
        if seen.is_held {
            let DaemonSet { namespace, name, .. } = rules.daemon_set;
            let message = format!("the pod is held by the node's label hold.everynode.io/{namespace}.{name}");
            return (PositionReason::Held, at(message));
        }
        let totals = self.totals;
        let is_stalled = rollout.has_stages && budget::has_too_many_ignored(totals.ignored, totals.desired);
        let stalled = is_stalled.then_some(Hold::TooManyIgnored(totals.ignored));
        if let Some(hold) = self.hold.or(stalled.as_ref()) {
            let (reason, why) = self.held_back(hold, rollout.spec);
            return (reason, at(why));
        }
        if waits_for_stage {
            return self.before_stage(rollout.spec, seen.group.stage, place, rules.now);
        }
        let (reason, why) = self.turn(rules, rollout, seen);
        (reason, at(why))
    }

    fn held_back(&self, hold: &Hold, spec: &PolicySpec) -> (PositionReason, String) {
        let (_, _, message) = hold.describe();
        match hold {
            Hold::PoliciesUnknown => (PositionReason::PoliciesUnknown, message),
            Hold::PolicyGone => (PositionReason::PolicyGone, message),
            Hold::PolicyInvalid(_) => (PositionReason::PolicyInvalid, message),
            Hold::NotWritten => (PositionReason::NotRecorded, message),
            Hold::Waiting => (PositionReason::NotPromoted, message),
            Hold::MemoryLost => (PositionReason::MemoryLost, message),
            Hold::CurrentRevisionLost => (PositionReason::CurrentRevisionLost, message),
            Hold::TooManyIgnored(_) => (PositionReason::TooManyIgnored, message),
            Hold::Paused if spec.paused => {
                let message = format!("the rollout is paused by {} (spec.paused)", self.policy);
                (PositionReason::Paused, message)
            }
            Hold::Paused => {
                let message = "the rollout is paused by its DaemonSetRollout (spec.paused)".to_owned();
                (PositionReason::Paused, message)
            }
        }
    }

    /// Why the stage of a node hasn't opened.
    fn before_stage(
        &self,
        spec: &PolicySpec,
        stage: StageIndex,
        place: &Place,
        now: Millis,
    ) -> (PositionReason, String) {
        let active = self.staging.and_then(Staging::active).unwrap_or(stage);
        let found = spec.stages.get(usize::from(active));
        if found.is_some_and(|found| matches!(found.size, StageSize::AllBut(_))) && active < stage {
            let message = format!(
                "in {}: the policy's partition keeps the node on the current revision",
                place.text
            );
            return (PositionReason::Partition, message);
        }
        let Some(found) = found.filter(|_| active < stage) else {
            let message = format!("in {}, which opens next", place.text);
            return (PositionReason::NotRecorded, message);
        };
        let message = format!(
            "in {}, which opens when stage {} is done; {}",
            place.text,
            stage_before(spec, stage).unwrap_or(&found.name),
            self.awaits(found, active, now)
        );
        (PositionReason::EarlierStage, message)
    }

    /// What the active stage waits for.
    fn awaits(&self, stage: &Stage, index: StageIndex, now: Millis) -> String {
        let name = &stage.name;
        let Some(remembered) = self.staging.and_then(|staging| staging.remembered(index)) else {
            return format!("{name} opens next");
        };
        let Some(updated_at) = remembered.updated_at else {
            let StageTotals {
                desired,
                updated_available,
                ..
            } = self
                .totals
                .stages
                .get(usize::from(index))
                .cloned()
                .unwrap_or_default();
            return format!("{updated_available} of {desired} nodes of {name} are updated and available");
        };
        let until = updated_at.plus(stage.soak_millis);
        if until > now {
            format!("{name} soaks until {}", deadline(until, now))
        } else if stage.is_manual {
            format!("{name} waits for its promotion")
        } else {
            format!("{name} is updated")
        }
    }

    /// Why the old pod of a released node hasn't been replaced yet.
    fn turn(
        &self,
        rules: &Rules<'_>,
        rollout: &RolloutRules<'_>,
        seen: &RolloutCell,
    ) -> (PositionReason, String) {
        let totals = self.totals;
        let stage = usize::from(seen.group.stage);
        let order = rollout.spec.order.as_ref();
        let first = totals.stages.get(stage).and_then(|stage| stage.domain.as_ref());
        if let (Some(order), Some(first)) = (order, first)
            && rollout.domains.get(seen.group.domain) != Some(first)
        {
            let key = order.topology_key.text();
            let domain = match first.value() {
                Some(value) => format!("the nodes with {key}={value}"),
                None => format!("the nodes without {key}"),
            };
            let message =
                format!("the node is released, and waits for {domain}, which the policy's order puts first");
            return (PositionReason::Order, message);
        }
        let limit = rollout.max_unavailable.of(totals.desired).max(1);
        let (taken, condition) = if rules.allows_surge() {
            (totals.in_replacement.unwrap_or_default(), "in replacement")
        } else {
            let most = totals.unavailable.max(totals.in_replacement.unwrap_or_default());
            (most, "unavailable")
        };
        if taken >= limit {
            let message = format!(
                "the node is released, and waits for a slot of the budget: {taken} of {limit} nodes are {condition}"
            );
            return (PositionReason::Budget, message);
        }
        let of_stage = rollout.spec.stages.get(stage).filter(|_| rollout.has_stages);
        let bounds_stage = of_stage.is_some_and(|stage| stage.max_unavailable.is_some());
        let bounds_domain = order.is_some_and(|order| order.max_unavailable.is_some());
        match (bounds_stage, bounds_domain) {
            (false, false) => (
                PositionReason::Next,
                "the node is released, and its pod is replaced next".to_owned(),
            ),
            (true, false) => (
                PositionReason::Budget,
                "the node is released, and waits for a slot of its stage's budget".to_owned(),
            ),
            (false, true) => (
                PositionReason::Budget,
                "the node is released, and waits for a slot of its domain's budget".to_owned(),
            ),
            (true, true) => (
                PositionReason::Budget,
                "the node is released, and waits for a slot of its stage's and its domain's budget"
                    .to_owned(),
            ),
        }
    }
}

/// A time, and how long it takes until then, such as `12:40 UTC (8 min left)`.
fn deadline(at: Millis, now: Millis) -> String {
    let left = at.since(now).max(0);
    let minutes = left.saturating_add(59_999) / 60_000;
    let left_text = match minutes {
        0 | 1 => format!("{} s", left.saturating_add(999) / 1_000),
        2..=119 => format!("{minutes} min"),
        _ => format!("{} h", minutes / 60),
    };
    // Without its date, a later time would be ambiguous.
    if minutes >= 24 * 60 {
        return format!("{left_text} from now");
    }
    let minute_of_day = at.0.div_euclid(60_000).rem_euclid(24 * 60);
    let (hour, minute) = (minute_of_day / 60, minute_of_day % 60);
    format!("{hour:02}:{minute:02} UTC ({left_text} left)")
}

fn stage_before(spec: &PolicySpec, stage: StageIndex) -> Option<&Text> {
    let before = usize::from(stage).checked_sub(1)?;
    Some(&spec.stages.get(before)?.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_have_the_time_and_what_is_left() {
        // 1970-01-02T12:40:00Z
        let at = Millis((36 * 60 + 40) * 60_000);
        for (left_seconds, expected) in [
            (8 * 60, "12:40 UTC (8 min left)"),
            (7 * 60 + 1, "12:40 UTC (8 min left)"),
            (40, "12:40 UTC (40 s left)"),
            (60, "12:40 UTC (60 s left)"),
            (3 * 3_600, "12:40 UTC (3 h left)"),
            (30 * 3_600, "30 h from now"),
        ] {
            assert_eq!(deadline(at, at.plus(-left_seconds * 1_000)), expected);
        }
    }
}
