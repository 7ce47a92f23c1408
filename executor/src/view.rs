//! What is said of a `DaemonSet` to those who ask: how far its rollout is and what it waits for, in words.
//!
//! Pure functions over plain data. They describe counters, pods and calls in progress; what follows from those is the
//! planner's to say. [`Sketch`] is what they look at.
//!
//! - [`rollout`]: how far the current template has come.
//! - [`waits`]: what keeps a `DaemonSet` from being as it should be.
//! - [`placement`]: the same for one node, beside the planner's verdict.
//! - [`words`]: pods in sentences; [`near`]: names that may have been meant.

pub mod near;
pub mod placement;
pub mod rollout;
pub mod waits;
pub mod words;

use std::{sync::Arc, time::Duration};

use everynode_proto::{
    executor::v1 as wire,
    planner::v1::{DaemonSetStatus, PodFacts, PodPhase, Problem},
};

use crate::{leadership::Leadership, objects::DaemonSet};

/// What is known of a `DaemonSet` at one moment.
#[derive(Debug, Clone)]
pub struct Sketch {
    /// The object.
    pub object: Arc<DaemonSet>,
    /// The controller-revision-hash of its template, once that is worked out.
    pub revision: Option<String>,
    /// What the last plan counted.
    pub counted: Option<DaemonSetStatus>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Whether its history and its pods' ownership are in order.
    pub upkeep: Upkeep,
    /// The creations that are asked for.
    pub creations: Lane,
    /// The deletions that are asked for.
    pub deletions: Lane,
    /// Its pods, as far as they were asked for.
    pub pods: Vec<PodFacts>,
}

/// How upkeep stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upkeep {
    /// There is none to do that the planner waits for.
    Done,
    /// It is being done.
    InProgress,
    /// It fails, for this reason.
    Failing(String),
}

/// Actions of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lane {
    /// Those that wait for their turn.
    pub queued: usize,
    /// Those that are being carried out.
    pub in_progress: usize,
    /// Those that were refused and wait for the next try.
    pub refused: usize,
    /// Why the last one was refused, while none has succeeded since.
    pub refusal: Option<Refusal>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The server's words.
    pub words: String,
    /// The time to the next try; zero when it is being tried.
    pub again: Duration,
}

impl Lane {
    /// All that are asked for.
    pub fn len(&self) -> usize {
        self.queued + self.in_progress + self.refused
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What holds of all `DaemonSet`s at that moment.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// Who leads.
    pub leadership: Leadership,
    /// The planner that a session is open with.
    pub planner: Option<wire::PlannerInfo>,
    /// The executor's time, in seconds since 1970.
    pub now: i64,
}

/// Says all of a `DaemonSet`.
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

/// The counters by the last plan, or else as they were last written.
pub fn status(sketch: &Sketch) -> DaemonSetStatus {
    sketch
        .counted
        .unwrap_or_else(|| crate::status::counters(&sketch.object.status))
}

/// A pod, as it is shown.
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

/// status.phase, as Kubernetes spells it.
pub fn phase(facts: &PodFacts) -> &'static str {
    match facts.phase() {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Succeeded => "Succeeded",
        PodPhase::Failed => "Failed",
        PodPhase::Unknown | PodPhase::Unspecified => "Unknown",
    }
}

/// Whether the strategy is `OnDelete`.
pub fn is_on_delete(object: &DaemonSet) -> bool {
    object.spec.update_strategy.r#type == "OnDelete"
}

#[cfg(test)]
mod tests;
