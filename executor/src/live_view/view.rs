//! Describes a `DaemonSet` for readers: the progress of its rollout, and what it waits for.
//!
//! The functions are pure and take plain data: a [`Snapshot`] and its [`Context`]. They describe counters, pods and
//! actions in progress. Conclusions, such as verdicts and progress, come from the planner.
//!
//! - [`rollout`]: the progress of the current template.
//! - [`waits`]: the reasons why a `DaemonSet` isn't in its desired state.
//! - [`placement`]: the same for one node, with the planner's verdict.
//! - [`pod_reason`]: why a pod isn't ready.
//! - [`phrases`]: phrases about pods and actions; [`suggestions`]: similar names.

pub(crate) mod phrases;
pub(crate) mod placement;
pub(crate) mod pod_reason;
pub(crate) mod rollout;
pub(crate) mod suggestions;
pub(crate) mod waits;

use std::{collections::HashMap, sync::Arc, time::Duration};

use everynode_proto::{
    executor::v1 as wire,
    planner::v1::{DaemonSetStatus, KnownRollout, PodFacts, PodPhase, Problem},
};
use prost_types::Timestamp;

use self::pod_reason::PodReason;
use crate::{
    apiserver::objects::DaemonSet, cluster::SharedStr, election::leadership::Leadership,
    status::RolloutProgress,
};

/// The state of a `DaemonSet` at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) object: Arc<DaemonSet>,
    /// The controller-revision-hash of its template, once it is known.
    pub(crate) revision: Option<String>,
    /// The counters of the last plan.
    pub(crate) counters: Option<DaemonSetStatus>,
    /// The rollout progress of the current template.
    pub(crate) progress: RolloutProgress,
    /// When each pod that waits for minReadySeconds becomes available, by the pod's uid. `None` when the planner hasn't
    /// reported these times.
    pub(crate) available_at: Option<HashMap<SharedStr, Timestamp>>,
    pub(crate) problems: Vec<Problem>,
    /// The state of its revision history and of the ownership of its pods.
    pub(crate) upkeep: Upkeep,
    /// Creations that the planner has requested.
    pub(crate) creations: RequestedActions,
    /// Deletions that the planner has requested.
    pub(crate) deletions: RequestedActions,
    /// The rollout of a policy, without its pods. `None` if no policy applies and no rollout is remembered.
    pub(crate) known_rollout: Option<Box<KnownRollout>>,
    /// The pods that the query selected.
    pub(crate) pods: Vec<PodFacts>,
    /// Why pods aren't ready, by their uids, as far as that has been read.
    pub(crate) pod_reasons: HashMap<String, PodReason>,
}

/// The state of upkeep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Upkeep {
    /// The planner isn't waiting for any upkeep.
    Done,
    /// Upkeep is in progress.
    InProgress,
    /// Upkeep fails, for this reason.
    Failing(String),
}

/// The requested actions of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequestedActions {
    /// Number of actions that wait for a slot.
    pub(crate) queued: usize,
    /// Number of actions in progress.
    pub(crate) in_progress: usize,
    /// Number of refused actions waiting for a retry.
    pub(crate) refused: usize,
    /// The last refusal, until an action succeeds.
    pub(crate) refusal: Option<Refusal>,
}

/// Why an action was refused, and when it is retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The reason, such as the API server's message.
    pub(crate) message: String,
    /// Time until the next retry; zero during the retry.
    pub(crate) retry_after: Duration,
}

impl RequestedActions {
    /// Number of requested actions.
    pub(crate) fn len(&self) -> usize {
        self.queued + self.in_progress + self.refused
    }

    /// Whether no action is requested.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What applies to all `DaemonSet`s at the moment of their snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) leadership: Leadership,
    /// The planner of the open session.
    pub(crate) planner: Option<wire::PlannerInfo>,
    /// The executor's time, in seconds since 1970.
    pub(crate) now: i64,
}

/// Describes a `DaemonSet` with its rollout, its waits and its problems.
pub(crate) fn daemon_set(snapshot: &Snapshot, context: &Context) -> wire::DaemonSet {
    let metadata = &snapshot.object.metadata;
    let status = status(snapshot);
    let waits = waits::of_daemon_set(snapshot, context);
    wire::DaemonSet {
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        generation: metadata.generation,
        status: Some(status),
        rollout: Some(rollout::of(snapshot, &status, &waits)),
        waits,
        problems: snapshot.problems.clone(),
    }
}

/// Returns the counters of the last plan. If there is no plan, returns the counters in the object's status.
pub(crate) fn status(snapshot: &Snapshot) -> DaemonSetStatus {
    snapshot
        .counters
        .unwrap_or_else(|| crate::status::counters(&snapshot.object.status))
}

/// Returns a pod as the live view shows it.
pub(crate) fn pod(facts: &PodFacts, snapshot: &Snapshot) -> wire::Pod {
    let PodReason { reason, message } = snapshot.pod_reasons.get(&facts.uid).cloned().unwrap_or_default();
    wire::Pod {
        name: facts.name.clone(),
        phase: phase(facts).to_owned(),
        is_bound: facts.bound,
        is_ready: facts.ready_since.is_some(),
        is_deleting: facts.deleting,
        revision: facts.revision.clone(),
        created: facts.created,
        reason,
        message,
    }
}

/// Returns status.phase, as Kubernetes spells it.
pub(crate) fn phase(facts: &PodFacts) -> &'static str {
    match facts.phase() {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Succeeded => "Succeeded",
        PodPhase::Failed => "Failed",
        PodPhase::Unknown | PodPhase::Unspecified => "Unknown",
    }
}

/// Whether the update strategy is `OnDelete`.
pub(crate) fn is_on_delete(object: &DaemonSet) -> bool {
    object.spec.update_strategy.r#type == "OnDelete"
}

#[cfg(test)]
mod tests;
