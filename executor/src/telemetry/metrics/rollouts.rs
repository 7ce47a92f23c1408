//! Rollouts by phase, and rollout policies.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// The phases, as the status of a `DaemonSetRollout` names them.
const PHASES: [&str; 7] = [
    "Completed",
    "Progressing",
    "Soaking",
    "GoingBack",
    "Waiting",
    "Paused",
    "Stalled",
];
/// Number of phases that end only when somebody does something. They are the last ones.
const PHASES_WITH_AGE: usize = 3;
/// The values of the label `accepted`.
const ACCEPTED: [&str; 2] = ["false", "true"];

/// Numbers of rollouts and policies at some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RolloutCounts {
    phases: [PhaseCount; PHASES.len()],
    policies: [usize; ACCEPTED.len()],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct PhaseCount {
    rollouts: usize,
    longest: Duration,
}

impl RolloutCounts {
    /// Counts a rollout that has been in this phase for this long. Ignores unknown phases.
    pub(crate) fn add_rollout(&mut self, phase: &str, age: Duration) {
        let mut phases = PHASES.iter().zip(&mut self.phases);
        if let Some((_, count)) = phases.find(|(known, _)| **known == phase) {
            count.rollouts += 1;
            count.longest = count.longest.max(age);
        }
    }

    /// Counts a policy, which may or may not apply to any `DaemonSet`.
    pub(crate) fn add_policy(&mut self, is_accepted: bool) {
        let [refused, accepted] = &mut self.policies;
        *(if is_accepted { accepted } else { refused }) += 1;
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AcceptedLabel {
    accepted: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Rollouts {
    count: Family<PhaseLabel, Gauge>,
    longest: Family<PhaseLabel, Gauge>,
    policies: Family<AcceptedLabel, Gauge>,
}

impl Rollouts {
    pub(super) fn register(&self, registry: &mut Registry) {
        self.set(&RolloutCounts::default());
        registry.register(
            "rollouts",
            "Rollouts under a policy, by phase",
            self.count.clone(),
        );
        registry.register(
            "rollout_phase_longest_seconds",
            "The longest time that a rollout has been in a phase that ends only when somebody acts; 0 if none is in it",
            self.longest.clone(),
        );
        registry.register(
            "rollout_policies",
            "Rollout policies, by whether they apply to a DaemonSet",
            self.policies.clone(),
        );
    }

    pub(super) fn set(&self, now: &RolloutCounts) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (place, (phase, count)) in PHASES.into_iter().zip(now.phases).enumerate() {
            let label = PhaseLabel { phase };
            self.count.get_or_create(&label).set(number(count.rollouts));
            if place >= PHASES.len() - PHASES_WITH_AGE {
                let seconds = i64::try_from(count.longest.as_secs()).unwrap_or(i64::MAX);
                self.longest.get_or_create(&label).set(seconds);
            }
        }
        for (accepted, count) in ACCEPTED.into_iter().zip(now.policies) {
            let label = AcceptedLabel { accepted };
            self.policies.get_or_create(&label).set(number(count));
        }
    }
}
