//! The state of a rollout: whether it has ended, the state of each stage, and what a person can do next.

use jiff::Timestamp;
use serde::Serialize;

use super::objects::{DaemonSet, Phase, Policy, PolicyStage, Rollout, StageStatus, State};

/// A `DaemonSet`, its rollout, and the policy that applies, as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) daemon_set: DaemonSet,
    pub(crate) rollout: Rollout,
    pub(crate) policy: PolicyRead,
}

/// The policy, as far as the user may read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum PolicyRead {
    /// The rollout names none, or it can't be read.
    #[default]
    Unknown,
    /// The policy that the rollout names doesn't exist.
    Gone,
    Found(Box<Policy>),
}

/// What a waiting command makes of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Outcome {
    /// The status isn't about the latest objects, so it says nothing yet.
    NotObserved,
    UnderWay,
    /// It continues only when a person acts.
    WaitsForPerson,
    /// It is paused or stalled.
    Held,
    /// It was aborted, and nodes still go back.
    GoesBack,
    /// It was aborted, and every node has the current revision.
    Failed,
    Completed,
}

impl Snapshot {
    /// The policy, if it was found.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        match &self.policy {
            PolicyRead::Found(policy) => Some(policy),
            PolicyRead::Unknown | PolicyRead::Gone => None,
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let status = &self.rollout.status;
        if self.not_observed().is_some() {
            return Outcome::NotObserved;
        }
        match status.phase {
            Phase::Completed => Outcome::Completed,
            Phase::Paused | Phase::Stalled => Outcome::Held,
            Phase::Waiting => Outcome::WaitsForPerson,
            Phase::GoingBack if !self.is_aborted() => Outcome::UnderWay,
            Phase::GoingBack if status.reason == "Aborted" => Outcome::Failed,
            Phase::GoingBack => Outcome::GoesBack,
            Phase::Progressing | Phase::Soaking | Phase::Unknown => Outcome::UnderWay,
        }
    }

    /// Whether somebody aborted the rollout. A rollout to the current revision, as after `undo`, goes back too.
    pub(crate) fn is_aborted(&self) -> bool {
        let status = &self.rollout.status;
        status.state == State::GoingBack && status.current_revision != status.update_revision
    }

    /// Why the status isn't about the latest template. `None` if it is.
    pub(crate) fn not_observed_template(&self) -> Option<String> {
        let daemon_set = &self.daemon_set;
        let status = &self.rollout.status;
        let generation = daemon_set.metadata.generation;
        let is_of_other =
            !status.daemon_set_uid.is_empty() && status.daemon_set_uid != daemon_set.metadata.uid;
        let is_observed = daemon_set.status.observed_generation >= generation
            && status.daemon_set_generation == generation
            && !is_of_other;
        (!is_observed)
            .then(|| format!("Everynode hasn't observed generation {generation} of the DaemonSet yet"))
    }

    /// Why the status isn't about the latest objects. `None` if it is.
    pub(crate) fn not_observed(&self) -> Option<String> {
        if let Some(why) = self.not_observed_template() {
            return Some(why);
        }
        let Self { rollout, policy, .. } = self;
        let status = &rollout.status;
        if status.observed_generation < rollout.metadata.generation {
            return Some("Everynode hasn't observed the latest command yet".to_owned());
        }
        if status.reason == "PoliciesUnknown" {
            return Some("Everynode can't read the rollout policies at the moment".to_owned());
        }
        match policy {
            PolicyRead::Gone => Some("Everynode hasn't observed that the policy was deleted yet".to_owned()),
            PolicyRead::Found(policy) if policy.status.observed_generation < policy.metadata.generation => {
                let name = &policy.metadata.name;
                Some(format!(
                    "Everynode hasn't observed the latest change of the policy {name} yet"
                ))
            }
            PolicyRead::Found(_) | PolicyRead::Unknown => None,
        }
    }

    /// The stages in their order: those that have opened, and those that the policy names besides.
    pub(crate) fn stages(&self, now: Timestamp) -> Vec<Stage> {
        let status = &self.rollout.status;
        if status.state == State::GoingBack {
            // Stages don't apply.
            return Vec::new();
        }
        let planned = match self.policy() {
            Some(policy) if status.state != State::Completed => policy.spec.stages.as_slice(),
            _ => &[],
        };
        let is_planned = |opened: &&StageStatus| planned.iter().any(|stage| stage.name == opened.name);
        let is_last = |opened: &&StageStatus| opened.name.is_empty();
        let opened = |name: &str| status.stages.iter().find(|stage| stage.name == name);
        let others = status
            .stages
            .iter()
            .filter(|stage| !is_planned(stage) && !is_last(stage));
        let mut stages: Vec<_> = others
            .map(|other| self.stage(&other.name, Some(other), now))
            .collect();
        stages.extend(
            planned
                .iter()
                .map(|stage| self.stage(&stage.name, opened(&stage.name), now)),
        );
        let last = opened("");
        if last.is_some() || !planned.is_empty() {
            stages.push(self.stage("", last, now));
        }
        stages
    }

    fn stage(&self, name: &str, opened: Option<&StageStatus>, now: Timestamp) -> Stage {
        let mut stages = self.policy().into_iter().flat_map(|policy| &policy.spec.stages);
        let soak = stages
            .find(|stage| stage.name == name)
            .and_then(PolicyStage::soak);
        let opened_at = opened.and_then(|opened| opened.opened_at);
        let updated_at = opened.and_then(|opened| opened.updated_at);
        let done_at = opened.and_then(|opened| opened.done_at);
        let soaks_until = updated_at
            .zip(soak)
            .and_then(|(at, soak)| at.checked_add(soak).ok());
        let state = match opened {
            None => StageState::NotOpen,
            Some(_) if done_at.is_some() => StageState::Done,
            Some(_) if updated_at.is_none() => StageState::Open,
            Some(_) if soaks_until.is_some_and(|until| until > now) => StageState::Soaking,
            Some(_) => StageState::Updated,
        };
        Stage {
            name: name.to_owned(),
            state,
            opened_at,
            updated_at,
            soaks_until: soaks_until.filter(|_| state == StageState::Soaking),
            done_at,
            desired: opened.and_then(|opened| opened.desired),
            updated_available: opened.and_then(|opened| opened.updated_available),
            nodes: opened.map(|opened| opened.nodes.clone()).unwrap_or_default(),
        }
    }
}

/// The state of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stage {
    /// Empty for the last stage, which has all other nodes.
    pub(crate) name: String,
    pub(crate) state: StageState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) opened_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) updated_at: Option<Timestamp>,
    /// The end of the soak, while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) soaks_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) done_at: Option<Timestamp>,
    /// Nodes of the stage that should run a pod, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) desired: Option<u64>,
    /// Those with an available pod of the update revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) updated_available: Option<u64>,
    /// The nodes that were picked, if the stage has a number of nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) nodes: Vec<String>,
}

impl Stage {
    /// The name that people see.
    pub(crate) fn display_name(&self) -> &str {
        match self.name.as_str() {
            "" => "(other nodes)",
            name => name,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum StageState {
    NotOpen,
    /// Its nodes are being updated.
    Open,
    /// Its nodes are updated, and the soak lasts.
    Soaking,
    /// Its nodes are updated and have soaked, but the next stage isn't open.
    Updated,
    Done,
}

#[cfg(test)]
pub(crate) mod tests;
