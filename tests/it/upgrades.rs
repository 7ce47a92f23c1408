//! Version skew: planner and executor of this release with peers of the last release, and rolling upgrades from one
//! release to the other and back.
//!
//! A program of the last release is the same binary behind a proxy. The proxy drops everything that is newer on the
//! wire.

use std::net::SocketAddr;

use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::monitor::Monitor;
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::proxy::{LastReleaseProxy, TcpProxy};
use everynode_tests::service::{Executor, Planner, ServiceOptions};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::Api;
use serde_json::json;

use crate::leaders::{election_options, wait_leading};
use crate::tools::grpcurl;
use crate::world::{DEADLINE, World};

/// The `DaemonSet`s that roll out, each one pod at a time.
const SETS: [&str; 3] = ["agent", "logs", "metrics"];
const NODES: usize = 6;

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[tokio::test]
async fn both_programs_work_with_a_peer_of_the_last_release() {
    let mut older = None;
    let mut world = World::with_routes(3, async |control_plane, planner| {
        let proxy = LastReleaseProxy::start(planner.url()).await.unwrap();
        let url = url(proxy.address());
        older = Some(proxy);
        (url, control_plane.kubeconfig().to_owned())
    })
    .await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    nodes::create_ready(&world.client, vec![NodeBuilder::new("node-04")])
        .await
        .unwrap();
    world.nodes.push("node-04".to_owned());
    world.wait_placed("agent").await;
    world.set_image("example/daemon:2").await;
    world.wait_rolled_out().await;

    // The executor forwards this question to the planner.
    let executor = world.executor.address();
    let question = json!({"daemon_set": format!("{}/agent", world.namespace), "node": "node-04"});
    let explain = ["everynode.executor.v1.ExecutorService/Explain"];
    let answer = grpcurl(&mut world, &executor, &explain, Some(question)).await;
    assert!(answer.contains("VERDICT_RUN"), "{answer}");

    // The older planner doesn't report the progress, so the executor derives it from the counters.
    let question = json!({"namespace": world.namespace, "name": "agent"});
    let list = ["everynode.executor.v1.ExecutorService/ListDaemonSets"];
    let answer = grpcurl(&mut world, &executor, &list, Some(question)).await;
    for expected in ["ROLLOUT_STATE_COMPLETE", "4 of 4 pods updated, 4 available"] {
        assert!(answer.contains(expected), "{answer}");
    }

    // The older planner doesn't report the newer conditions, so the status must not contain them.
    let sets: Api<DaemonSet> = Api::namespaced(world.client.clone(), &world.namespace);
    let status = sets.get("agent").await.unwrap().status.unwrap();
    let conditions = status.conditions.unwrap_or_default();
    let kinds: Vec<_> = conditions
        .iter()
        .filter_map(|condition| condition.type_.as_deref())
        .collect();
    assert_eq!(kinds, ["Degraded"]);
}

/// A cluster that runs programs of two releases.
struct Upgrade {
    world: World,
    monitors: Vec<Monitor>,
    /// How many templates have been rolled out so far.
    templates: usize,
}

impl Upgrade {
    /// Starts with all pods of a first template in place.
    async fn new(world: World) -> Self {
        let mut monitors = Vec::new();
        for name in SETS {
            world.create(DaemonSetBuilder::new(name)).await;
            world.wait_placed(name).await;
            monitors.push(
                Monitor::start(&world.client, &world.namespace, name)
                    .await
                    .unwrap(),
            );
        }
        Self {
            world,
            monitors,
            templates: 1,
        }
    }

    /// Starts rollouts of new templates, runs `exchange` in the middle of them, and waits until all of them finish.
    async fn exchange_during_rollouts(&mut self, what: &str, exchange: impl AsyncFnOnce(&mut World)) {
        self.templates += 1;
        for name in SETS {
            let image = format!("example/daemon:{}", self.templates);
            self.world.set_image_of(name, &image).await;
        }
        for monitor in &mut self.monitors {
            assert!(
                monitor.wait_events(2, DEADLINE).await,
                "{what}: no rollout started\n{}",
                self.world.logs()
            );
        }
        exchange(&mut self.world).await;
        let nodes = i32::try_from(NODES).unwrap();
        for (name, monitor) in SETS.iter().zip(&self.monitors) {
            let what = format!("{name} rolled out after {what}");
            let done = self.world.wait_status(name, &what, |status| {
                status.updated_number_scheduled == Some(nodes) && status.number_available == Some(nodes)
            });
            done.await;
            monitor.check_one_pod_per_node().unwrap();
            // Each pod of each template was created once, so no pod was deleted that could have stayed.
            assert_eq!(monitor.pods_seen(), NODES * self.templates, "{what}");
            assert!(
                monitor.fewest_ready() >= NODES - 1,
                "{what}: more than one pod was unavailable"
            );
        }
    }
}

#[tokio::test]
async fn rolling_upgrade_and_rollback_during_rollouts_cause_no_wrong_action() {
    let mut proxies = None;
    let world = World::with_routes(NODES, async |control_plane, planner| {
        let older_planner = LastReleaseProxy::start(planner.url()).await.unwrap();
        let to_planner = TcpProxy::start(older_planner.address()).await.unwrap();
        let for_older_executor = LastReleaseProxy::start(url(to_planner.address())).await.unwrap();
        let older_url = url(for_older_executor.address());
        proxies = Some((older_planner, to_planner, for_older_executor));
        (older_url, control_plane.kubeconfig().to_owned())
    })
    .await;
    let (older_planner, to_planner, for_older_executor) = proxies.unwrap();
    let older_url = url(for_older_executor.address());
    let newer_url = url(to_planner.address());
    let programs = world.programs.clone();
    let namespace = world.namespace.clone();
    let executor = async |world: &mut World, planner_url: &str, identity: &str| {
        let kubeconfig = world.claim.control_plane().kubeconfig();
        let started = Executor::start(
            &programs,
            planner_url,
            kubeconfig,
            election_options(&namespace, identity),
        )
        .await;
        started.unwrap()
    };

    let mut upgrade = Upgrade::new(world).await;
    upgrade.world.executor.stop().await.unwrap();
    upgrade.world.executor = executor(&mut upgrade.world, &older_url, "older").await;
    wait_leading(&upgrade.world.executor).await;

    let mut newer_planner = Planner::start(&programs, ServiceOptions::default())
        .await
        .unwrap();
    let to_newer = async |world: &mut World| {
        to_planner.set_server(newer_planner.address().parse().unwrap());
        world.planner.stop().await.unwrap();
        // Without the cut, the older executor's proxy would keep its connection to the stopped planner.
        to_planner.cut();
    };
    upgrade
        .exchange_during_rollouts("the planner's upgrade", to_newer)
        .await;
    let succeed = async |world: &mut World, planner_url: &str, identity: &str| {
        let successor = executor(world, planner_url, identity).await;
        world.executor.stop().await.unwrap();
        world.executor = successor;
        wait_leading(&world.executor).await;
    };
    let to_newer = async |world: &mut World| succeed(world, &newer_url, "newer").await;
    upgrade
        .exchange_during_rollouts("the executor's upgrade", to_newer)
        .await;
    let to_older = async |world: &mut World| {
        world.planner.launch().unwrap();
        world.planner.wait_ready().await.unwrap();
        to_planner.set_server(older_planner.address());
        newer_planner.stop().await.unwrap();
    };
    upgrade
        .exchange_during_rollouts("the planner's rollback", to_older)
        .await;
    let to_older = async |world: &mut World| succeed(world, &older_url, "older-again").await;
    upgrade
        .exchange_during_rollouts("the executor's rollback", to_older)
        .await;
}
