//! Differential scenarios for pod ownership: adoption, release, and deletion of the owner.

use anyhow::{Result, ensure};
use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::differential::{Lockstep, side::Side, state::State};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::agent;
use super::steps::begin;

pub(super) async fn a1_adoption(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let orphan = async |side: &Side| {
        side.kubectl(&["delete", "ds/agent", "--cascade=orphan"]).await?;
        side.wait_gone("agent").await
    };
    let left = |state: &State| {
        ensure!(state.daemon_set("agent").is_err(), "the DaemonSet exists");
        state.check_pod_count("agent", 2)
    };
    lockstep.step("delete and orphan the pods", orphan, left).await?;
    let again = async |side: &Side| side.create(agent()).await;
    let adopted = |state: &State| {
        let owned = |pod: &&&serde_json::Value| pod.pointer("/metadata/ownerReferences/0").is_some();
        ensure!(
            state.pods("agent").iter().filter(owned).count() == 2,
            "not both are adopted"
        );
        ensure!(state.revisions("agent") == [1], "the revision isn't adopted");
        state.check_rolled_out("agent", 2)
    };
    lockstep.step("create again and adopt them", again, adopted).await
}

pub(super) async fn a2_release(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let relabel = async |side: &Side| {
        let pod = side.pod_on("agent", 1).await?;
        side.patch_pod(&pod, &json!({"metadata": {"labels": {"app": "debug"}}}))
            .await
    };
    let released = |state: &State| {
        let debug = state.pods("debug");
        let free = debug
            .iter()
            .all(|pod| pod.pointer("/metadata/ownerReferences").is_none());
        ensure!(debug.len() == 1 && free, "the pod isn't released");
        state.check_rolled_out("agent", 2)
    };
    lockstep
        .step("a pod no longer matches the selector", relabel, released)
        .await
}

pub(super) async fn a3_foreign_pod(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let both = async |side: &Side| {
        let owner = json!({"metadata": {"name": "owner"}});
        let maps: Api<ConfigMap> = side.api();
        let owner = maps
            .create(&PostParams::default(), &serde_json::from_value(owner)?)
            .await?;
        let reference = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid(), "controller": true,
        });
        let pod = json!({
            "metadata": {"name": "foreign", "labels": {"app": "agent"}, "ownerReferences": [reference]},
            "spec": {"nodeName": side.node(1), "containers": [{"name": "main", "image": "example/daemon:1"}]},
        });
        let pods: Api<Pod> = side.api();
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
            .await?;
        side.create(agent()).await
    };
    let three = |state: &State| {
        state.check_counts("agent", &[("desiredNumberScheduled", 2), ("numberAvailable", 2)])?;
        state.check_pod_count("agent", 3)
    };
    lockstep
        .step("a pod of another owner has the labels", both, three)
        .await
}

pub(super) async fn a4_foreground_deletion(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let delete = async |side: &Side| {
        side.delete("agent", &DeleteParams::foreground()).await?;
        side.wait_gone("agent").await
    };
    lockstep
        .step("delete in the foreground", delete, |state| {
            state.check_pod_count("agent", 0)
        })
        .await
}

pub(super) async fn a4_finalizer(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| {
        side.create(agent().with(&json!({"metadata": {"finalizers": ["example.com/wait"]}})))
            .await
    };
    lockstep
        .step("create with a finalizer", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let delete = async |side: &Side| {
        side.delete("agent", &DeleteParams::background()).await?;
        side.delete_pod(&side.pod_on("agent", 1).await?).await
    };
    lockstep
        .step("create no pods while being deleted", delete, |state| {
            state.check_pod_count("agent", 1)
        })
        .await?;
    let free = async |side: &Side| {
        side.patch("agent", &json!({"metadata": {"finalizers": null}}))
            .await?;
        side.wait_gone("agent").await
    };
    lockstep
        .step("remove the finalizer", free, |state| {
            state.check_pod_count("agent", 0)
        })
        .await
}

pub(super) async fn a4_two_daemon_sets(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let other = async |side: &Side| side.create(DaemonSetBuilder::new("other")).await;
    let both = |state: &State| {
        state.check_rolled_out("agent", 2)?;
        state.check_rolled_out("other", 2)
    };
    lockstep.step("create a second DaemonSet", other, both).await?;
    let delete = async |side: &Side| side.delete("agent", &DeleteParams::background()).await;
    let one = |state: &State| {
        state.check_pod_count("agent", 0)?;
        state.check_rolled_out("other", 2)
    };
    lockstep.step("delete the first", delete, one).await
}
