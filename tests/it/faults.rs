//! Fault injection: connections, responses, watches and clocks fail between the programs and their peers.
//!
//! Each test sets up a [`Scene`], injects a fault while there is work to do, and then checks the same three things: no
//! node ever had more than one live pod, no pod is missing, and no pod was replaced without a reason.

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

use crate::world::{DEADLINE, World, identities};

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
    /// The pods that Everynode has no reason to replace.
    pods_to_keep: Vec<Pod>,
}

impl Scene {
    async fn new() -> Self {
        Self::with_agent(DaemonSetBuilder::new("agent").rolling_update("50%", 0)).await
    }

    async fn with_agent(agent: DaemonSetBuilder) -> Self {
        let mut proxies = None;
        let routes = async |control_plane: &ControlPlane, planner: &Planner| {
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
        let world = World::with_routes(4, routes).await;
        let (planner_line, clock, api_line, gateway) = proxies.unwrap();
        world.create(agent).await;
        let pods_to_keep = world.wait_placed("agent").await;
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
            pods_to_keep,
        }
    }

    /// Gives Everynode two pods to create: one to replace a deleted pod, and one on a new node.
    async fn add_work(&mut self) {
        let pods: Api<Pod> = Api::namespaced(self.world.client.clone(), &self.world.namespace);
        let pod = self.pods_to_keep.pop().unwrap();
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
    async fn change_template(&mut self, version: usize) {
        self.pods_to_keep.clear();
        self.world.set_image(&format!("example/daemon:{version}")).await;
    }

    /// Waits for one pod of the current template on each node and a status that says so. Then checks that no node ever
    /// had more than one live pod, and that no pod to keep was replaced.
    async fn wait_converged(&mut self, after: &str) {
        self.world.wait_rolled_out_after(after).await;
        let pods = self.world.wait_placed("agent").await;
        self.monitor
            .check_one_pod_per_node()
            .unwrap_or_else(|error| panic!("{after}: {error:#}\n{}", self.world.logs()));
        for kept in &self.pods_to_keep {
            let found = pods.iter().any(|pod| pod.uid() == kept.uid());
            assert!(
                found,
                "{after}: {} was replaced without a reason\n{}",
                kept.name_any(),
                self.world.logs()
            );
        }
        self.pods_to_keep = pods;
    }

    async fn metric(&self, metric: &str) -> f64 {
        self.world
            .executor
            .metric(&format!("everynode_executor_{metric}"), "")
            .await
            .unwrap()
    }

    /// Waits until one of the executor's counters rises above `before`.
    async fn wait_metric_above(&self, metric: &str, before: f64) {
        let risen = eventually(DEADLINE, format!("{metric} to rise above {before}"), async || {
            let now = self.metric(metric).await;
            anyhow::ensure!(now > before, "the value is {now}");
            Ok(())
        });
        risen
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.logs()));
    }

    /// Waits until the executor has a session with the planner, so that a fault has a session to end.
    async fn wait_session(&self) {
        let opened = eventually(DEADLINE, "a session with the planner", async || {
            anyhow::ensure!(
                self.metric("planner_connected").await > 0.5,
                "the executor has no session"
            );
            Ok(())
        });
        opened
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.logs()));
    }

    /// Waits until every injected fault has hit a call.
    async fn wait_faults_injected(&self, what: &str) {
        let injected = eventually(DEADLINE, format!("faults to hit calls: {what}"), async || {
            let left = self.gateway.faults_left();
            anyhow::ensure!(left == 0, "{left} faults are left");
            Ok(())
        });
        injected
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.logs()));
    }

    /// Checks that the pods to keep are the only pods, except for terminating ones: the pod that `add_work` deleted may
    /// still be there. Call this while Everynode can't act, or must not.
    async fn check_pods_untouched(&self) {
        let mut pods = daemonsets::pods(&self.world.client, &self.world.namespace, "agent")
            .await
            .unwrap();
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        assert_eq!(
            identities(&pods),
            identities(&self.pods_to_keep),
            "a pod was created or deleted\n{}",
            self.world.logs()
        );
    }
}
