//! Runs Kubernetes' own specs of `DaemonSet`s and `ControllerRevision`s, with Everynode and with the controller that it
//! replaces.

use everynode_tests::conformance::{self, SpecResults};
use everynode_tests::control_plane::{Component, ControlPlane, Options};
use everynode_tests::nodes::{self, NodeBuilder};

use crate::world::World;

/// The number of specs in the Kubernetes release that the control plane is built from.
const SPECS: usize = 11;

fn assert_all_passed(outcome: anyhow::Result<SpecResults>, logs: &str) {
    let outcome = outcome.unwrap_or_else(|error| panic!("{error:#}\n{logs}"));
    let failed = outcome.failed.join("\n\n");
    assert!(failed.is_empty(), "{failed}\n{logs}");
    assert_eq!(outcome.passed.len(), SPECS, "{:#?}", outcome.passed);
}

#[tokio::test]
async fn kubernetes_specs_pass_with_everynode() {
    let mut world = World::new(3).await;
    let outcome = conformance::run(world.claim.control_plane()).await;
    assert_all_passed(outcome, &world.logs());
}

/// Uses its own control plane, so that it can run at the same time as the test above.
#[tokio::test]
async fn kubernetes_specs_pass_with_kube_controller_manager() {
    let options = Options {
        daemonset_controller: true,
        ..Options::default()
    };
    let control_plane = ControlPlane::start(options).await.unwrap();
    let client = control_plane.client().await.unwrap();
    let nodes = ["node-01", "node-02", "node-03"].map(NodeBuilder::new);
    nodes::create_ready(&client, nodes.into()).await.unwrap();
    let outcome = conformance::run(&control_plane).await;
    assert_all_passed(outcome, &control_plane.log_tail(Component::ControllerManager, 40));
    control_plane.stop().await.unwrap();
}
