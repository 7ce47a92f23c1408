//! Steps that many differential scenarios share.

use anyhow::{Result, ensure};
use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::differential::{Lockstep, side::Side, state::State};

/// An image other than the one that a `DaemonSet` is created with.
pub(super) const NEW: &str = "example/daemon:2";
/// A third image.
pub(super) const NEWER: &str = "example/daemon:3";
/// An image that never starts.
pub(super) const BROKEN: &str = "example/non-existent:1";

/// Creates `nodes` nodes and a `DaemonSet`, and waits for its pods.
pub(super) async fn begin(lockstep: &mut Lockstep, nodes: usize, set: &DaemonSetBuilder) -> Result<()> {
    lockstep.plain_nodes(nodes).await?;
    let create = async |side: &Side| side.create(set.clone()).await;
    // Controllers compare creation times in whole seconds. Among pods from the same second, kube-controller-manager
    // goes by their names, which are random.
    lockstep
        .step("create", create, |state| {
            ensure!(
                state.pods_are_over_a_second_old("agent"),
                "the second in which the pods were created isn't over"
            );
            state.check_rolled_out("agent", nodes)
        })
        .await
}

/// Rolls out another image and waits until every pod has it.
pub(super) async fn set_image(lockstep: &mut Lockstep, image: &str, nodes: usize) -> Result<()> {
    let change = async |side: &Side| side.set_image("agent", image).await;
    let done = |state: &State| {
        ensure!(
            state.count_with_image("agent", image) == nodes,
            "not every pod has the image {image}"
        );
        state.check_rolled_out("agent", nodes)
    };
    lockstep.step(image, change, done).await
}

/// Sets an image that never starts, and waits until as many pods have it as the limits allow. Which nodes have them
/// isn't specified (R6).
pub(super) async fn roll_out_broken_image(
    lockstep: &mut Lockstep,
    stuck: impl Fn(&State) -> Result<()>,
) -> Result<()> {
    lockstep.ignore_node_order();
    let change = async |side: &Side| side.set_image("agent", BROKEN).await;
    lockstep.step(BROKEN, change, stuck).await
}
