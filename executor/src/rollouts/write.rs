//! Writes the statuses of `DaemonSetRollout`s and of policies.

use everynode_proto::planner::v1::RolloutPolicyFacts;
use kube::core::request;
use serde_json::{Value, json};

use super::kinds::{DaemonSetRolloutStatus, GROUP, PolicyStatus};
use crate::{
    apiserver::{
        api::Api,
        failure::ApiError,
        objects::{DaemonSet, Rollout},
    },
    pods::pod::owner_reference,
};

/// The version of the kinds.
const VERSION: &str = "v1alpha1";

fn body(kind: &str, metadata: &Value, status: &impl serde::Serialize) -> Result<Vec<u8>, ApiError> {
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": metadata, "status": status,
    });
    Ok(serde_json::to_vec(&body).map_err(request::Error::SerializeBody)?)
}

/// Writes the status of a `DaemonSet`'s rollout, and creates the rollout if there is none. `before` is its uid and the
/// resourceVersion that the status is based on. After a conflict, returns the current object, which is not written: the
/// planner has to plan anew.
///
/// # Errors
/// The server refused a call or gave no clear answer.
pub(crate) async fn rollout(
    api: &Api,
    daemon_set: &DaemonSet,
    before: Option<(String, String)>,
    status: DaemonSetRolloutStatus,
) -> Result<Rollout, ApiError> {
    let metadata = &daemon_set.metadata;
    let (namespace, name) = (&metadata.namespace, &metadata.name);
    let (uid, version) = if let Some(before) = before {
        before
    } else {
        let metadata = json!({
            "name": name, "namespace": namespace, "ownerReferences": [owner_reference(daemon_set)],
        });
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "DaemonSetRollout",
            "metadata": metadata, "spec": {},
        });
        let body = serde_json::to_vec(&body).map_err(request::Error::SerializeBody)?;
        match api.create_rollout(namespace, body).await {
            Err(error) if error.is_already_exists() => return api.get_rollout(namespace, name).await,
            created => {
                let metadata = created?.metadata;
                (metadata.uid, metadata.resource_version)
            }
        }
    };
    let metadata = json!({
        "name": name, "namespace": namespace, "uid": uid, "resourceVersion": version,
    });
    let body = body("DaemonSetRollout", &metadata, &status)?;
    match api.put_rollout_status(namespace, name, body).await {
        Err(error) if error.is_conflict() => api.get_rollout(namespace, name).await,
        written => written,
    }
}

/// Writes the status of a policy at this resourceVersion.
///
/// # Errors
/// The server refused the call or gave no clear answer.
pub(crate) async fn policy_status(
    api: &Api,
    policy: &RolloutPolicyFacts,
    version: &str,
    status: &PolicyStatus,
) -> Result<(), ApiError> {
    let RolloutPolicyFacts {
        namespace, name, uid, ..
    } = policy;
    let mut metadata = json!({"name": name, "uid": uid, "resourceVersion": version});
    if namespace.is_empty() {
        let body = body("ClusterDaemonSetRolloutPolicy", &metadata, status)?;
        return api.put_cluster_policy_status(name, body).await;
    }
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert("namespace".to_owned(), namespace.as_str().into());
    }
    let body = body("DaemonSetRolloutPolicy", &metadata, status)?;
    api.put_policy_status(namespace, name, body).await
}

#[cfg(test)]
mod tests;
