//! Steps that many scenarios have.

use anyhow::{Result, ensure};
use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::differential::{Lockstep, side::Side, state::State};

/// An image other than the one that a `DaemonSet` is made with.
pub(super) const NEW: &str = "example/daemon:2";
/// Yet another.
pub(super) const NEWER: &str = "example/daemon:3";
/// An image that never starts.
pub(super) const BROKEN: &str = "example/non-existent:1";

/// Makes so many nodes and a `DaemonSet`, and waits for its pods.
pub(super) async fn begin(lockstep: &mut Lockstep, nodes: usize, set: &DaemonSetBuilder) -> Result<()> {
    lockstep.plain_nodes(nodes).await?;
    let create = async |side: &Side| side.create(set.clone()).await;
    // Pods are told apart by the second in which they were made, and kube-controller-manager leaves it to chance which of two of
    // one second is the older.
    lockstep
        .step("create", create, |state| {
            ensure!(
                state.is_a_second_old("agent"),
                "the second isn't over in which they were made"
            );
            state.rolled_out("agent", nodes)
        })
        .await
}

/// Has every pod replaced by one with another image.
pub(super) async fn set_image(lockstep: &mut Lockstep, image: &str, nodes: usize) -> Result<()> {
    let change = async |side: &Side| side.set_image("agent", image).await;
    let done = |state: &State| {
        ensure!(
            state.with_image("agent", image) == nodes,
            "not every pod has the image {image}"
        );
        state.rolled_out("agent", nodes)
    };
    lockstep.step(image, change, done).await
}

/// Sets an image that never starts, and waits until as many pods of it are there as may be. Which nodes have them isn't said (R6).
pub(super) async fn get_stuck(lockstep: &mut Lockstep, stuck: impl Fn(&State) -> Result<()>) -> Result<()> {
    lockstep.in_any_order();
    let change = async |side: &Side| side.set_image("agent", BROKEN).await;
    lockstep.step(BROKEN, change, stuck).await
}
