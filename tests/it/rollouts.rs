//! Rollout policies on a real control plane.

mod crashes;
mod handover;
mod holds;
mod observers;
mod order;
mod precedence;
mod stages;
mod templates;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use everynode_executor::rollouts::kinds::{DaemonSetRolloutStatus, StageStatus};
use everynode_tests::control_plane::ControlPlane;
use everynode_tests::daemonsets::{self, DaemonSetBuilder, is_ready, target_node};
use everynode_tests::monitor::Monitor;
use everynode_tests::nodes;
use everynode_tests::rollouts::{self, revision};
use everynode_tests::service::Planner;
use everynode_tests::wait::eventually;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::world::{DEADLINE, World};

const NEW: &str = "example/daemon:2";
const NEWER: &str = "example/daemon:3";
/// The name of the policy of a [`Scene`].
const POLICY: &str = "agent-policy";
/// The label of the nodes of the stage in [`canary_then_all`].
const POOL: &str = "pool";

/// A policy for `agent` with these fields.
fn policy(fields: &Value) -> Value {
    let mut policy = json!({"targetRefs": [{"name": "agent"}]});
    daemonsets::merge(&mut policy, fields);
    policy
}

/// A policy for `agent`: the nodes with the label `pool=canary` first, then, after a promotion, all others.
fn canary_then_all() -> Value {
    policy(&json!({"stages": [canary()]}))
}

/// A stage that has the nodes with the label `pool=canary` and waits for its promotion.
fn canary() -> Value {
    json!({
        "name": "canary",
        "nodeSelector": {"matchLabels": {POOL: "canary"}},
        "promotion": "Manual",
    })
}

/// A cluster with a policy and with the `DaemonSet` `agent`, whose first template is in place and current.
struct Scene {
    world: World,
    /// Records every state of the pods of `agent`.
    monitor: Monitor,
    /// The revision of the first template.
    first: String,
}

impl Scene {
    /// Starts with this number of nodes. The first node has the label `pool=canary`.
    async fn new(nodes: usize, policy: &Value) -> Self {
        let world = World::with_policies(nodes).await;
        Self::start(world, DaemonSetBuilder::new("agent"), policy).await
    }

    /// Like `new`, but the executor reaches the planner and the API server by other routes.
    async fn with_routes(
        nodes: usize,
        policy: &Value,
        routes: impl AsyncFnOnce(&ControlPlane, &Planner) -> (String, PathBuf),
    ) -> Self {
        let world = World::with_policies_and_routes(nodes, routes).await;
        Self::start(world, DaemonSetBuilder::new("agent"), policy).await
    }

    async fn start(world: World, agent: DaemonSetBuilder, policy: &Value) -> Self {
        if let Some(first) = world.nodes.first() {
            label_canary(&world, first).await;
        }
        create_policy(&world, POLICY, policy).await;
        world.create(agent).await;
        world.wait_placed("agent").await;
        let status = wait_rollout(&world, "agent", "complete", |status| {
            status.phase == "Completed" && !status.update_revision.is_empty()
        })
        .await;
        assert_eq!(status.current_revision, status.update_revision);
        let monitor = Monitor::recording(&world.client, &world.namespace, "agent").await;
        Self {
            world,
            monitor: monitor.unwrap(),
            first: status.update_revision,
        }
    }

    /// Waits until the status of `agent`'s rollout is as wanted.
    async fn wait(
        &self,
        what: &str,
        wanted: impl Fn(&DaemonSetRolloutStatus) -> bool,
    ) -> DaemonSetRolloutStatus {
        wait_rollout(&self.world, "agent", what, wanted).await
    }

    /// Waits until `agent`'s rollout has this phase for this reason.
    async fn wait_phase(&self, phase: &str, reason: &str) -> DaemonSetRolloutStatus {
        let what = format!("{phase}, {reason}");
        self.wait(&what, |status| status.phase == phase && status.reason == reason)
            .await
    }

    /// Rolls out an image until the canary waits for its promotion.
    async fn roll_out_to_canary(&self, image: &str) -> DaemonSetRolloutStatus {
        self.world.set_image(image).await;
        let status = self.wait_phase("Waiting", "WaitingForPromotion").await;
        assert_eq!(status.stage, "canary");
        assert_ne!(status.update_revision, self.first);
        status
    }

    /// Promotes a stage of a rollout.
    async fn promote(&self, rollout: i64, stage: &str) {
        self.ask(&json!({"promote": {"rollout": rollout, "stage": stage}}))
            .await;
    }

    /// Asks something of `agent`'s rollout.
    async fn ask(&self, verbs: &Value) {
        let World {
            client, namespace, ..
        } = &self.world;
        rollouts::ask(client, namespace, "agent", verbs).await.unwrap();
    }

    /// The pods of `agent` that aren't being deleted.
    async fn pods(&self) -> Vec<Pod> {
        live_pods(&self.world, "agent").await
    }

    /// The nodes on which a pod of `agent` has this revision.
    async fn nodes_on(&self, wanted: &str) -> BTreeSet<String> {
        let pods = self.pods().await;
        let found = pods.iter().filter(|pod| revision(pod) == wanted);
        found.filter_map(target_node).map(str::to_owned).collect()
    }

    /// Waits until every node has a ready pod of this revision, and no other pod.
    async fn wait_all_on(&self, wanted: &str) -> Vec<Pod> {
        wait_all_on(&self.world, "agent", wanted).await
    }

    /// Deletes the pod on a node and waits for its successor. Returns the successor's revision. The executor sees the
    /// deletion after every earlier change, so whatever an earlier change causes has begun.
    async fn heal(&self, node: &str) -> String {
        heal(&self.world, "agent", node).await
    }

    /// Checks that Everynode replaces nothing but creates missing pods: deletes the pod on a node that the rollout hasn't
    /// reached, waits for its successor of the first revision, and checks that all other pods are still there.
    async fn check_held(&self, node: &str, what: &str) {
        let before = self.pods().await;
        let healed = self.heal(node).await;
        assert_eq!(healed, self.first, "{what}\n{}", self.world.logs());
        let after = self.pods().await;
        check_kept(&before, &after, node, what, &self.world);
    }

    /// Checks that, at every moment, only these nodes had a pod of another revision than the first one.
    fn check_only_on(&self, nodes: &[&str]) {
        let checked = self.monitor.check_states(|state| {
            for (node, pods) in state {
                let is_held = pods.revisions.iter().all(|revision| *revision == self.first);
                ensure!(
                    is_held || nodes.contains(&node.as_str()),
                    "{node} has another revision than {}",
                    self.first
                );
            }
            Ok(())
        });
        checked.unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.logs()));
    }

    /// Checks that at most this number of the nodes ever lacked a ready pod at the same time.
    fn check_unavailable(&self, most: usize) {
        let ready = self.monitor.fewest_ready();
        let nodes = self.world.nodes.len();
        assert!(
            ready + most >= nodes,
            "only {ready} of {nodes} pods were ready\n{}",
            self.world.logs()
        );
    }
}

/// What is remembered of a stage.
#[track_caller]
fn stage<'s>(status: &'s DaemonSetRolloutStatus, name: &str) -> &'s StageStatus {
    let stage = status.stages.iter().find(|stage| stage.name == name);
    stage.unwrap_or_else(|| panic!("the stage {name} hasn't opened: {status:#?}"))
}

/// Checks that all pods but those on this node are still there, and that there are no others.
#[track_caller]
fn check_kept(before: &[Pod], after: &[Pod], node: &str, what: &str, world: &World) {
    let elsewhere = |pods: &[Pod]| {
        let pods = pods.iter().filter(|pod| target_node(pod) != Some(node));
        pods.map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(elsewhere(before), elsewhere(after), "{what}\n{}", world.logs());
}

async fn label_canary(world: &World, node: &str) {
    nodes::label(&world.client, node, POOL, Some("canary"))
        .await
        .unwrap();
}

async fn create_policy(world: &World, name: &str, spec: &Value) {
    rollouts::create_policy(&world.client, &world.namespace, name, spec)
        .await
        .unwrap();
}

/// Waits until the status of a rollout covers the current generation of the `DaemonSet` and is as wanted.
async fn wait_rollout(
    world: &World,
    name: &str,
    what: &str,
    wanted: impl Fn(&DaemonSetRolloutStatus) -> bool,
) -> DaemonSetRolloutStatus {
    let status = rollouts::wait_status(&world.client, &world.namespace, name, DEADLINE, what, wanted).await;
    match status {
        Ok(status) => status,
        Err(error) => panic!("{error:#}\n{}\n{}", world.kubectl_overview().await, world.logs()),
    }
}

/// The pods of a `DaemonSet` that aren't being deleted.
async fn live_pods(world: &World, name: &str) -> Vec<Pod> {
    let pods = daemonsets::pods(&world.client, &world.namespace, name).await;
    let mut pods = pods.unwrap();
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods
}

/// Waits until every node has a ready pod of this revision, and no other pod.
async fn wait_all_on(world: &World, name: &str, wanted: &str) -> Vec<Pod> {
    let found = eventually(
        DEADLINE,
        format!("every pod of {name} to have the revision {wanted}"),
        async || {
            let pods = daemonsets::pods(&world.client, &world.namespace, name).await?;
            let revisions = rollouts::revisions_by_node(&pods);
            let is_ready = pods.iter().all(is_ready);
            let expected = world.nodes.iter();
            let expected: BTreeMap<_, _> = expected
                .map(|node| (node.clone(), vec![wanted.to_owned()]))
                .collect();
            ensure!(
                is_ready && revisions == expected,
                "all ready: {is_ready}; the revisions are {revisions:?}"
            );
            Ok(pods)
        },
    );
    match found.await {
        Ok(pods) => pods,
        Err(error) => panic!("{error:#}\n{}\n{}", world.kubectl_overview().await, world.logs()),
    }
}

/// Deletes a `DaemonSet`'s pod on a node, waits for its successor, and returns the successor's revision.
async fn heal(world: &World, name: &str, node: &str) -> String {
    let mut pods = live_pods(world, name).await.into_iter();
    let gone = pods.find(|pod| target_node(pod) == Some(node)).unwrap();
    let api: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    api.delete(&gone.name_any(), &DeleteParams::default())
        .await
        .unwrap();
    let what = format!("the successor of {}", gone.name_any());
    let successor = eventually(DEADLINE, what, async || {
        let pods = daemonsets::pods(&world.client, &world.namespace, name).await?;
        let is_successor =
            |pod: &Pod| target_node(pod) == Some(node) && pod.uid() != gone.uid() && is_ready(pod);
        let successor = pods.into_iter().find(is_successor);
        successor.context("there is none that is ready")
    });
    let successor = successor.await;
    let successor = successor.unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    revision(&successor).to_owned()
}
