//! Version skew: planner and executor of this release with peers of the last release, and rolling upgrades from one
//! release to the other and back.
//!
//! A program of the last release is the same binary behind a proxy. The proxy drops everything that is newer on the
//! wire.

use std::net::SocketAddr;

use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::monitor::Monitor;
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::proxy::{LastRelease, Line};
use everynode_tests::service::{Executor, Planner, ServiceOptions};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::Api;
use serde_json::json;

use crate::leaders::{elected, to_lead};
use crate::tools::grpcurl;
use crate::world::{DEADLINE, World};

/// The `DaemonSet`s that roll out, each one pod at a time.
const SETS: [&str; 3] = ["agent", "logs", "metrics"];
const NODES: usize = 6;

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[tokio::test]
async fn both_programs_do_their_work_with_a_peer_of_the_last_release() {
    let mut older = None;
    let mut world = World::through(3, async |control_plane, planner| {
        let proxy = LastRelease::start(planner.url()).await.unwrap();
        let url = url(proxy.address());
        older = Some(proxy);
        (url, control_plane.kubeconfig().to_owned())
    })
    .await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.everywhere("agent").await;
    nodes::create_ready(&world.client, vec![NodeBuilder::new("node-04")])
        .await
        .unwrap();
    world.nodes.push("node-04".to_owned());
    world.everywhere("agent").await;
    world.set_image("example/daemon:2").await;
    world.rolled_out().await;

    // The executor forwards this question to the planner.
    let executor = world.executor.address();
    let question = json!({"daemon_set": format!("{}/agent", world.namespace), "node": "node-04"});
    let explain = ["everynode.executor.v1.ExecutorService/Explain"];
    let answer = grpcurl(&mut world, &executor, &explain, Some(question)).await;
    assert!(answer.contains("VERDICT_RUN"), "{answer}");

    // The older planner couldn't report the progress, so the executor goes by the counters.
    let question = json!({"namespace": world.namespace, "name": "agent"});
    let list = ["everynode.executor.v1.ExecutorService/ListDaemonSets"];
    let answer = grpcurl(&mut world, &executor, &list, Some(question)).await;
    for expected in ["ROLLOUT_STATE_COMPLETE", "4 of 4 pods updated, 4 available"] {
        assert!(answer.contains(expected), "{answer}");
    }

    // The older planner couldn't report the newer conditions, so the status must not claim them.
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
    /// How many templates were rolled out so far.
    templates: usize,
}

impl Upgrade {
    /// Starts with all pods of a first template in place.
    async fn new(world: World) -> Self {
        let mut monitors = Vec::new();
        for name in SETS {
            world.create(DaemonSetBuilder::new(name)).await;
            world.everywhere(name).await;
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
    async fn during(&mut self, what: &str, exchange: impl AsyncFnOnce(&mut World)) {
        self.templates += 1;
        for name in SETS {
            let image = format!("example/daemon:{}", self.templates);
            self.world.set_image_of(name, &image).await;
        }
        for monitor in &mut self.monitors {
            assert!(
                monitor.events(2, DEADLINE).await,
                "{what}: no rollout began\n{}",
                self.world.logs()
            );
        }
        exchange(&mut self.world).await;
        let nodes = i32::try_from(NODES).unwrap();
        for (name, monitor) in SETS.iter().zip(&self.monitors) {
            let what = format!("{name} rolled out after {what}");
            let done = self.world.status(name, &what, |status| {
                status.updated_number_scheduled == Some(nodes) && status.number_available == Some(nodes)
            });
            done.await;
            monitor.never_crowded().unwrap();
            // Each pod of each template was created once, so no pod was deleted that could have stayed.
            assert_eq!(monitor.pods_seen(), NODES * self.templates, "{what}");
            assert!(
                monitor.fewest_ready() >= NODES - 1,
                "{what}: more than one pod less"
            );
        }
    }
}

#[tokio::test]
async fn a_rolling_upgrade_of_both_and_one_back_in_the_middle_of_rollouts_take_no_wrong_action() {
    let mut proxies = None;
    let world = World::through(NODES, async |control_plane, planner| {
        let older_planner = LastRelease::start(planner.url()).await.unwrap();
        let to_planner = Line::start(older_planner.address()).await.unwrap();
        let for_older_executor = LastRelease::start(url(to_planner.address())).await.unwrap();
        let older_way = url(for_older_executor.address());
        proxies = Some((older_planner, to_planner, for_older_executor));
        (older_way, control_plane.kubeconfig().to_owned())
    })
    .await;
    let (older_planner, to_planner, for_older_executor) = proxies.unwrap();
    let older_way = url(for_older_executor.address());
    let newer_way = url(to_planner.address());
    let programs = world.programs.clone();
    let namespace = world.namespace.clone();
    let executor = async |world: &mut World, way: &str, identity: &str| {
        let kubeconfig = world.claim.control_plane().kubeconfig();
        let started = Executor::start(&programs, way, kubeconfig, elected(&namespace, identity)).await;
        started.unwrap()
    };

    let mut upgrade = Upgrade::new(world).await;
    upgrade.world.executor.stop().await.unwrap();
    upgrade.world.executor = executor(&mut upgrade.world, &older_way, "older").await;
    to_lead(&upgrade.world.executor).await;

    let mut newer_planner = Planner::start(&programs, ServiceOptions::default())
        .await
        .unwrap();
    let to_newer = async |world: &mut World| {
        to_planner.aim(newer_planner.address().parse().unwrap());
        world.planner.stop().await.unwrap();
        // The proxy for the older programs would otherwise keep its connection to the stopped planner.
        to_planner.cut();
    };
    upgrade.during("the planner's upgrade", to_newer).await;
    let succeed = async |world: &mut World, way: &str, identity: &str| {
        let successor = executor(world, way, identity).await;
        world.executor.stop().await.unwrap();
        world.executor = successor;
        to_lead(&world.executor).await;
    };
    let to_newer = async |world: &mut World| succeed(world, &newer_way, "newer").await;
    upgrade.during("the executor's upgrade", to_newer).await;
    let to_older = async |world: &mut World| {
        world.planner.launch().unwrap();
        world.planner.wait_ready().await.unwrap();
        to_planner.aim(older_planner.address());
        newer_planner.stop().await.unwrap();
    };
    upgrade.during("the planner's way back", to_older).await;
    let to_older = async |world: &mut World| succeed(world, &older_way, "older-again").await;
    upgrade.during("the executor's way back", to_older).await;
}
