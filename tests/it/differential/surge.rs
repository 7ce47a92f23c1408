//! Differential scenarios for updates with surge: a new pod is created beside the one that it replaces.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use everynode_tests::daemonsets::image;
use everynode_tests::differential::{Lockstep, side::Side, state::State};
use everynode_tests::nodes::{self, taint};
use everynode_tests::wait::eventually_every;
use serde_json::json;

use super::agent;
use super::steps::{BROKEN, NEW, begin, roll_out_broken_image, set_image};
use crate::world::DEADLINE;

/// Checks that `nodes` nodes have an available pod and that `broken` of them also have a new pod that never starts.
fn check_stuck(state: &State, nodes: usize, broken: usize) -> Result<()> {
    let found = state.count_with_image("agent", BROKEN);
    ensure!(found == broken, "{found} pods are broken, not {broken}");
    let all = i64::try_from(nodes)?;
    state.check_counts(
        "agent",
        &[
            ("desiredNumberScheduled", all),
            ("numberAvailable", all),
            ("updatedNumberScheduled", 0),
        ],
    )?;
    state.check_pod_count("agent", nodes + broken)
}

pub(super) async fn r5_one(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent().rolling_update(0, 1)).await?;
    set_image(lockstep, NEW, 3).await
}

pub(super) async fn r5_percent(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 4, &agent().rolling_update(0, "30%")).await?;
    roll_out_broken_image(lockstep, |state| check_stuck(state, 4, 2)).await?;
    set_image(lockstep, NEW, 4).await
}

pub(super) async fn r5_min_ready(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent().rolling_update(0, 1).min_ready_seconds(2)).await?;
    let change = async |side: &Side| {
        side.set_image("agent", NEW).await?;
        let end = "the rollout's end";
        eventually_every(Duration::from_secs(1), DEADLINE, end, async || {
            let pods = side.pods("agent").await?;
            let new = pods.iter().filter(|pod| image(pod) == Some(NEW)).count();
            if pods.len() == 2 && new == 2 {
                return Ok(());
            }
            // kube-controller-manager keeps only the earliest time at which to reconcile a DaemonSet again, so it may
            // not reconcile when a pod becomes available (S3). A revision stores the annotations that the DaemonSet has
            // when the revision is created, so the test triggers a reconcile only after the revision exists.
            if new > 0 {
                side.trigger_reconcile("agent").await?;
            }
            bail!("{new} of {} pods are new", pods.len())
        })
        .await
    };
    lockstep
        .step(NEW, change, |state| state.check_rolled_out("agent", 2))
        .await
}

pub(super) async fn r5_undo(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent().rolling_update(0, 2)).await?;
    roll_out_broken_image(lockstep, |state| check_stuck(state, 3, 2)).await?;
    let undo = async |side: &Side| side.kubectl(&["rollout", "undo", "ds/agent"]).await.map(drop);
    let done = |state: &State| {
        ensure!(
            state.count_with_image("agent", BROKEN) == 0,
            "broken pods are left"
        );
        state.check_rolled_out("agent", 3)
    };
    lockstep.step("undo", undo, done).await
}

pub(super) async fn r5_surge_enabled(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    lockstep.ignore_node_order();
    let broken = async |side: &Side| side.set_image("agent", BROKEN).await;
    let one = |state: &State| {
        let broken = state.count_with_image("agent", BROKEN);
        ensure!(broken == 1, "{broken} pods are broken, not one");
        state.check_counts("agent", &[("updatedNumberScheduled", 1), ("numberAvailable", 2)])?;
        state.check_pod_count("agent", 3)
    };
    lockstep
        .step("roll out a broken image without surge", broken, one)
        .await?;
    let surge = async |side: &Side| {
        let bounds = json!({"maxUnavailable": 0, "maxSurge": 1});
        side.patch(
            "agent",
            &json!({"spec": {"updateStrategy": {"rollingUpdate": bounds}}}),
        )
        .await
    };
    let beside = |state: &State| {
        let broken = state.count_with_image("agent", BROKEN);
        ensure!(broken == 2, "{broken} pods are broken, not two");
        state.check_counts("agent", &[("numberAvailable", 2)])?;
        state.check_pod_count("agent", 4)
    };
    lockstep.step("enable surge", surge, beside).await?;
    set_image(lockstep, NEW, 3).await
}

pub(super) async fn r5_surge_disabled(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent().rolling_update(0, 2)).await?;
    roll_out_broken_image(lockstep, |state| check_stuck(state, 3, 2)).await?;
    let replace = async |side: &Side| {
        let bounds = json!({"maxUnavailable": 1, "maxSurge": 0});
        let patch = json!({"spec": {"updateStrategy": {"rollingUpdate": bounds}}});
        side.patch("agent", &patch).await
    };
    // kube-controller-manager sometimes replaces one pod more than maxUnavailable allows (R4).
    let few = |state: &State| {
        let broken = state.count_with_image("agent", BROKEN);
        ensure!(
            (1..=2).contains(&broken),
            "{broken} pods are broken, not one or two"
        );
        state.status("agent")?;
        state.check_pod_count("agent", 3)
    };
    lockstep.step_uncompared("disable surge", replace, few).await?;
    set_image(lockstep, NEW, 3).await
}

pub(super) async fn r5_unready_old_pods(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent().rolling_update(0, 1)).await?;
    let unready = async |side: &Side| {
        side.set_kwok_annotation(&side.pod_on("agent", 1).await?, "ready", Some("false"))
            .await?;
        side.set_kwok_annotation(&side.pod_on("agent", 2).await?, "ready", Some("false"))
            .await
    };
    lockstep
        .step("two pods become unready", unready, |state| {
            state.check_counts("agent", &[("numberAvailable", 1)])
        })
        .await?;
    set_image(lockstep, NEW, 3).await
}

pub(super) async fn r5_node_excluded(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent().rolling_update(0, 1)).await?;
    let taint_one = async |side: &Side| {
        nodes::set_taints(side.client(), &side.node(1), &[taint("t", "", "NoSchedule")]).await?;
        side.trigger_reconcile("agent").await
    };
    let misscheduled = |state: &State| {
        state.check_counts(
            "agent",
            &[("desiredNumberScheduled", 2), ("numberMisscheduled", 1)],
        )
    };
    lockstep.step("taint a node", taint_one, misscheduled).await?;
    let change = async |side: &Side| side.set_image("agent", NEW).await;
    lockstep
        .step("roll out and delete its old pod", change, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}
