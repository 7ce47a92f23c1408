//! Writes a `DaemonSet`'s status: the planner's counters (contract S2) and the conditions.

pub mod conditions;

use std::sync::Arc;

use everynode_proto::{
    facts::object,
    planner::v1::{DaemonSetCondition, DaemonSetStatus, Plan, Progress},
};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::apiserver::{api::Api, failure::ApiError, objects::DaemonSet};

/// Maximum number of attempts to write a status that somebody else keeps changing.
const MAX_ATTEMPTS: usize = 5;

/// The status that a `DaemonSet` should have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DesiredStatus {
    pub(crate) counters: DaemonSetStatus,
    /// The conditions that the executor owns.
    pub(crate) conditions: Vec<DaemonSetCondition>,
}

impl DesiredStatus {
    /// Whether the written status differs from the desired one.
    pub(crate) fn differs_from(&self, written: &object::DaemonSetStatus) -> bool {
        counters_differ(&self.counters, written) || conditions::differ(&self.conditions, written)
    }
}

/// Returns the counters of a written status.
pub(crate) fn counters(written: &object::DaemonSetStatus) -> DaemonSetStatus {
    DaemonSetStatus {
        observed_generation: written.observed_generation,
        desired_number_scheduled: written.desired_number_scheduled,
        current_number_scheduled: written.current_number_scheduled,
        number_misscheduled: written.number_misscheduled,
        number_ready: written.number_ready,
        updated_number_scheduled: written.updated_number_scheduled,
        number_available: written.number_available,
        number_unavailable: written.number_unavailable,
    }
}

/// Whether the written counters differ from the wanted ones. A higher written observedGeneration is no difference,
/// because a write never lowers it.
pub fn counters_differ(wanted: &DaemonSetStatus, written: &object::DaemonSetStatus) -> bool {
    let counters = [
        (wanted.desired_number_scheduled, written.desired_number_scheduled),
        (wanted.current_number_scheduled, written.current_number_scheduled),
        (wanted.number_misscheduled, written.number_misscheduled),
        (wanted.number_ready, written.number_ready),
        (wanted.updated_number_scheduled, written.updated_number_scheduled),
        (wanted.number_available, written.number_available),
        (wanted.number_unavailable, written.number_unavailable),
    ];
    wanted.observed_generation > written.observed_generation
        || counters.iter().any(|(wanted, written)| wanted != written)
}

/// The rollout progress of a `DaemonSet`'s current template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutProgress {
    /// How far the rollout is.
    pub progress: Progress,
    /// The progress as a sentence.
    pub message: String,
}

impl RolloutProgress {
    /// Takes the progress out of a plan. Returns `None` if the plan has no progress that this executor knows.
    pub fn of(plan: &mut Plan) -> Option<Self> {
        let message = std::mem::take(&mut plan.progress_message);
        match plan.progress() {
            Progress::Unspecified => None,
            progress => Some(Self { progress, message }),
        }
    }

    /// Derives the progress from counters. Needed when no plan reports the progress: the planner's release is older, or
    /// there is no plan, as on a standby.
    pub fn from_counters(counters: &DaemonSetStatus, is_on_delete: bool) -> Self {
        let DaemonSetStatus {
            desired_number_scheduled: desired,
            current_number_scheduled: current,
            updated_number_scheduled: updated,
            number_available: available,
            ..
        } = *counters;
        let has_all = current == desired && available == desired;
        Self {
            progress: match (has_all, updated == desired) {
                (true, true) => Progress::Complete,
                (true, false) if is_on_delete => Progress::WaitingForDeletion,
                _ => Progress::InProgress,
            },
            message: format!("{updated} of {desired} pods updated, {available} available"),
        }
    }

    /// Whether every pod that should exist is updated and available, so that no further change is expected.
    pub fn is_complete(&self) -> bool {
        self.progress == Progress::Complete
    }
}

fn body(daemon_set: &DaemonSet, wanted: &DesiredStatus) -> Value {
    let metadata = &daemon_set.metadata;
    let counters = &wanted.counters;
    let mut body = json!({
        "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
        "status": {
            "observedGeneration": counters.observed_generation.max(daemon_set.status.observed_generation),
            "desiredNumberScheduled": counters.desired_number_scheduled,
            "currentNumberScheduled": counters.current_number_scheduled,
            "numberMisscheduled": counters.number_misscheduled,
            "numberReady": counters.number_ready,
            "updatedNumberScheduled": counters.updated_number_scheduled,
            "numberAvailable": counters.number_available,
            "numberUnavailable": counters.number_unavailable,
        },
    });
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let conditions = conditions::patch(&wanted.conditions, &daemon_set.status, &now);
    if let Some(status) = body
        .get_mut("status")
        .and_then(Value::as_object_mut)
        .filter(|_| !conditions.is_empty())
    {
        status.insert("conditions".to_owned(), conditions.into());
    }
    body
}

/// Writes a status, and returns the resulting `DaemonSet`. On a conflict, reads the `DaemonSet` again and retries. If
/// another `DaemonSet` has taken the name, writes nothing and returns that one.
///
/// # Errors
/// The server refused a call or gave no clear answer.
pub(crate) async fn write(
    api: Api,
    daemon_set: Arc<DaemonSet>,
    wanted: DesiredStatus,
) -> Result<DaemonSet, ApiError> {
    let metadata = &daemon_set.metadata;
    let (namespace, name) = (&metadata.namespace, &metadata.name);
    let mut answer = api
        .patch_daemon_set_status(namespace, name, &body(&daemon_set, &wanted))
        .await;
    for _ in 1..MAX_ATTEMPTS {
        match &answer {
            Err(error) if error.is_conflict() => {}
            Ok(_) | Err(_) => break,
        }
        let fresh = api.get_daemon_set(namespace, name).await?;
        if fresh.metadata.uid != metadata.uid || !wanted.differs_from(&fresh.status) {
            return Ok(fresh);
        }
        answer = api
            .patch_daemon_set_status(namespace, name, &body(&fresh, &wanted))
            .await;
    }
    answer
}

#[cfg(test)]
mod tests;
