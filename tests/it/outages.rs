//! Outages of the planner, the executor and the API server, and recovery from them.

use std::time::Duration;

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::monitor::Monitor;
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::service::{Executor, ServiceOptions};
use everynode_tests::wait::eventually;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};

use crate::world::{DEADLINE, World, identities};

async fn delete_pod(world: &World, pod: &Pod) {
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    pods.delete(&pod.name_any(), &DeleteParams::default())
        .await
        .unwrap();
    let gone = eventually(DEADLINE, format!("{} to be gone", pod.name_any()), async || {
        anyhow::ensure!(
            pods.get_opt(&pod.name_any()).await?.and_then(|pod| pod.uid()) != pod.uid(),
            "the pod exists"
        );
        Ok(())
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn nothing_changes_without_a_planner_and_work_resumes_with_the_next_one() {
    let (mut world, pods) = World::with_agent(3).await;

    world.planner.kill9().await.unwrap();
    delete_pod(&world, &pods[0]).await;
    nodes::create_ready(&world.client, vec![NodeBuilder::new("node-04")])
        .await
        .unwrap();
    // The executor stays ready for a while, in case the planner comes back soon. Then it reports that the planner is
    // missing.
    let unready = eventually(
        DEADLINE,
        "the executor to report that the planner is missing",
        async || {
            let (status, body) = world.executor.get("/readyz").await?;
            anyhow::ensure!(status == 503 && body.contains("planner"), "{status}: {body}");
            Ok(())
        },
    );
    unready.await.unwrap();
    let left = daemonsets::pods(&world.client, &world.namespace, "agent")
        .await
        .unwrap();
    assert_eq!(
        identities(&left),
        identities(&pods[1..]),
        "pods were touched without a planner"
    );
    assert!(
        world
            .executor
            .metric("everynode_executor_planner_connected", "")
            .await
            .unwrap()
            < 1.0
    );

    world.planner.launch().unwrap();
    world.nodes.push("node-04".to_owned());
    let pods_after = world.wait_placed("agent").await;
    world.executor.wait_ready().await.unwrap();
    for (name, _) in identities(&left) {
        assert!(
            pods_after.iter().any(|pod| pod.name_any() == name),
            "{name} did not survive"
        );
    }
}

#[tokio::test]
async fn rollout_continues_through_a_planner_restart() {
    let (mut world, _) = World::with_agent(6).await;
    let mut monitor = Monitor::start(&world.client, &world.namespace, "agent")
        .await
        .unwrap();
    world.set_image("example/daemon:2").await;
    assert!(
        monitor.wait_events(6, DEADLINE).await,
        "the rollout did not begin\n{}",
        world.logs()
    );
    world.planner.restart().await.unwrap();
    world.wait_rolled_out().await;
    monitor.check_one_pod_per_node().unwrap();
}

#[tokio::test]
async fn changes_around_an_api_server_restart_are_reconciled() {
    let (mut world, pods) = World::with_agent(3).await;
    let pid = world.executor.pid();

    delete_pod(&world, &pods[0]).await;
    world.claim.control_plane().stop_apiserver().await.unwrap();
    world.claim.control_plane().start_apiserver().await.unwrap();
    world.client = world.claim.client().await.unwrap();
    // The scheduler and the kubelets can take longer to recover. Everynode only has to ensure that the pods exist.
    let pods = world.wait_one_pod_per_node("agent").await;

    let api: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let at_once = DeleteParams::default().grace_period(0);
    api.delete(&pods[1].name_any(), &at_once).await.unwrap();
    let after = world.wait_one_pod_per_node("agent").await;
    assert!(
        after.iter().all(|pod| pod.uid() != pods[1].uid()),
        "the deleted pod still exists"
    );
    assert!(world.executor.is_running());
    assert_eq!(world.executor.pid(), pid, "the executor was restarted");
}

#[tokio::test]
async fn restarted_executor_reconciles_changes_made_while_it_was_down() {
    let mut world = World::new(3).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.create(DaemonSetBuilder::new("leaving")).await;
    let pods = world.wait_placed("agent").await;
    world.wait_placed("leaving").await;

    world.executor.stop().await.unwrap();
    delete_pod(&world, &pods[0]).await;
    daemonsets::delete(&world.client, &world.namespace, "leaving")
        .await
        .unwrap();
    world.create(DaemonSetBuilder::new("coming")).await;
    nodes::create_ready(&world.client, vec![NodeBuilder::new("node-04")])
        .await
        .unwrap();
    world.nodes.push("node-04".to_owned());
    world.executor.launch().unwrap();

    let after = world.wait_placed("agent").await;
    world.wait_placed("coming").await;
    for (name, _) in identities(&pods[1..]) {
        assert!(
            after.iter().any(|pod| pod.name_any() == name),
            "{name} was replaced without a reason"
        );
    }
    let nowhere: [&str; 0] = [];
    daemonsets::wait_placed(&world.client, &world.namespace, "leaving", &nowhere, DEADLINE)
        .await
        .unwrap();
}

#[tokio::test]
async fn two_concurrent_executors_create_one_pod_per_node() {
    let mut world = World::new(10).await;
    let kubeconfig = world.claim.control_plane().kubeconfig().to_owned();
    let (programs, url) = (&world.programs, world.planner.url());
    let second = Executor::start(programs, &url, &kubeconfig, ServiceOptions::default())
        .await
        .unwrap();
    let monitor = Monitor::start(&world.client, &world.namespace, "agent")
        .await
        .unwrap();

    world.create(DaemonSetBuilder::new("agent")).await;
    for round in 0..3 {
        let mut pods = world.wait_placed("agent").await;
        // Both executors must catch up first. An executor that lags by a pod's whole lifetime would create that pod
        // again under the same name. Only a lease can prevent that.
        for executor in [&world.executor, &second] {
            wait_idle(executor).await;
        }
        pods.sort_by_key(|pod| daemonsets::target_node(pod).map(str::to_owned));
        for pod in &pods[3 * round..3 * round + 3] {
            delete_pod(&world, pod).await;
        }
    }
    world.wait_placed("agent").await;
    monitor
        .check_one_pod_per_node()
        .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", world.logs(), second.log_tail(40)));
}

async fn wait_idle(executor: &Executor) {
    let idle = eventually(DEADLINE, "every action to end", async || {
        let planned = executor
            .metric("everynode_executor_actions_planned_total", "")
            .await?;
        let ended = executor.metric("everynode_executor_actions_total", "").await?;
        anyhow::ensure!(planned <= ended, "{ended} of {planned} actions have ended");
        Ok(())
    });
    idle.await.unwrap();
}

#[tokio::test]
async fn hung_planner_is_dropped_and_used_again_when_it_resumes() {
    let (mut world, pods) = World::with_agent(2).await;
    world.planner.signal(rustix::process::Signal::STOP);
    let lost = eventually(
        Duration::from_mins(1),
        "the executor to drop the planner",
        async || {
            let losses = world
                .executor
                .metric("everynode_executor_planner_losses_total", "")
                .await?;
            anyhow::ensure!(losses > 0.0, "{losses} losses");
            Ok(())
        },
    );
    lost.await.unwrap();
    world.planner.signal(rustix::process::Signal::CONT);
    delete_pod(&world, &pods[0]).await;
    world.wait_placed("agent").await;
}
