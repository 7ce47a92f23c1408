//! Helpers for rollout policies: installing their kinds, creating policies, and reading and steering rollouts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use everynode_executor::rollouts::kinds::{
    ClusterDaemonSetRolloutPolicy, DaemonSetRollout, DaemonSetRolloutPolicy, DaemonSetRolloutStatus,
};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::daemonsets::target_node;
use crate::kubectl::Kubectl;
use crate::wait::eventually;

/// The folder of the `CustomResourceDefinition`s, in the workspace.
pub const KINDS_FOLDER: &str = "deploy/base/crds";
/// How long installing or removing the kinds may take.
const KINDS_DEADLINE: Duration = Duration::from_secs(30);

/// Installs the kinds of rollout policies, unless they are there, and waits until the API server serves them.
///
/// # Errors
/// When the API server refuses a definition, or doesn't serve a kind within 30 s.
pub async fn install_kinds(kubectl: &Kubectl, client: &Client) -> Result<()> {
    kubectl
        .run(["apply", "-k", KINDS_FOLDER])
        .await
        .context("installing the kinds of rollout policies")?;
    let one = ListParams::default().limit(1);
    eventually(
        KINDS_DEADLINE,
        "the API server to serve rollout policies",
        async || {
            let group = DaemonSetRollout::api_version(&());
            let listed = client.list_api_group_resources(&group).await?.resources;
            for plural in [
                DaemonSetRolloutPolicy::plural(&()),
                ClusterDaemonSetRolloutPolicy::plural(&()),
                DaemonSetRollout::plural(&()),
            ] {
                let is_listed = listed.iter().any(|resource| resource.name == plural);
                ensure!(is_listed, "discovery doesn't list {plural}");
            }
            Api::<DaemonSetRolloutPolicy>::all(client.clone())
                .list(&one)
                .await?;
            Api::<ClusterDaemonSetRolloutPolicy>::all(client.clone())
                .list(&one)
                .await?;
            Api::<DaemonSetRollout>::all(client.clone()).list(&one).await?;
            Ok(())
        },
    )
    .await
}

/// Removes the kinds of rollout policies with all their objects, if they are installed, and waits until the API server
/// doesn't serve them any more.
///
/// # Errors
/// When they are still there after 30 s.
pub async fn remove_kinds(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    eventually(
        KINDS_DEADLINE,
        "the kinds of rollout policies to be gone",
        async || {
            let listed = definitions.list(&ListParams::default()).await?;
            let group = DaemonSetRollout::group(&());
            let remaining: Vec<_> = listed
                .iter()
                .filter(|definition| definition.spec.group == group)
                .map(ResourceExt::name_any)
                .collect();
            for name in &remaining {
                // It may be gone already.
                let _ = definitions.delete(name, &DeleteParams::default()).await;
            }
            ensure!(remaining.is_empty(), "{remaining:?} are installed");
            let group = DaemonSetRollout::api_version(&());
            match client.list_api_group_resources(&group).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(error.into()),
                Ok(listed) => {
                    ensure!(listed.resources.is_empty(), "discovery still lists them");
                    Ok(())
                }
            }
        },
    )
    .await
}

/// Creates a `DaemonSetRolloutPolicy` with this spec.
///
/// # Errors
/// When the spec can't be decoded, or the API server rejects the request.
pub async fn create_policy(
    client: &Client,
    namespace: &str,
    name: &str,
    spec: &Value,
) -> Result<DaemonSetRolloutPolicy> {
    let policy = json!({"metadata": {"name": name}, "spec": spec});
    let policy: DaemonSetRolloutPolicy = serde_json::from_value(policy).context("decoding a policy")?;
    let api: Api<DaemonSetRolloutPolicy> = Api::namespaced(client.clone(), namespace);
    let created = api.create(&PostParams::default(), &policy).await;
    created.with_context(|| format!("creating the policy {namespace}/{name}"))
}

/// Creates a `ClusterDaemonSetRolloutPolicy` with this spec.
///
/// # Errors
/// When the spec can't be decoded, or the API server rejects the request.
pub async fn create_cluster_policy(
    client: &Client,
    name: &str,
    spec: &Value,
) -> Result<ClusterDaemonSetRolloutPolicy> {
    let policy = json!({"metadata": {"name": name}, "spec": spec});
    let policy: ClusterDaemonSetRolloutPolicy =
        serde_json::from_value(policy).context("decoding a policy")?;
    let api: Api<ClusterDaemonSetRolloutPolicy> = Api::all(client.clone());
    let created = api.create(&PostParams::default(), &policy).await;
    created.with_context(|| format!("creating the policy {name}"))
}

/// Changes the spec of a `DaemonSetRolloutPolicy` by a JSON merge patch.
///
/// # Errors
/// When the API server rejects the request.
pub async fn patch_policy(client: &Client, namespace: &str, name: &str, spec: &Value) -> Result<()> {
    let api: Api<DaemonSetRolloutPolicy> = Api::namespaced(client.clone(), namespace);
    let patch = json!({"spec": spec});
    let patched = api
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    patched
        .map(drop)
        .with_context(|| format!("patching the policy {namespace}/{name} with {patch}"))
}

/// Deletes a `DaemonSetRolloutPolicy`.
///
/// # Errors
/// When the API server rejects the request.
pub async fn delete_policy(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let api: Api<DaemonSetRolloutPolicy> = Api::namespaced(client.clone(), namespace);
    let deleted = api.delete(name, &DeleteParams::default()).await;
    deleted
        .map(drop)
        .with_context(|| format!("deleting the policy {namespace}/{name}"))
}

/// Asks something of a `DaemonSet`'s rollout: merges `verbs` into the spec of its `DaemonSetRollout`.
///
/// # Errors
/// When there is no `DaemonSetRollout`, or the API server rejects the request.
pub async fn ask(client: &Client, namespace: &str, name: &str, verbs: &Value) -> Result<()> {
    let api: Api<DaemonSetRollout> = Api::namespaced(client.clone(), namespace);
    let patch = json!({"spec": verbs});
    let patched = api
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    patched
        .map(drop)
        .with_context(|| format!("patching the rollout of {namespace}/{name} with {patch}"))
}

/// Waits until the status of a rollout covers the `DaemonSet`'s current generation and `wanted` accepts it.
///
/// # Errors
/// When that isn't so by the deadline. The error holds the last status that was seen.
pub async fn wait_status(
    client: &Client,
    namespace: &str,
    name: &str,
    deadline: Duration,
    what: &str,
    wanted: impl Fn(&DaemonSetRolloutStatus) -> bool,
) -> Result<DaemonSetRolloutStatus> {
    let daemon_sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
    let rollouts: Api<DaemonSetRollout> = Api::namespaced(client.clone(), namespace);
    let what = format!("the rollout of {name} to be as expected ({what})");
    eventually(deadline, what, async || {
        let generation = daemon_sets.get(name).await?.metadata.generation;
        let status = rollouts.get(name).await?.status.unwrap_or_default();
        ensure!(
            Some(status.daemon_set_generation) >= generation,
            "the status is about generation {}, the current one is {generation:?}",
            status.daemon_set_generation
        );
        ensure!(
            wanted(&status),
            "{}",
            serde_json::to_string(&status).unwrap_or_default()
        );
        Ok(status)
    })
    .await
}

/// The revision that a pod carries.
pub fn revision(pod: &Pod) -> &str {
    let revision = pod.labels().get("controller-revision-hash");
    revision.map_or("", String::as_str)
}

/// The revisions of the pods on each node that aren't being deleted.
pub fn revisions_by_node(pods: &[Pod]) -> BTreeMap<String, Vec<String>> {
    let mut nodes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        let node = target_node(pod).unwrap_or_default().to_owned();
        nodes.entry(node).or_default().push(revision(pod).to_owned());
    }
    nodes
}
