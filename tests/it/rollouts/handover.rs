//! Switching between kube-controller-manager's controller, planners of the last release and this release in the middle of
//! a rollout.

use std::fs;

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::programs::workspace;
use everynode_tests::proxy::LastReleaseProxy;
use everynode_tests::rollouts::{ask, revision};
use everynode_tests::service::{Executor, ServiceOptions};
use everynode_tests::wait::eventually;
use serde_json::json;

use super::{
    NEW, NEWER, Scene, canary_then_all, create_policy, heal, label_canary, live_pods, wait_all_on,
    wait_rollout,
};
use crate::page::Shell;
use crate::world::{DEADLINE, World, identities};

/// What the command in `docs/switching.md` says that a hand-back would do.
async fn pods_to_replace(scene: &mut Scene) -> String {
    const BEGIN: &str = "kubectl get daemonsets --all-namespaces --no-headers";
    let page = fs::read_to_string(workspace().join("docs/switching.md")).unwrap();
    let begin = page.find(BEGIN).expect("the page has the command");
    let mut lines = page[begin..].lines();
    let mut command = lines.next().unwrap().to_owned();
    while command.ends_with('\\') {
        command = format!("{command}\n{}", lines.next().unwrap());
    }
    let control_plane = scene.world.claim.control_plane();
    let shell = Shell::new(&workspace())
        .programs(control_plane.toolbox().folder())
        .variable("KUBECONFIG", control_plane.kubeconfig());
    let (succeeded, printed) = shell.run(&command).await;
    assert!(succeeded, "`{command}` failed:\n{printed}");
    printed
}

/// After a hand-back in the middle of a canary, kube-controller-manager replaces every held pod, including those that
/// were created for nodes that joined meanwhile.
#[tokio::test]
async fn hand_back_during_a_canary_replaces_every_held_pod() {
    const JOINING: usize = 20;
    let mut scene = Scene::new(3, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    let joining: Vec<_> = (4..4 + JOINING)
        .map(|number| format!("node-{number:02}"))
        .collect();
    let builders = joining.iter().map(|name| NodeBuilder::new(name)).collect();
    nodes::create_ready(&scene.world.client, builders).await.unwrap();
    scene.world.nodes.extend(joining);
    let pods = scene.world.wait_placed("agent").await;
    let held = pods.iter().filter(|pod| revision(pod) == scene.first);
    assert_eq!(held.count(), JOINING + 2, "{}", scene.world.logs());
    scene.check_only_on(&["node-01"]);
    let announced = pods_to_replace(&mut scene).await;
    let expected = format!("{}/agent: {} pods to replace", scene.world.namespace, JOINING + 2);
    assert!(announced.contains(&expected), "{announced}");

    let fast = json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "50%"}}}});
    let (client, namespace) = (&scene.world.client, &scene.world.namespace);
    daemonsets::patch(client, namespace, "agent", &fast)
        .await
        .unwrap();
    scene.world.executor.stop().await.unwrap();
    let control_plane = scene.world.claim.control_plane();
    control_plane.set_daemonset_controller(true).await.unwrap();
    scene.wait_all_on(&canary.update_revision).await;
    scene.world.wait_rolled_out().await;
}

/// A takeover in the middle of kube-controller-manager's rollout: the old pods wait, because a policy starts nothing.
/// The next template goes through the stages.
#[tokio::test]
async fn takeover_during_a_rollout_waits_for_a_promotion() {
    let mut world = World::with_policies(4).await;
    label_canary(&world, "node-01").await;
    world.executor.stop().await.unwrap();
    let control_plane = world.claim.control_plane();
    control_plane.set_daemonset_controller(true).await.unwrap();
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    world.set_image("example/non-existent:1").await;
    world
        .wait_status("agent", "stuck", |status| {
            status.updated_number_scheduled == Some(1) && status.number_available == Some(3)
        })
        .await;
    let settled = eventually(DEADLINE, "four pods, none of them being deleted", async || {
        let pods = daemonsets::pods(&world.client, &world.namespace, "agent").await?;
        let is_leaving = pods.iter().any(|pod| pod.metadata.deletion_timestamp.is_some());
        anyhow::ensure!(pods.len() == 4 && !is_leaving, "there are {}", pods.len());
        Ok(pods)
    });
    let before = settled.await.unwrap();
    create_policy(&world, "agent-policy", &canary_then_all()).await;
    let control_plane = world.claim.control_plane();
    control_plane.set_daemonset_controller(false).await.unwrap();
    world.executor.launch().unwrap();
    world.executor.wait_ready().await.unwrap();
    let waiting = wait_rollout(&world, "agent", "waiting", |status| {
        status.reason == "PolicyAttached"
    })
    .await;
    let after = live_pods(&world, "agent").await;
    assert_eq!(identities(&before), identities(&after), "{}", world.logs());
    let old = before.iter().filter(|pod| daemonsets::is_ready(pod));
    let old: Vec<_> = old.map(|pod| revision(pod).to_owned()).collect();
    assert!(
        old.iter().all(|revision| *revision == waiting.current_revision),
        "{old:?}"
    );
    assert!(waiting.current_revision_observed);

    world.set_image(NEWER).await;
    let canary = wait_rollout(&world, "agent", "the canary", |status| {
        status.reason == "WaitingForPromotion"
    })
    .await;
    assert!(canary.rollout > waiting.rollout);
    let verbs = json!({"promote": {"rollout": canary.rollout, "stage": "canary"}});
    ask(&world.client, &world.namespace, "agent", &verbs)
        .await
        .unwrap();
    wait_all_on(&world, "agent", &canary.update_revision).await;
}

/// A planner of the last release creates missing pods from the current revision and replaces nothing.
#[tokio::test]
async fn planner_of_the_last_release_holds_the_rollout() {
    let mut scene = Scene::new(4, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    scene.world.executor.stop().await.unwrap();
    let older = LastReleaseProxy::start(scene.world.planner.url()).await.unwrap();
    let kubeconfig = scene.world.claim.control_plane().kubeconfig().to_owned();
    let start = async |world: &World, url: String| {
        Executor::start(&world.programs, &url, &kubeconfig, ServiceOptions::default())
            .await
            .unwrap()
    };
    let url = format!("http://{}", older.address());
    scene.world.executor = start(&scene.world, url).await;
    scene.promote(canary.rollout, "canary").await;
    scene.check_held("node-02", "the planner is older").await;
    scene.check_held("node-03", "the planner is older").await;
    // This planner knows one template only.
    assert_eq!(scene.heal("node-01").await, scene.first);
    // A DaemonSet that has never been rolled out gets its pods all the same.
    scene.world.create(DaemonSetBuilder::new("other")).await;
    scene.world.wait_placed("other").await;
    scene.check_only_on(&["node-01"]);

    scene.world.executor.stop().await.unwrap();
    let url = scene.world.planner.url();
    scene.world.executor = start(&scene.world, url).await;
    scene.wait_all_on(&canary.update_revision).await;
    scene.wait_phase("Completed", "Completed").await;
}

/// Pods of the current revision, created under a policy, are the current revision's for kube-controller-manager, too.
#[tokio::test]
async fn t1_hand_back_after_an_abort_restarts_no_pod_of_the_restored_template() {
    let mut scene = Scene::new(3, &canary_then_all()).await;
    let canary = scene.roll_out_to_canary(NEW).await;
    scene.ask(&json!({"abort": canary.rollout})).await;
    scene.wait_phase("GoingBack", "Aborted").await;
    assert_eq!(heal(&scene.world, "agent", "node-02").await, scene.first);
    let kubectl = scene.world.claim.kubectl().unwrap();
    kubectl.run(["rollout", "undo", "ds/agent"]).await.unwrap();
    scene.wait_phase("Completed", "Completed").await;
    let before = scene.wait_all_on(&scene.first).await;
    scene.world.executor.stop().await.unwrap();
    let control_plane = scene.world.claim.control_plane();
    control_plane.set_daemonset_controller(true).await.unwrap();
    // The other controller acts on a change that needs no work.
    let limit = json!({"spec": {"revisionHistoryLimit": 7}});
    let (client, namespace) = (&scene.world.client, &scene.world.namespace);
    daemonsets::patch(client, namespace, "agent", &limit)
        .await
        .unwrap();
    scene
        .world
        .wait_status("agent", "acted on", |status| {
            status.updated_number_scheduled == Some(3) && status.number_available == Some(3)
        })
        .await;
    let after = scene.pods().await;
    assert_eq!(identities(&before), identities(&after));
}
