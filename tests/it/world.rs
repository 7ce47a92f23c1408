//! The setup that most tests start with: the shared cluster with some nodes, and Everynode running on it.

use std::path::PathBuf;
use std::time::Duration;

use everynode_tests::control_plane::ControlPlane;
use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::{Executor, Planner, ServiceOptions};
use everynode_tests::shared::ControlPlaneClaim;
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Event, Pod, ResourceQuota};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

/// Deadline for anything that normally takes a moment.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A cluster with nodes `node-01`, `node-02`, …, and a planner and an executor.
pub(crate) struct World {
    // Fields are dropped in this order: Everynode stops before another test gets the cluster.
    pub(crate) executor: Executor,
    pub(crate) planner: Planner,
    pub(crate) claim: ControlPlaneClaim,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) nodes: Vec<String>,
    pub(crate) programs: Programs,
}

impl World {
    pub(crate) async fn new(node_count: usize) -> Self {
        Self::with_options(node_count, ServiceOptions::default(), ServiceOptions::default()).await
    }

    /// Like `new`, with these options for planner and executor.
    pub(crate) async fn with_options(
        node_count: usize,
        planner: ServiceOptions,
        executor: ServiceOptions,
    ) -> Self {
        let claim = ControlPlaneClaim::new().await.unwrap();
        let direct = async |control_plane: &ControlPlane, planner: &Planner| {
            (planner.url(), control_plane.kubeconfig().to_owned())
        };
        Self::start(claim, node_count, planner, executor, direct).await
    }

    /// Like `new`, in a cluster with the kinds of rollout policies.
    pub(crate) async fn with_policies(node_count: usize) -> Self {
        let direct = async |control_plane: &ControlPlane, planner: &Planner| {
            (planner.url(), control_plane.kubeconfig().to_owned())
        };
        Self::with_policies_and_routes(node_count, direct).await
    }

    /// Like `with_routes`, in a cluster with the kinds of rollout policies.
    pub(crate) async fn with_policies_and_routes(
        node_count: usize,
        routes: impl AsyncFnOnce(&ControlPlane, &Planner) -> (String, PathBuf),
    ) -> Self {
        let claim = ControlPlaneClaim::with_rollout_policies().await.unwrap();
        let usual = ServiceOptions::default;
        Self::start(claim, node_count, usual(), usual(), routes).await
    }

    /// Like `new`, but the executor reaches the planner by the URL and the API server by the kubeconfig that `routes`
    /// returns.
    pub(crate) async fn with_routes(
        node_count: usize,
        routes: impl AsyncFnOnce(&ControlPlane, &Planner) -> (String, PathBuf),
    ) -> Self {
        let claim = ControlPlaneClaim::new().await.unwrap();
        let usual = ServiceOptions::default;
        Self::start(claim, node_count, usual(), usual(), routes).await
    }

    async fn start(
        mut claim: ControlPlaneClaim,
        node_count: usize,
        planner: ServiceOptions,
        executor: ServiceOptions,
        routes: impl AsyncFnOnce(&ControlPlane, &Planner) -> (String, PathBuf),
    ) -> Self {
        let client = claim.client().await.unwrap();
        let namespace = claim.namespace().to_owned();
        let nodes: Vec<_> = (1..=node_count)
            .map(|number| format!("node-{number:02}"))
            .collect();
        let builders = nodes.iter().map(|name| NodeBuilder::new(name)).collect();
        nodes::create_ready(&client, builders).await.unwrap();
        let programs = Programs::built(Profile::Dev).await.unwrap();
        let planner = Planner::start(&programs, planner).await.unwrap();
        let (url, kubeconfig) = routes(claim.control_plane(), &planner).await;
        let executor = Executor::start(&programs, &url, &kubeconfig, executor)
            .await
            .unwrap();
        Self {
            executor,
            planner,
            claim,
            client,
            namespace,
            nodes,
            programs,
        }
    }

    /// Like `new`, with the `DaemonSet` `agent` and its pods in place.
    pub(crate) async fn with_agent(node_count: usize) -> (Self, Vec<Pod>) {
        let world = Self::new(node_count).await;
        world.create(DaemonSetBuilder::new("agent")).await;
        let pods = world.wait_placed("agent").await;
        (world, pods)
    }

    /// Stops the executor and starts another one with these flags.
    pub(crate) async fn replace_executor(&mut self, flags: &[&str]) {
        self.executor.stop().await.unwrap();
        let options = ServiceOptions {
            flags: flags.iter().copied().map(str::to_owned).collect(),
            ..ServiceOptions::default()
        };
        let kubeconfig = self.claim.control_plane().kubeconfig();
        self.executor = Executor::start(&self.programs, &self.planner.url(), kubeconfig, options)
            .await
            .unwrap();
    }

    pub(crate) async fn create(&self, daemon_set: DaemonSetBuilder) -> DaemonSet {
        daemon_set.create(&self.client, &self.namespace).await.unwrap()
    }

    /// Limits the namespace to this many pods with the quota `few`.
    pub(crate) async fn create_quota(&self, pods: u32) -> Api<ResourceQuota> {
        let quotas: Api<ResourceQuota> = Api::namespaced(self.client.clone(), &self.namespace);
        let hard = json!({"pods": pods.to_string()});
        let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": hard}});
        let quota = serde_json::from_value(quota).unwrap();
        quotas.create(&PostParams::default(), &quota).await.unwrap();
        let counted = eventually(DEADLINE, "the quota to be in force", async || {
            let status = quotas.get("few").await?.status.unwrap_or_default();
            anyhow::ensure!(
                status.hard.is_some_and(|hard| hard.contains_key("pods")),
                "the quota has no limit on pods yet"
            );
            Ok(())
        });
        counted.await.unwrap();
        quotas
    }

    /// Changes the image of `agent`, and so its template.
    pub(crate) async fn set_image(&self, image: &str) {
        self.set_image_of("agent", image).await;
    }

    /// Changes the image of a `DaemonSet`, and so its template.
    pub(crate) async fn set_image_of(&self, name: &str, image: &str) {
        let containers = json!([{"name": "main", "image": image}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        daemonsets::patch(&self.client, &self.namespace, name, &patch)
            .await
            .unwrap();
    }

    /// Waits until the status covers the current generation and `wanted` accepts it.
    pub(crate) async fn wait_status(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&DaemonSetStatus) -> bool,
    ) -> DaemonSetStatus {
        let status =
            daemonsets::wait_status(&self.client, &self.namespace, name, DEADLINE, what, wanted).await;
        status.unwrap_or_else(|error| panic!("{error:#}\n{}", self.logs()))
    }

    /// Waits until every node has an available pod of `agent`'s current template.
    pub(crate) async fn wait_rolled_out(&self) {
        self.wait_rolled_out_after("a change").await;
    }

    /// Like `wait_rolled_out`. The failure message names `what`, the change before the rollout.
    pub(crate) async fn wait_rolled_out_after(&self, what: &str) {
        let nodes = i32::try_from(self.nodes.len()).unwrap();
        self.wait_status("agent", &format!("rolled out after {what}"), |status| {
            status.desired_number_scheduled == nodes
                && status.updated_number_scheduled == Some(nodes)
                && status.number_available == Some(nodes)
        })
        .await;
    }

    /// Waits for one ready pod on every node, and none elsewhere.
    pub(crate) async fn wait_placed(&self, name: &str) -> Vec<Pod> {
        let placed =
            daemonsets::wait_placed(&self.client, &self.namespace, name, &self.nodes, DEADLINE).await;
        placed.unwrap_or_else(|error| panic!("{error:#}\n{}", self.logs()))
    }

    /// Waits for one pod on every node and none elsewhere, ready or not. Pods that are being deleted don't count.
    pub(crate) async fn wait_one_pod_per_node(&self, name: &str) -> Vec<Pod> {
        let what = format!("one pod of {name} on each of {:?}", self.nodes);
        let placed = eventually(DEADLINE, what, async || {
            let mut pods = daemonsets::pods(&self.client, &self.namespace, name).await?;
            pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
            let placed = daemonsets::by_node(&pods);
            let nodes: Vec<_> = placed.keys().cloned().collect();
            let single = placed.values().all(|pods| pods.len() == 1);
            anyhow::ensure!(nodes == self.nodes && single, "the pods are on {placed:?}");
            Ok(pods)
        });
        placed
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.logs()))
    }

    /// Waits for an event on the `DaemonSet` with this reason whose message contains this text.
    pub(crate) async fn wait_event(&self, name: &str, reason: &str, text: &str) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let what = format!("an event {reason} on {name} that contains {text:?}");
        let found = eventually(DEADLINE, what, async || {
            let fields = format!("involvedObject.name={name},reason={reason}");
            let events = events.list(&ListParams::default().fields(&fields)).await?;
            let messages: Vec<_> = events.iter().filter_map(|event| event.message.clone()).collect();
            let found = messages.iter().any(|message| message.contains(text));
            anyhow::ensure!(found, "the events are {messages:?}");
            Ok(())
        });
        found
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.logs()));
    }

    /// What an operator would check first: `DaemonSet`s, revisions and pods as kubectl shows them.
    pub(crate) async fn kubectl_overview(&self) -> String {
        let kubectl = self.claim.kubectl().unwrap();
        let hash = "-Lcontroller-revision-hash";
        let mut overview = String::new();
        for kind in ["daemonsets", "controllerrevisions", "pods"] {
            let shown = kubectl.run(["get", kind, "-owide", hash]).await;
            overview += &shown.unwrap_or_else(|error| format!("{error:#}"));
        }
        overview
    }

    pub(crate) fn logs(&self) -> String {
        let (executor, planner) = (self.executor.log_tail(40), self.planner.log_tail(20));
        format!("the executor's log:\n{executor}\nthe planner's log:\n{planner}")
    }
}

/// Names with uids, sorted.
pub(crate) fn identities(pods: &[Pod]) -> Vec<(String, String)> {
    let mut identities: Vec<_> = pods
        .iter()
        .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
        .collect();
    identities.sort();
    identities
}
