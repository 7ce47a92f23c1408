//! Reports the state of a row's rollout, and proposes what to remember next.

use super::{Governance, RowRollout};
use crate::{
    decide::{
        Rules,
        ledger::Ledger,
        marks::Mark,
        rollout::{
            advance::{self, Course, Seen, Survey},
            budget,
            report::{self, Hold, Phase, Report},
        },
    },
    model::{
        Millis, Text,
        rollout::{PolicySpec, State},
    },
};

impl RowRollout {
    /// Returns the state of the rollout, with what to remember next, and when that can change without an event.
    pub(crate) fn report(
        &self,
        rules: &Rules<'_>,
        ledger: &Ledger,
        survey: &impl Survey,
    ) -> (Report, Option<Millis>) {
        let default = PolicySpec::default();
        let (policy, spec) = match &self.governance {
            Governance::Policy { uid, spec } => (uid.clone(), spec.as_deref().ok()),
            Governance::Unknown { uid, spec } => (uid.clone(), spec.as_deref()),
            Governance::None => (Text::default(), None),
        };
        let course = Course {
            policy: spec.unwrap_or(&default),
            verbs: &self.verbs,
            update: &rules.daemon_set.update_revision,
            is_marked_held: rules.daemon_set.is_rollout_held,
            now: rules.now,
        };
        let tally = ledger.tally();
        let domains = match (ledger.groups(), &self.active) {
            (Some(groups), Some(active)) => groups.unfinished_domains(&active.domains),
            _ => Vec::new(),
        };
        let mut seen = Seen {
            desired: tally.count(Mark::Desired),
            old: tally
                .count(Mark::Current)
                .saturating_sub(tally.count(Mark::Updated)),
            is_stalled: budget::has_too_many_ignored(tally.count(Mark::Ignored), tally.count(Mark::Desired)),
            ..Seen::default()
        };
        let (mut updated, mut updated_available) = (tally.count(Mark::Updated), tally.count(Mark::Available));
        if let Some(groups) = ledger.groups() {
            let total = groups.total();
            let stage = |stage: usize| groups.stages().get(stage).copied().unwrap_or_default().into();
            seen.pending = total.pending.max(total.queued);
            seen.stages = (0..=course.policy.stages.len()).map(stage).collect();
            (updated, updated_available) = (total.updated, total.updated_available);
        }
        let memory = match (&self.governance, &self.memory) {
            (Governance::Policy { spec: Ok(_), .. }, memory) => {
                advance::advance(&course, memory.as_ref(), &seen, survey)
            }
            (Governance::None, Some(memory)) => {
                advance::without_policy(&course, memory, rules.daemon_set.strategy)
            }
            (_, memory) => memory.clone().unwrap_or_default(),
        };
        let at = spec.and_then(|_| advance::next_change_at(&course, &memory));
        let staging = self.active.as_ref().map(|active| &active.staging);
        let ignored = tally.count(Mark::Ignored);
        let has_stages = memory.state == State::Progressing;
        let is_stalled = has_stages && seen.is_stalled;
        // A rollout that is complete stays so while the policies can't be read.
        let is_complete = memory.state == State::Completed && memory.update == *course.update;
        let hold = self.hold(rules.daemon_set);
        let hold = hold.filter(|hold| !(is_complete && *hold == Hold::PoliciesUnknown));
        let hold = hold.or_else(|| is_stalled.then_some(Hold::TooManyIgnored(ignored)));
        let (phase, reason, mut message) = match (hold, staging) {
            (Some(hold), _) => hold.describe(),
            (None, Some(staging)) => report::describe(&course, &memory, staging, &seen),
            (None, None) => (
                Phase::Completed,
                "Completed",
                "every node has the update revision".to_owned(),
            ),
        };
        if has_stages && self.active.as_ref().is_some_and(|active| active.current.is_lost) {
            message.push_str(
                "; the ControllerRevision of the current revision is gone, so nodes that aren't released get no pods",
            );
        }
        let report = Report {
            policy,
            phase,
            reason,
            message,
            stages: staging
                .map(|staging| report::stages(&course, staging, &seen, &domains))
                .unwrap_or_default(),
            desired: seen.desired,
            updated,
            updated_available,
            ignored,
            held: tally.count(Mark::Held),
            memory,
        };
        (report, at)
    }
}
