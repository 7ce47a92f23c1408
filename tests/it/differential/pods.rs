//! Differential scenarios for the content of pods, and for pods that are deleted, finish or fail.

use anyhow::{Result, ensure};
use everynode_tests::differential::{Lockstep, side::Side, state::State};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::agent;
use super::steps::begin;
use crate::templates::rich_daemon_set;

pub(super) async fn n1_pod_deleted(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let delete = async |side: &Side| side.delete_pod(&side.pod_on("agent", 2).await?).await;
    lockstep
        .step("delete a pod", delete, |state| state.check_rolled_out("agent", 2))
        .await
}

pub(super) async fn n1_pod_terminating(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let delete = async |side: &Side| {
        let pod = side.pod_on("agent", 2).await?;
        side.set_kwok_annotation(&pod, "terminate", Some("never")).await?;
        side.delete_pod(&pod).await
    };
    let leaving = |state: &State| {
        ensure!(
            state.check_pod_count("agent", 2).is_err() && state.pods("agent").len() == 2,
            "the pod is gone"
        );
        state.status("agent").map(drop)
    };
    lockstep
        .step("delete a pod that keeps terminating", delete, leaving)
        .await?;
    let go = async |side: &Side| {
        side.set_kwok_annotation(&side.pod_on("agent", 2).await?, "terminate", None)
            .await
    };
    lockstep
        .step("let it end", go, |state| state.check_rolled_out("agent", 2))
        .await
}

pub(super) async fn n3_pod_failed(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let fail = async |side: &Side| {
        side.set_kwok_annotation(&side.pod_on("agent", 1).await?, "phase", Some("Failed"))
            .await
    };
    let replaced = |state: &State| {
        state.check_event("agent", "FailedDaemonPod")?;
        state.check_rolled_out("agent", 2)
    };
    lockstep.step("a pod fails", fail, replaced).await
}

pub(super) async fn n3_pod_succeeded(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let end = async |side: &Side| {
        side.set_kwok_annotation(&side.pod_on("agent", 1).await?, "phase", Some("Succeeded"))
            .await
    };
    let replaced = |state: &State| {
        state.check_event("agent", "SucceededDaemonPod")?;
        state.check_rolled_out("agent", 2)
    };
    lockstep.step("a pod succeeds", end, replaced).await
}

pub(super) async fn n3_pod_always_fails(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| {
        side.create(agent().pod_annotation("everynode.test/phase", "Failed"))
            .await
    };
    lockstep
        .step_uncompared("create pods that fail", create, |state| {
            state.check_event("agent", "FailedDaemonPod")
        })
        .await?;
    let stop_failures = async |side: &Side| {
        let annotations = json!({"everynode.test/phase": null});
        side.patch_template("agent", &json!({"metadata": {"annotations": annotations}}))
            .await
    };
    lockstep
        .step("stop the failures", stop_failures, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

pub(super) async fn n4_extra_pod(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let add = async |side: &Side| {
        // Names decide between pods that were created in the same second.
        let pod = json!({
            "metadata": {"name": "zz-by-hand", "labels": {"app": "agent"}},
            "spec": {"nodeName": side.node(1), "containers": [{"name": "main", "image": "example/daemon:1"}]},
        });
        let pods: Api<Pod> = side.api();
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
            .await?;
        Ok(())
    };
    let alone = |state: &State| {
        state.check_event("agent", "SuccessfulDelete")?;
        state.check_rolled_out("agent", 2)
    };
    lockstep
        .step("adopt a pod made by hand and delete the extra one", add, alone)
        .await
}

pub(super) async fn c2_finalizers(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| {
        let metadata = json!({
            "annotations": {"example.com/note": "kept"},
            "labels": {"tier": "node"},
            "finalizers": ["example.com/wait"],
        });
        side.create(agent().with(&json!({"spec": {"template": {"metadata": metadata}}})))
            .await
    };
    lockstep
        .step("create pods with finalizers", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let delete = async |side: &Side| side.delete_pod(&side.pod_on("agent", 1).await?).await;
    let held = |state: &State| {
        ensure!(
            state.check_pod_count("agent", 2).is_err() && state.pods("agent").len() == 2,
            "the pod is gone"
        );
        Ok(())
    };
    lockstep
        .step("delete a pod that its finalizer holds", delete, held)
        .await?;
    let free = async |side: &Side| {
        let pod = side.pod_on("agent", 1).await?;
        side.patch_pod(&pod, &json!({"metadata": {"finalizers": null}}))
            .await
    };
    lockstep
        .step("remove its finalizer", free, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

pub(super) async fn c4_rich_template(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| side.create(rich_daemon_set("agent")).await;
    lockstep
        .step("create with a rich template", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

pub(super) async fn c5_quota(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.ignore_node_order();
    lockstep.plain_nodes(3).await?;
    let create = async |side: &Side| {
        let quota = json!({"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "1"}}});
        let quotas: Api<ResourceQuota> = side.api();
        quotas
            .create(&PostParams::default(), &serde_json::from_value(quota)?)
            .await?;
        let counted = everynode_tests::wait::eventually(
            crate::world::DEADLINE,
            "the quota to be in force",
            async || {
                let status = quotas.get("pods").await?.status.unwrap_or_default();
                ensure!(status.hard.is_some(), "the quota has no status yet");
                Ok(())
            },
        );
        counted.await?;
        side.create(agent()).await
    };
    let one = |state: &State| {
        state.check_event("agent", "FailedCreate")?;
        let counts = [
            ("desiredNumberScheduled", 3),
            ("currentNumberScheduled", 1),
            ("numberAvailable", 1),
        ];
        state.check_counts("agent", &counts)?;
        state.check_pod_count("agent", 1)
    };
    lockstep
        .step("create with a quota of one pod", create, one)
        .await?;
    let raise = async |side: &Side| {
        let quotas: Api<ResourceQuota> = side.api();
        let patch = Patch::Merge(json!({"spec": {"hard": {"pods": "5"}}}));
        quotas.patch("pods", &PatchParams::default(), &patch).await?;
        Ok(())
    };
    lockstep
        .step("raise the quota", raise, |state| {
            state.check_rolled_out("agent", 3)
        })
        .await
}

pub(super) async fn c5_host_port(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| side.create(agent().host_port(9100)).await;
    lockstep
        .step("create with a host port", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let other = async |side: &Side| {
        let other = everynode_tests::daemonsets::DaemonSetBuilder::new("other");
        side.create(other.host_port(9100)).await
    };
    let waiting = |state: &State| {
        let counts = [
            ("desiredNumberScheduled", 2),
            ("currentNumberScheduled", 2),
            ("numberReady", 0),
        ];
        state.check_counts("other", &counts)?;
        state.check_pod_count("other", 2)
    };
    lockstep
        .step("create another with the same host port", other, waiting)
        .await
}

pub(super) async fn s3_min_ready(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| side.create(agent().min_ready_seconds(3)).await;
    lockstep
        .step("create with minReadySeconds", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let unready = async |side: &Side| {
        side.set_kwok_annotation(&side.pod_on("agent", 1).await?, "ready", Some("false"))
            .await
    };
    let one = |state: &State| {
        state.check_counts(
            "agent",
            &[
                ("numberReady", 1),
                ("numberAvailable", 1),
                ("numberUnavailable", 1),
            ],
        )
    };
    lockstep.step("one pod becomes unready", unready, one).await?;
    let patch: Value = json!({"spec": {"minReadySeconds": 600}});
    let longer = async |side: &Side| side.patch("agent", &patch).await;
    let none = |state: &State| state.check_counts("agent", &[("numberReady", 1), ("numberAvailable", 0)]);
    lockstep.step("raise minReadySeconds", longer, none).await
}
