//! Writes a `DaemonSet`'s status as the planner counts it (contract S2).

use std::sync::Arc;

use everynode_proto::{facts::object, planner::v1::DaemonSetStatus};
use serde_json::{Value, json};

use crate::{api::Api, failure::ApiError, objects::DaemonSet};

/// How often a write is tried against someone else's.
const MAX_CONFLICTS: usize = 5;

/// Whether what is written differs from what should be. observedGeneration only ever rises.
pub fn differs(wanted: &DaemonSetStatus, written: &object::DaemonSetStatus) -> bool {
    let counters = object::DaemonSetStatus {
        observed_generation: wanted.observed_generation.max(written.observed_generation),
        desired_number_scheduled: wanted.desired_number_scheduled,
        current_number_scheduled: wanted.current_number_scheduled,
        number_misscheduled: wanted.number_misscheduled,
        number_ready: wanted.number_ready,
        updated_number_scheduled: wanted.updated_number_scheduled,
        number_available: wanted.number_available,
        number_unavailable: wanted.number_unavailable,
        collision_count: written.collision_count,
    };
    counters != *written
}

/// Whether every pod that should be there is updated and available: nothing more is to be expected.
pub fn is_settled(wanted: &DaemonSetStatus) -> bool {
    let desired = wanted.desired_number_scheduled;
    wanted.updated_number_scheduled == desired && wanted.number_available == desired
}

fn body(daemon_set: &DaemonSet, wanted: &DaemonSetStatus) -> Value {
    let metadata = &daemon_set.metadata;
    json!({
        "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
        "status": {
            "observedGeneration": wanted.observed_generation.max(daemon_set.status.observed_generation),
            "desiredNumberScheduled": wanted.desired_number_scheduled,
            "currentNumberScheduled": wanted.current_number_scheduled,
            "numberMisscheduled": wanted.number_misscheduled,
            "numberReady": wanted.number_ready,
            "updatedNumberScheduled": wanted.updated_number_scheduled,
            "numberAvailable": wanted.number_available,
            "numberUnavailable": wanted.number_unavailable,
        },
    })
}

/// Writes a status, on a fresh read where someone else was faster. Returns the `DaemonSet` as it is then.
///
/// # Errors
/// The server refused, or gave no clear answer. Where the `DaemonSet` is gone and another has its name, nothing is
/// written and the other one is returned.
pub async fn write(
    api: Api,
    daemon_set: Arc<DaemonSet>,
    wanted: DaemonSetStatus,
) -> Result<DaemonSet, ApiError> {
    let metadata = &daemon_set.metadata;
    let (namespace, name) = (&metadata.namespace, &metadata.name);
    let mut answer = api
        .patch_daemon_set_status(namespace, name, &body(&daemon_set, &wanted))
        .await;
    for _ in 1..MAX_CONFLICTS {
        match &answer {
            Err(error) if error.is_conflict() => {}
            Ok(_) | Err(_) => break,
        }
        let fresh = api.get_daemon_set(namespace, name).await?;
        if fresh.metadata.uid != metadata.uid || !differs(&wanted, &fresh.status) {
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
