//! Policies that Everynode can't read at the moment, and memory that it can't write.

use everynode_executor::rollouts::kinds::DaemonSetRolloutStatus;
use everynode_tests::control_plane::ControlPlane;
use everynode_tests::proxy::{ApiServerProxy, Call, CallFault, Interruption};
use everynode_tests::service::Planner;
use everynode_tests::wait::eventually;
use http::Method;

use super::{NEW, NEWER, Scene, canary_then_all};
use crate::world::DEADLINE;

/// More calls than a test makes.
const ALL: usize = 100_000;

fn reads_policies(call: &Call) -> bool {
    call.method == Method::GET && call.resource == "daemonsetrolloutpolicies"
}

/// Selects discovery, whose paths name no resource.
fn discovers(call: &Call) -> bool {
    call.method == Method::GET && call.resource.is_empty()
}

fn writes_memory(call: &Call) -> bool {
    call.method == Method::PUT && call.resource == "daemonsetrollouts"
}

fn creates_a_revision(call: &Call) -> bool {
    call.method == Method::POST && call.resource == "controllerrevisions"
}

fn refused(code: u16) -> CallFault {
    CallFault::Refused {
        code,
        retry_after: None,
    }
}

/// A scene whose executor reaches the API server through a proxy.
async fn with_gateway() -> (Scene, ApiServerProxy) {
    let mut gateway = None;
    let scene = Scene::with_routes(
        4,
        &canary_then_all(),
        async |control_plane: &ControlPlane, planner: &Planner| {
            let proxy = ApiServerProxy::start(control_plane).await.unwrap();
            let server = format!("https://{}", proxy.address());
            let kubeconfig = control_plane.contender_kubeconfig(&server).unwrap();
            gateway = Some(proxy);
            (planner.url(), kubeconfig)
        },
    )
    .await;
    (scene, gateway.unwrap())
}

/// Promotes the canary while the policies can't be read, and checks that the rollout goes on only after the fault.
async fn check_held_until_faults_end(
    scene: &Scene,
    gateway: &ApiServerProxy,
    canary: &DaemonSetRolloutStatus,
) {
    scene.wait_phase("Stalled", "PoliciesUnknown").await;
    scene.promote(canary.rollout, "canary").await;
    scene.check_held("node-02", "the policies can't be read").await;
    scene.check_only_on(&["node-01"]);
    gateway.end_faults();
    scene.wait_all_on(&canary.update_revision).await;
}

/// An executor that loses the right to read policies replaces nothing.
#[tokio::test]
async fn lost_right_to_read_policies_holds_the_rollout() {
    let (scene, gateway) = with_gateway().await;
    let canary = scene.roll_out_to_canary(NEW).await;
    gateway.inject(reads_policies, refused(403), ALL);
    gateway.end_watches(Interruption::Closed);
    check_held_until_faults_end(&scene, &gateway, &canary).await;
}

/// A policy counts as absent only if discovery says so. While discovery fails, the executor leads, creates missing
/// pods and replaces nothing.
#[tokio::test]
async fn executor_that_starts_while_discovery_fails_leads_and_replaces_nothing() {
    let (mut scene, gateway) = with_gateway().await;
    let canary = scene.roll_out_to_canary(NEW).await;
    scene.world.executor.stop().await.unwrap();
    gateway.inject(reads_policies, refused(404), ALL);
    gateway.inject(discovers, refused(503), ALL);
    scene.world.executor.launch().unwrap();
    scene.world.executor.wait_ready().await.unwrap();
    check_held_until_faults_end(&scene, &gateway, &canary).await;
}

/// While what a rollout is about to do can't be recorded, nothing is replaced. A template that is overtaken meanwhile
/// never gets a pod.
#[tokio::test]
async fn template_that_is_overtaken_before_it_is_recorded_never_gets_a_pod() {
    let (scene, gateway) = with_gateway().await;
    gateway.inject(writes_memory, refused(500), ALL);
    gateway.inject(creates_a_revision, refused(500), 2);
    let before = gateway.faults_left();
    scene.world.set_image(NEW).await;
    // The revision was refused twice, then created, and the memory of the rollout was refused.
    let late = eventually(DEADLINE, "a refused write of the memory", async || {
        let left = gateway.faults_left();
        anyhow::ensure!(left + 3 <= before, "{left} faults are left of {before}");
        Ok(())
    });
    late.await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", scene.world.logs()));
    scene.check_held("node-02", "the rollout isn't recorded").await;
    scene.world.set_image(NEWER).await;
    scene.check_held("node-03", "the rollout isn't recorded").await;
    scene.check_only_on(&[]);

    gateway.end_faults();
    let canary = scene.wait_phase("Waiting", "WaitingForPromotion").await;
    assert_eq!(canary.rollout, 1, "the overtaken template had no rollout");
    let kubectl = scene.world.claim.kubectl().unwrap();
    let path = "jsonpath={.spec.template.spec.containers[0].image}";
    let image = kubectl.run(["get", "ds/agent", "-o", path]).await.unwrap();
    assert_eq!(image, NEWER);
    let checked = scene.monitor.check_states(|state| {
        for (node, pods) in state {
            let is_known =
                |revision: &String| *revision == scene.first || *revision == canary.update_revision;
            anyhow::ensure!(
                pods.revisions.iter().all(is_known),
                "{node} got a pod of the overtaken template"
            );
        }
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error:#}\n{}", scene.world.logs()));
    scene.promote(canary.rollout, "canary").await;
    scene.wait_all_on(&canary.update_revision).await;
}
