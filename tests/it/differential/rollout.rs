//! Differential scenarios for updates without surge: a pod is deleted before its successor is created.

use anyhow::{Result, ensure};
use everynode_tests::differential::{Lockstep, side::Side, state::State};
use everynode_tests::nodes::{self, NodeBuilder, taint};
use serde_json::{Value, json};

use super::agent;
use super::steps::{BROKEN, NEW, NEWER, begin, roll_out_broken_image, set_image};

/// Checks that `nodes` nodes have a pod and that `broken` of these pods never start.
fn check_stuck(state: &State, nodes: usize, broken: usize) -> Result<()> {
    let (all, out) = (i64::try_from(nodes)?, i64::try_from(broken)?);
    let found = state.count_with_image("agent", BROKEN);
    ensure!(found == broken, "{found} pods are broken, not {broken}");
    let counts = [
        ("desiredNumberScheduled", all),
        ("updatedNumberScheduled", out),
        ("numberAvailable", all - out),
        ("numberUnavailable", out),
    ];
    state.check_counts("agent", &counts)?;
    state.check_pod_count("agent", nodes)
}

fn strategy(kind: &str) -> Value {
    let rolling = if kind == "OnDelete" {
        Value::Null
    } else {
        json!({"maxUnavailable": 1, "maxSurge": 0})
    };
    json!({"spec": {"updateStrategy": {"type": kind, "rollingUpdate": rolling}}})
}

pub(super) async fn r1_restart(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    let restart = async |side: &Side| side.kubectl(&["rollout", "restart", "ds/agent"]).await.map(drop);
    let done = |state: &State| {
        ensure!(state.revisions("agent") == [1, 2], "there is no second revision");
        state.check_rolled_out("agent", 2)
    };
    lockstep.step("restart", restart, done).await
}

pub(super) async fn r2_on_delete(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent().on_delete()).await?;
    let change = async |side: &Side| side.set_image("agent", NEW).await;
    let updated = |count| {
        move |state: &State| {
            ensure!(state.revisions("agent") == [1, 2], "there is no second revision");
            state.check_counts(
                "agent",
                &[("updatedNumberScheduled", count), ("numberAvailable", 3)],
            )?;
            state.check_pod_count("agent", 3)
        }
    };
    lockstep
        .step("change the image and replace nothing", change, updated(0))
        .await?;
    let delete = async |side: &Side| side.delete_pod(&side.pod_on("agent", 2).await?).await;
    lockstep
        .step("delete a pod and update its node", delete, updated(1))
        .await?;
    let again = async |side: &Side| side.set_image("agent", NEWER).await;
    let third = |state: &State| {
        state.check_counts("agent", &[("updatedNumberScheduled", 0), ("numberAvailable", 3)])?;
        ensure!(
            state.revisions("agent") == [1, 2, 3],
            "there is no third revision"
        );
        Ok(())
    };
    lockstep.step("change the image again", again, third).await
}

pub(super) async fn r2_on_delete_to_rolling(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent().on_delete()).await?;
    let change = async |side: &Side| side.set_image("agent", NEW).await;
    let waiting =
        |state: &State| state.check_counts("agent", &[("updatedNumberScheduled", 0), ("numberAvailable", 3)]);
    lockstep
        .step("change the image and replace nothing", change, waiting)
        .await?;
    let roll = async |side: &Side| side.patch("agent", &strategy("RollingUpdate")).await;
    lockstep
        .step("switch to RollingUpdate", roll, |state| {
            state.check_rolled_out("agent", 3)
        })
        .await
}

pub(super) async fn r2_rolling_to_on_delete(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    roll_out_broken_image(lockstep, |state| check_stuck(state, 3, 1)).await?;
    let stop = async |side: &Side| {
        side.patch("agent", &strategy("OnDelete")).await?;
        side.set_image("agent", NEW).await
    };
    let held = |state: &State| {
        ensure!(
            state.revisions("agent") == [1, 2, 3],
            "there is no third revision"
        );
        state.check_counts("agent", &[("updatedNumberScheduled", 0), ("numberAvailable", 2)])?;
        state.check_pod_count("agent", 3)
    };
    lockstep
        .step("switch to OnDelete during the rollout", stop, held)
        .await
}

pub(super) async fn r3_percent(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 4, &agent().rolling_update("30%", 0)).await?;
    // 30% of 4, rounded up, is 2.
    roll_out_broken_image(lockstep, |state| check_stuck(state, 4, 2)).await?;
    set_image(lockstep, NEW, 4).await
}

pub(super) async fn r3_all_at_once(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent().rolling_update("100%", 0)).await?;
    roll_out_broken_image(lockstep, |state| check_stuck(state, 3, 3)).await?;
    lockstep.compare_node_order();
    set_image(lockstep, NEW, 3).await
}

pub(super) async fn r4_image(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    set_image(lockstep, NEW, 3).await?;
    set_image(lockstep, NEWER, 3).await
}

pub(super) async fn r4_unready_pods(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    let unready = async |side: &Side| {
        side.set_kwok_annotation(&side.pod_on("agent", 1).await?, "ready", Some("false"))
            .await?;
        side.set_kwok_annotation(&side.pod_on("agent", 3).await?, "ready", Some("false"))
            .await
    };
    let one =
        |state: &State| state.check_counts("agent", &[("numberAvailable", 1), ("numberUnavailable", 2)]);
    lockstep
        .step("two of three pods become unready", unready, one)
        .await?;
    // Unavailable pods are deleted at once. The available pod waits until the others are available again.
    set_image(lockstep, NEW, 3).await
}

pub(super) async fn r4_failed_pod(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    // The reason for which the pod is deleted depends on whether the failure or the update is seen first.
    lockstep.ignore_event("FailedDaemonPod");
    let both = async |side: &Side| {
        let failing = side.pod_on("agent", 2).await?;
        side.set_kwok_annotation(&failing, "phase", Some("Failed"))
            .await?;
        side.set_image("agent", NEW).await
    };
    let done = |state: &State| {
        ensure!(
            state.count_with_image("agent", NEW) == 3,
            "not every pod has the new image"
        );
        state.check_rolled_out("agent", 3)
    };
    lockstep
        .step("a pod fails as the update begins", both, done)
        .await
}

pub(super) async fn r4_third_template(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 4, &agent().rolling_update(2, 0)).await?;
    roll_out_broken_image(lockstep, |state| check_stuck(state, 4, 2)).await?;
    lockstep.compare_node_order();
    set_image(lockstep, NEW, 4).await
}

pub(super) async fn r4_node_joins(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    roll_out_broken_image(lockstep, |state| check_stuck(state, 3, 1)).await?;
    lockstep.nodes([NodeBuilder::new(&lockstep.node(4))]).await?;
    lockstep
        .step(
            "a node joins during the rollout",
            async |_| Ok(()),
            |state| check_stuck(state, 4, 2),
        )
        .await?;
    set_image(lockstep, NEW, 4).await
}

pub(super) async fn r4_node_leaves(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 4, &agent()).await?;
    roll_out_broken_image(lockstep, |state| check_stuck(state, 4, 1)).await?;
    let leave = async |side: &Side| {
        let pods = side.pods("agent").await?;
        let broken = pods.iter().find(|pod| {
            let containers = pod
                .spec
                .as_ref()
                .map(|spec| spec.containers.as_slice())
                .unwrap_or_default();
            containers
                .iter()
                .any(|container| container.image.as_deref() == Some(BROKEN))
        });
        let pod = broken.expect("one pod has the broken image");
        nodes::delete(
            side.client(),
            everynode_tests::daemonsets::target_node(pod).unwrap_or_default(),
        )
        .await?;
        side.remove_pod(pod).await
    };
    // Another pod is broken instead.
    lockstep
        .step("the node with the broken pod leaves", leave, |state| {
            check_stuck(state, 3, 1)
        })
        .await
}

pub(super) async fn r4_selector_changes(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    let change = async |side: &Side| {
        nodes::label(side.client(), &side.node(2), "pool", Some("b")).await?;
        nodes::set_taints(side.client(), &side.node(3), &[taint("t", "", "NoSchedule")]).await?;
        side.patch_template("agent", &json!({"spec": {"nodeSelector": {"pool": "b"}}}))
            .await
    };
    lockstep
        .step("select other nodes with the new template", change, |state| {
            state.check_rolled_out("agent", 1)
        })
        .await
}

pub(super) async fn r4_min_ready(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent().min_ready_seconds(2)).await?;
    set_image(lockstep, NEW, 2).await
}
