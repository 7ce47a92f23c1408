//! Fault injection: connections, responses, watches and clocks fail between the programs and their peers.
//!
//! Each test sets up a [`Scene`], injects a fault while there is work to do, and then asks the same three questions:
//! did a node ever have more than one live pod, is a pod missing, and is a pod gone that should have stayed?

mod calls;
mod clock;
mod planner;
mod surge;
mod watches;

use everynode_tests::control_plane::ControlPlane;
use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::monitor::Monitor;
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::proxy::{ApiServerProxy, ClockProxy, TcpProxy};
use everynode_tests::service::Planner;
use everynode_tests::wait::eventually;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};

use crate::world::{DEADLINE, World};

/// A world whose executor reaches everything through proxies. The `DaemonSet` `agent` has a pod on every node.
struct Scene {
    world: World,
    /// First hop from the executor to the planner.
    planner_line: TcpProxy,
    /// Second hop to the planner, behind `planner_line`.
    clock: ClockProxy,
    /// First hop from the executor to the API server.
    api_line: TcpProxy,
    /// Second hop to the API server, behind `api_line`.
    gateway: ApiServerProxy,
    monitor: Monitor,
    /// The pods that there is no reason to replace.
    staying: Vec<Pod>,
}

impl Scene {
    async fn new() -> Self {
        Self::with(DaemonSetBuilder::new("agent").rolling_update("50%", 0)).await
    }

    async fn with(agent: DaemonSetBuilder) -> Self {
        let mut proxies = None;
        let ways = async |control_plane: &ControlPlane, planner: &Planner| {
            let clock = ClockProxy::start(planner.url()).await.unwrap();
            let planner_line = TcpProxy::start(clock.address()).await.unwrap();
            let gateway = ApiServerProxy::start(control_plane).await.unwrap();
            let api_line = TcpProxy::start(gateway.address()).await.unwrap();
            let server = format!("https://{}", api_line.address());
            let kubeconfig = control_plane.contender_kubeconfig(&server).unwrap();
            let url = format!("http://{}", planner_line.address());
            proxies = Some((planner_line, clock, api_line, gateway));
            (url, kubeconfig)
        };
        let world = World::through(4, ways).await;
        let (planner_line, clock, api_line, gateway) = proxies.unwrap();
        world.create(agent).await;
        let staying = world.everywhere("agent").await;
        let monitor = Monitor::start(&world.client, &world.namespace, "agent")
            .await
            .unwrap();
        Self {
            world,
            planner_line,
            clock,
            api_line,
            gateway,
            monitor,
            staying,
        }
    }

    /// Gives Everynode two pods to create: one to replace a deleted pod, and one on a new node.
    async fn work(&mut self) {
        let pods: Api<Pod> = Api::namespaced(self.world.client.clone(), &self.world.namespace);
        let pod = self.staying.pop().unwrap();
        pods.delete(&pod.name_any(), &DeleteParams::default())
            .await
            .unwrap();
        let node = format!("node-{:02}", self.world.nodes.len() + 1);
        nodes::create_ready(&self.world.client, vec![NodeBuilder::new(&node)])
            .await
            .unwrap();
        self.world.nodes.push(node);
    }

    /// Gives Everynode a new template to roll out. No pod may stay.
    async fn new_template(&mut self, version: usize) {
        self.staying.clear();
        self.world.set_image(&format!("example/daemon:{version}")).await;
    }

    /// Waits for one pod of the current template on each node and a status that says so. Then asks the three questions.
    async fn is_whole(&mut self, after: &str) {
        self.world.rolled_out_after(after).await;
        let pods = self.world.everywhere("agent").await;
        self.monitor
            .check_one_pod_per_node()
            .unwrap_or_else(|error| panic!("{after}: {error:#}\n{}", self.world.logs()));
        for stayed in &self.staying {
            let found = pods.iter().any(|pod| pod.uid() == stayed.uid());
            assert!(
                found,
                "{after}: {} was replaced for nothing\n{}",
                stayed.name_any(),
                self.world.logs()
            );
        }
        self.staying = pods;
    }

    async fn count(&self, metric: &str) -> f64 {
        self.world
            .executor
            .metric(&format!("everynode_executor_{metric}"), "")
            .await
            .unwrap()
    }

    /// Waits until one of the executor's counters rises above `before`.
    async fn counts(&self, metric: &str, before: f64) {
        let rises = eventually(DEADLINE, format!("{metric} to rise above {before}"), async || {
            let now = self.count(metric).await;
            anyhow::ensure!(now > before, "it is {now}");
            Ok(())
        });
        rises
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.logs()));
    }

    /// Waits until the executor has a session with the planner. Without a session there is none to lose.
    async fn has_session(&self) {
        let opened = eventually(DEADLINE, "a session with the planner", async || {
            anyhow::ensure!(self.count("planner_connected").await > 0.5, "there is none");
            Ok(())
        });
        opened
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.logs()));
    }

    /// Waits until every injected fault has hit a call.
    async fn all_befell(&self, what: &str) {
        let befell = eventually(DEADLINE, format!("calls to be befallen by {what}"), async || {
            let left = self.gateway.faults_left();
            anyhow::ensure!(left == 0, "{left} are to come");
            Ok(())
        });
        befell
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.logs()));
    }

    /// Checks that nothing happened to any pod. Nothing may happen while no one decides, or while no action can be
    /// carried out.
    async fn nothing_was_touched(&self) {
        let pods = daemonsets::pods(&self.world.client, &self.world.namespace, "agent")
            .await
            .unwrap();
        let is_there = |stayed: &Pod| {
            let mut same = pods.iter().filter(|pod| pod.uid() == stayed.uid());
            same.any(|pod| pod.metadata.deletion_timestamp.is_none())
        };
        let all = self.staying.iter().all(is_there);
        assert!(all, "a pod was deleted\n{}", self.world.logs());
        assert!(pods.len() <= self.staying.len() + 1, "a pod was created");
    }
}
