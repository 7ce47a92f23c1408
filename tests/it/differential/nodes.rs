//! Differential scenarios for nodes that join and leave.

use anyhow::Result;
use everynode_tests::differential::{Lockstep, SCENARIO, side::Side, state::State};
use everynode_tests::nodes::{self, NodeBuilder};
use serde_json::json;

use super::agent;
use super::steps::begin;

pub(super) async fn n1_node_joins(lockstep: &mut Lockstep) -> Result<()> {
    let create = async |side: &Side| side.create(agent()).await;
    lockstep
        .step("create without nodes", create, |state| {
            state.check_rolled_out("agent", 0)
        })
        .await?;
    lockstep.plain_nodes(2).await?;
    lockstep
        .step(
            "two nodes join",
            async |_| Ok(()),
            |state| state.check_rolled_out("agent", 2),
        )
        .await?;
    lockstep.nodes([NodeBuilder::new(&lockstep.node(3))]).await?;
    lockstep
        .step(
            "a third node joins",
            async |_| Ok(()),
            |state| state.check_rolled_out("agent", 3),
        )
        .await
}

pub(super) async fn n2_node_no_longer_selected(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    let leave = async |side: &Side| {
        nodes::label(side.client(), &side.node(1), SCENARIO, Some("another")).await?;
        Ok(())
    };
    lockstep
        .step("a node is no longer selected", leave, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

pub(super) async fn n6_unbound_pods(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| side.create(agent().requests(&json!({"cpu": "900"}))).await;
    let pending = |nodes: usize| {
        move |state: &State| {
            let count = i64::try_from(nodes)?;
            let counts = [
                ("desiredNumberScheduled", count),
                ("currentNumberScheduled", count),
                ("numberReady", 0),
            ];
            state.check_counts("agent", &counts)?;
            state.check_pod_count("agent", nodes)
        }
    };
    lockstep
        .step("pods that fit on no node", create, pending(2))
        .await?;
    let leave = async |side: &Side| {
        nodes::delete(side.client(), &side.node(1)).await?;
        side.trigger_reconcile("agent").await
    };
    lockstep
        .step("delete one of their nodes", leave, pending(1))
        .await
}

pub(super) async fn n7_node_deleted(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    let leave = async |side: &Side| {
        let pod = side.pod_on("agent", 3).await?;
        nodes::delete(side.client(), &side.node(3)).await?;
        // Don't wait for the pod garbage collector: it takes 40 seconds.
        side.remove_pod(&pod).await
    };
    lockstep
        .step("delete a node", leave, |state| state.check_rolled_out("agent", 2))
        .await
}
