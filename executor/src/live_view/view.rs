//! Describes a `DaemonSet` in words: the progress of its rollout, and what it waits for.
//!
//! The functions are pure and take plain data. They describe counters, pods and calls in progress; conclusions from
//! those are left to the planner. Their input is a [`Sketch`].
//!
//! - [`rollout`]: the progress of the current template.
//! - [`waits`]: the reasons why a `DaemonSet` isn't in its desired state.
//! - [`placement`]: the same for one node, with the planner's verdict.
//! - [`words`]: describes pods in sentences; [`near`]: suggests similar names.

pub mod near;
pub mod placement;
pub mod rollout;
pub mod waits;
pub mod words;

use std::{collections::HashMap, sync::Arc, time::Duration};

use everynode_proto::{
    executor::v1 as wire,
    planner::v1::{DaemonSetStatus, PodFacts, PodPhase, Problem},
};

use prost_types::Timestamp;

use crate::{
    apiserver::objects::DaemonSet, cluster::Text, election::leadership::Leadership, status::RolloutProgress,
};

/// The state of a `DaemonSet` at one moment.
#[derive(Debug, Clone)]
pub struct Sketch {
    /// The object.
    pub object: Arc<DaemonSet>,
    /// The controller-revision-hash of its template, once it is known.
    pub revision: Option<String>,
    /// The counters of the last plan.
    pub counted: Option<DaemonSetStatus>,
    /// The rollout progress of the current template.
    pub progress: RolloutProgress,
    /// When those of the pods that wait for minReadySeconds become available, by uid. `None` when nobody has told.
    pub available_at: Option<HashMap<Text, Timestamp>>,
    /// Problems of the `DaemonSet`.
    pub problems: Vec<Problem>,
    /// Whether its history and its pods' ownership are in order.
    pub upkeep: Upkeep,
    /// Creations that the planner has requested.
    pub creations: Lane,
    /// Deletions that the planner has requested.
    pub deletions: Lane,
    /// The pods that were asked for.
    pub pods: Vec<PodFacts>,
}

/// The state of upkeep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upkeep {
    /// The planner isn't waiting for any upkeep.
    Done,
    /// Upkeep is in progress.
    InProgress,
    /// Upkeep fails, for this reason.
    Failing(String),
}

/// The requested actions of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lane {
    /// Number of actions waiting for their turn.
    pub queued: usize,
    /// Number of actions in progress.
    pub in_progress: usize,
    /// Number of refused actions waiting for a retry.
    pub refused: usize,
    /// The last refusal, until an action succeeds.
    pub refusal: Option<Refusal>,
}

/// Why an action was refused, and when it is retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, such as the API server's message.
    pub words: String,
    /// Time until the next retry; zero during the retry.
    pub again: Duration,
}

impl Lane {
    /// Number of requested actions.
    pub fn len(&self) -> usize {
        self.queued + self.in_progress + self.refused
    }

    /// Whether no action is requested.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Facts that apply to all `DaemonSet`s at that moment.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The current leader.
    pub leadership: Leadership,
    /// The planner of the open session.
    pub planner: Option<wire::PlannerInfo>,
    /// The executor's time, in seconds since 1970.
    pub now: i64,
}

/// Describes a `DaemonSet` completely.
pub fn daemon_set(sketch: &Sketch, circumstances: &Circumstances) -> wire::DaemonSet {
    let metadata = &sketch.object.metadata;
    let status = status(sketch);
    let waits = waits::of_daemon_set(sketch, circumstances);
    wire::DaemonSet {
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        generation: metadata.generation,
        status: Some(status),
        rollout: Some(rollout::of(sketch, &status, &waits)),
        waits,
        problems: sketch.problems.clone(),
    }
}

/// Returns the counters of the last plan, or else those last written to the status.
pub fn status(sketch: &Sketch) -> DaemonSetStatus {
    sketch
        .counted
        .unwrap_or_else(|| crate::status::counters(&sketch.object.status))
}

/// Returns a pod as the live view shows it.
pub fn pod(facts: &PodFacts) -> wire::Pod {
    wire::Pod {
        name: facts.name.clone(),
        phase: phase(facts).to_owned(),
        is_bound: facts.bound,
        is_ready: facts.ready_since.is_some(),
        is_deleting: facts.deleting,
        revision: facts.revision.clone(),
        created: facts.created,
    }
}

/// Returns status.phase, as Kubernetes spells it.
pub fn phase(facts: &PodFacts) -> &'static str {
    match facts.phase() {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Succeeded => "Succeeded",
        PodPhase::Failed => "Failed",
        PodPhase::Unknown | PodPhase::Unspecified => "Unknown",
    }
}

/// Whether the update strategy is `OnDelete`.
pub fn is_on_delete(object: &DaemonSet) -> bool {
    object.spec.update_strategy.r#type == "OnDelete"
}

#[cfg(test)]
mod tests;
