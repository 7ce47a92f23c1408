//! Inspects the rollouts of all `DaemonSet`s at an interval: counts them for the metrics, reminds people of those that
//! somebody has paused, and finds out what an executor must know to lead.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::{
    apiserver::events::EventType,
    cluster::{Cluster, Entry},
    controller::{Controller, announcement::owned},
    rollouts::{CAPABILITY, kinds::DaemonSetRolloutStatus, memory::RolloutObject},
    telemetry::metrics::RolloutCounts,
};

/// How often people are reminded of a rollout that somebody has paused, or that waits for a promotion, in seconds.
const REMINDER_SECONDS: u64 = 24 * 60 * 60;

impl Controller {
    /// Counts rollouts and policies, and reminds people of those that they may have forgotten.
    pub(in crate::controller) fn review_rollouts(&mut self) {
        if self.term.is_none() {
            return;
        }
        let now = self.config.clock.now();
        self.config.metrics.set_rollouts(&counts(&self.cluster, now));
        if let Some(is_needed) = self.cluster.needs_rollout_policies() {
            self.config.requirements.set(is_needed.then_some(CAPABILITY));
        }
        self.remind_of_rollouts(now);
        let cluster = &self.cluster;
        self.policies.retain(|uid, _| cluster.policy(uid).is_some());
    }

    fn remind_of_rollouts(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (uid, entry, rollout) in self.cluster.daemon_set_rollouts() {
            let Some(managed) = self.managed.get_mut(uid) else {
                continue;
            };
            let reminder = Reminder::of(&rollout.status, now);
            let days = reminder.as_ref().map_or(0, |reminder| reminder.days);
            let before = std::mem::replace(&mut managed.rollout.reminded_days, days);
            if let Some(reminder) = reminder.filter(|reminder| reminder.days > before) {
                let note = reminder.note(rollout, waiting_revisions(&self.cluster, entry, rollout));
                due.push((entry.object.clone(), reminder.reason, note));
            }
        }
        for (object, reason, note) in due {
            self.config
                .events
                .record(&object, EventType::Normal, reason, "Rollout", note);
        }
    }
}

fn counts(cluster: &Cluster, now: Timestamp) -> RolloutCounts {
    let mut counts = RolloutCounts::default();
    for (_, _, rollout) in cluster.daemon_set_rollouts() {
        let status = &rollout.status;
        counts.add_rollout(&status.phase, age(status, now));
    }
    for policy in cluster.all_policies() {
        counts.add_policy(policy.status.accepted > 0);
    }
    counts
}

/// How long a rollout has been in its phase. Zero for phases without a condition, and for a partition, which waits for
/// nobody.
fn age(status: &DaemonSetRolloutStatus, now: Timestamp) -> Duration {
    if status.reason == "Partition" {
        return Duration::ZERO;
    }
    let mut conditions = status.conditions.iter();
    let condition =
        conditions.find(|condition| condition.type_ == status.phase && condition.status == "True");
    condition
        .and_then(|condition| {
            now.duration_since(condition.last_transition_time.0)
                .try_into()
                .ok()
        })
        .unwrap_or_default()
}

/// Number of revisions that are newer than the current one. `None` if that isn't known.
fn waiting_revisions(cluster: &Cluster, entry: &Entry, rollout: &RolloutObject) -> Option<usize> {
    let current = &rollout.memory.as_ref()?.current_revision;
    let is_current = |hash: Option<&str>| hash == Some(current.as_str());
    let number = owned(cluster, entry)
        .find(|revision| is_current(revision.hash()))?
        .revision;
    let newer = owned(cluster, entry).filter(|revision| revision.revision > number);
    Some(newer.count())
}

/// A rollout that somebody may have forgotten.
#[derive(Debug, PartialEq, Eq)]
struct Reminder {
    reason: &'static str,
    /// What the rollout has been.
    state: &'static str,
    days: u64,
}

impl Reminder {
    fn of(status: &DaemonSetRolloutStatus, now: Timestamp) -> Option<Self> {
        let (reason, state) = match status.phase.as_str() {
            "Paused" => ("RolloutPaused", "paused"),
            // Nobody has to promote a partition.
            "Waiting" if status.reason != "Partition" => ("WaitingForPromotion", "waiting for a promotion"),
            _ => return None,
        };
        Some(Self {
            reason,
            state,
            days: age(status, now).as_secs() / REMINDER_SECONDS,
        })
    }

    fn note(&self, rollout: &RolloutObject, revisions: Option<usize>) -> String {
        let Self { state, days, .. } = self;
        let number = rollout.status.rollout;
        let plural = |count| if count == 1 { "" } else { "s" };
        let waiting = match revisions {
            None | Some(0) => String::new(),
            Some(count) => format!("; {count} revision{} newer than the current one", plural(count)),
        };
        let days = usize::try_from(*days).unwrap_or(usize::MAX);
        format!(
            "Rollout {number} has been {state} for {days} day{}{waiting}",
            plural(days)
        )
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::RolloutPhase;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;
    use crate::rollouts::report::phase_name;

    const DAY: i64 = 24 * 60 * 60;

    fn status(phase: &str, since: i64) -> DaemonSetRolloutStatus {
        let condition = |kind: &str, status: &str| Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: "R".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(at(since)),
        };
        DaemonSetRolloutStatus {
            rollout: 7,
            phase: phase.to_owned(),
            conditions: vec![condition("Ready", "False"), condition(phase, "True")],
            ..DaemonSetRolloutStatus::default()
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn reminder_says_for_how_long_a_rollout_has_been_paused_and_what_waits() {
        let rollout = RolloutObject {
            status: status("Paused", 100),
            ..RolloutObject::default()
        };
        let reminder = |seconds| Reminder::of(&rollout.status, at(100 + seconds)).unwrap();
        assert_eq!(reminder(DAY - 1).days, 0);
        assert_eq!(reminder(-DAY).days, 0, "the clock was set back");
        assert_eq!(
            reminder(DAY).note(&rollout, Some(1)),
            "Rollout 7 has been paused for 1 day; 1 revision newer than the current one"
        );
        assert_eq!(
            reminder(2 * DAY).note(&rollout, None),
            "Rollout 7 has been paused for 2 days"
        );
        let waiting = Reminder::of(&status("Waiting", 0), at(3 * DAY)).unwrap();
        assert_eq!((waiting.reason, waiting.days), ("WaitingForPromotion", 3));
        assert_eq!(Reminder::of(&status("Soaking", 0), at(3 * DAY)), None);
    }

    #[test]
    fn every_phase_of_a_report_is_counted() {
        for phase in [
            RolloutPhase::Completed,
            RolloutPhase::Progressing,
            RolloutPhase::Soaking,
            RolloutPhase::Waiting,
            RolloutPhase::Paused,
            RolloutPhase::Stalled,
            RolloutPhase::GoingBack,
        ] {
            let mut counts = RolloutCounts::default();
            counts.add_rollout(phase_name(phase), Duration::ZERO);
            assert_ne!(counts, RolloutCounts::default(), "{phase:?}");
        }
    }

    #[test]
    fn age_is_that_of_the_condition_of_the_phase() {
        assert_eq!(age(&status("Stalled", 100), at(160)), Duration::from_mins(1));
        let soaking = DaemonSetRolloutStatus {
            phase: "Soaking".to_owned(),
            ..status("Stalled", 100)
        };
        assert_eq!(age(&soaking, at(160)), Duration::ZERO);
    }
}
