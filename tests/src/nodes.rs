//! Helpers for nodes. Tests create nodes through the API, and kwok simulates them from then on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeSpec, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::wait::eventually;

/// The key of the label and of the taint of control-plane nodes. The example `DaemonSet` tolerates the taint.
pub const MASTER: &str = "node-role.kubernetes.io/master";

/// Builds a node with room for 110 pods, 32 CPUs, 256 GiB of memory and 1 TiB of disk.
#[derive(Debug, Clone)]
pub struct NodeBuilder {
    node: Node,
}

impl NodeBuilder {
    /// Starts with no taints, and with the labels that a kubelet sets.
    pub fn new(name: &str) -> Self {
        let capacity = [
            ("cpu", "32"),
            ("memory", "256Gi"),
            ("ephemeral-storage", "1Ti"),
            ("pods", "110"),
        ];
        let capacity: BTreeMap<_, _> = capacity
            .into_iter()
            .map(|(resource, size)| (resource.to_owned(), Quantity(size.to_owned())))
            .collect();
        let mut node = Node {
            spec: Some(NodeSpec::default()),
            status: Some(NodeStatus {
                allocatable: Some(capacity.clone()),
                capacity: Some(capacity),
                addresses: Some(vec![
                    address("InternalIP", &internal_ip(name)),
                    address("Hostname", name),
                ]),
                ..NodeStatus::default()
            }),
            ..Node::default()
        };
        node.metadata.name = Some(name.to_owned());
        Self { node }
            .label("kubernetes.io/hostname", name)
            .label("kubernetes.io/os", "linux")
            .label("kubernetes.io/arch", "amd64")
    }

    /// Starts with a control-plane node as kubeadm used to create it: with the role's label, and its taint with the
    /// effect `NoSchedule`.
    pub fn master(name: &str) -> Self {
        Self::new(name).label(MASTER, "").taint(MASTER, "", "NoSchedule")
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.node.labels_mut().insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.node
            .annotations_mut()
            .insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds a taint.
    #[must_use]
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        let spec = self.node.spec.get_or_insert_default();
        spec.taints
            .get_or_insert_default()
            .push(taint(key, value, effect));
        self
    }

    /// Sets the size of a resource, such as `pods` or `nvidia.com/gpu`.
    #[must_use]
    pub fn capacity(mut self, resource: &str, size: &str) -> Self {
        let status = self.node.status.get_or_insert_default();
        for sizes in [&mut status.allocatable, &mut status.capacity] {
            sizes
                .get_or_insert_default()
                .insert(resource.to_owned(), Quantity(size.to_owned()));
        }
        self
    }

    /// Changes the status with which the node is created.
    #[must_use]
    pub fn status(mut self, change: impl FnOnce(&mut NodeStatus)) -> Self {
        change(self.node.status.get_or_insert_default());
        self
    }

    /// Keeps the node from ever becoming ready.
    #[must_use]
    pub fn unready(self) -> Self {
        self.annotation("everynode.test/ready", "false")
    }

    /// Returns the object.
    pub fn build(self) -> Node {
        self.node
    }

    /// Creates the node without waiting until it is ready.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn create(self, client: &Client) -> Result<Node> {
        let name = self.node.name_any();
        let created = Api::all(client.clone())
            .create(&PostParams::default(), &self.node)
            .await;
        created.with_context(|| format!("creating the node {name}"))
    }
}

/// Makes a taint. An empty value means none.
pub fn taint(key: &str, value: &str, effect: &str) -> Taint {
    let value = (!value.is_empty()).then(|| value.to_owned());
    Taint {
        key: key.to_owned(),
        value,
        effect: effect.to_owned(),
        time_added: None,
    }
}

fn address(kind: &str, address: &str) -> NodeAddress {
    NodeAddress {
        type_: kind.to_owned(),
        address: address.to_owned(),
    }
}

/// Derives an address from the name, so that people can tell nodes apart. Nobody connects to it, so it doesn't have to
/// be unique.
fn internal_ip(name: &str) -> String {
    let sum = name.bytes().fold(7_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    let [_, _, third, fourth] = sum.to_be_bytes();
    format!("172.18.{third}.{}", fourth.clamp(1, 254))
}

/// Creates many nodes in parallel, and waits until all of them are ready.
///
/// # Errors
/// When the API server rejects a node, or the nodes don't become ready.
pub async fn create_ready(client: &Client, nodes: Vec<NodeBuilder>) -> Result<()> {
    let names: Vec<String> = nodes.iter().map(|builder| builder.node.name_any()).collect();
    // For each node, kwok and the controllers also send several requests.
    let deadline =
        Duration::from_secs(30) + Duration::from_millis(50) * u32::try_from(names.len()).unwrap_or(u32::MAX);
    let created = stream::iter(nodes)
        .map(|node| node.create(client))
        .buffer_unordered(32);
    created.try_collect::<Vec<_>>().await?;
    wait_ready(client, &names, deadline).await
}

/// Waits until each of the named nodes is ready and no longer has the taint `node.kubernetes.io/not-ready`.
///
/// # Errors
/// When a node isn't ready by the deadline, or the API server doesn't answer.
pub async fn wait_ready(client: &Client, names: &[String], deadline: Duration) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    eventually(
        deadline,
        format!("{} nodes to be ready", names.len()),
        async || {
            let nodes = api.list(&kube::api::ListParams::default()).await?;
            let ready: Vec<String> = nodes
                .iter()
                .filter(|node| is_ready(node))
                .map(ResourceExt::name_any)
                .collect();
            let missing: Vec<_> = names.iter().filter(|name| !ready.contains(name)).collect();
            ensure!(missing.is_empty(), "not ready: {missing:?}");
            Ok(())
        },
    )
    .await
}

/// Whether a node is ready and no longer has the taint `node.kubernetes.io/not-ready`.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && !taints
            .iter()
            .any(|taint| taint.key == "node.kubernetes.io/not-ready")
}

/// Deletes a node. The controllers handle its pods.
///
/// # Errors
/// When the API server rejects the request.
pub async fn delete(client: &Client, name: &str) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    api.delete(name, &DeleteParams::default())
        .await
        .with_context(|| format!("deleting the node {name}"))?;
    Ok(())
}

/// Sets a label, or removes it when `value` is `None`.
///
/// # Errors
/// When the API server rejects the request.
pub async fn label(client: &Client, name: &str, key: &str, value: Option<&str>) -> Result<Node> {
    patch(client, name, &json!({"metadata": {"labels": {key: value}}})).await
}

/// Replaces all taints.
///
/// # Errors
/// When the API server rejects the request.
pub async fn set_taints(client: &Client, name: &str, taints: &[Taint]) -> Result<Node> {
    patch(client, name, &json!({"spec": {"taints": taints}})).await
}

/// Changes a node by a JSON merge patch.
///
/// # Errors
/// When the API server rejects the request.
pub async fn patch(client: &Client, name: &str, patch: &serde_json::Value) -> Result<Node> {
    let api: Api<Node> = Api::all(client.clone());
    let patched = api
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    patched.with_context(|| format!("patching the node {name} with {patch}"))
}
