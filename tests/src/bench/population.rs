//! The objects in a benchmark's cluster: thousands of nodes, `DaemonSet`s and pods like those in real clusters.

use std::collections::BTreeMap;
use std::future::Future;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{ContainerImage, NodeCondition, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::Settings;
use crate::daemonsets::{DaemonSetBuilder, merge};
use crate::nodes::NodeBuilder;

/// The namespace of all objects.
pub(crate) const NAMESPACE: &str = "default";
/// The container's first image.
pub(crate) const IMAGE: &str = "registry.example/monitoring/agent:1.9.1";
/// The container's image after an update.
pub(crate) const NEXT_IMAGE: &str = "registry.example/monitoring/agent:1.10.0";
/// How many requests the benchmark itself sends at once while it isn't measuring them.
pub(crate) const CONCURRENCY: usize = 64;

/// The name of the node with this index.
pub(crate) fn node_name(index: usize) -> String {
    format!("node-{index:05}")
}

/// A node with labels, conditions and images like those that a kubelet reports.
pub(crate) fn node(name: &str) -> NodeBuilder {
    let zone = name.bytes().fold(0, u8::wrapping_add) % 3;
    let labels = [
        ("node.kubernetes.io/instance-type", "m5.2xlarge".to_owned()),
        ("topology.kubernetes.io/region", "region-1".to_owned()),
        (
            "topology.kubernetes.io/zone",
            format!("region-1{}", char::from(b'a' + zone)),
        ),
        ("example.com/pool", "general".to_owned()),
        ("example.com/generation", "4".to_owned()),
    ];
    let builder = labels.iter().fold(NodeBuilder::new(name), |node, (key, value)| {
        node.label(key, value)
    });
    builder.status(|status| {
        status.conditions = Some(
            ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]
                .map(condition)
                .into(),
        );
        status.images = Some((0..10).map(image).collect());
    })
}

fn condition(kind: &str) -> NodeCondition {
    let status = if kind == "Ready" { "True" } else { "False" };
    NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(format!("Kubelet{kind}")),
        message: Some("reported by the kubelet".to_owned()),
        last_heartbeat_time: Some(Time(k8s_openapi::jiff::Timestamp::now())),
        last_transition_time: Some(Time(k8s_openapi::jiff::Timestamp::now())),
    }
}

fn image(index: u8) -> ContainerImage {
    let digest = format!("{index:064x}");
    ContainerImage {
        names: Some(vec![
            format!("registry.example/team/image-{index}@sha256:{digest}"),
            format!("registry.example/team/image-{index}:v1.{index}.0"),
        ]),
        size_bytes: Some(100_000_000),
    }
}

/// The name of the `DaemonSet` with this index, and the value of its pods' label `app`.
pub(crate) fn daemon_set_name(index: usize) -> String {
    format!("daemon-{index:03}")
}

/// A `DaemonSet` like that of a monitoring agent. `padding_bytes` bytes are added to its pods' specs.
pub(crate) fn daemon_set(name: &str, padding_bytes: usize) -> DaemonSetBuilder {
    let mount = |name: &str| json!({"name": name, "mountPath": format!("/host/{name}"), "readOnly": true});
    let volume = |name: &str| json!({"name": name, "hostPath": {"path": format!("/{name}")}});
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let container = json!({
        "name": "agent",
        "image": IMAGE,
        "args": ["--path.procfs=/host/proc", "--path.sysfs=/host/sys", "--collector.netclass.ignored-devices=^(veth.*)$"],
        "env": [
            field("NODE_NAME", "spec.nodeName"),
            field("POD_NAME", "metadata.name"),
            {"name": "PADDING", "value": "x".repeat(padding_bytes)},
        ],
        "ports": [{"name": "metrics", "containerPort": 9100, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}, "periodSeconds": 10},
        "volumeMounts": [mount("proc"), mount("sys")],
    });
    DaemonSetBuilder::new(name)
        .tolerate(&json!({"operator": "Exists"}))
        .pod_spec(&json!({
            "containers": [container],
            "volumes": [volume("proc"), volume("sys")],
            "priorityClassName": "system-node-critical",
        }))
        .rolling_update("10%", 0)
        .with(&json!({"metadata": {"labels": {"bench": "true"}}}))
}

/// A pod as a controller creates it for a node, as JSON; already bound to the node if `bound` is set.
///
/// # Errors
/// When the `DaemonSet` or the pod can't be written as JSON.
pub(crate) fn pod(daemon_set: &DaemonSet, revision: &str, node: &str, bound: bool) -> Result<Vec<u8>> {
    let name = daemon_set.name_any();
    let toleration = |key: &str, effect: &str| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": effect});
    let mut pod = serde_json::to_value(&daemon_set.spec.template).context("encoding the template as JSON")?;
    let given = pod.pointer("/spec/tolerations").and_then(Value::as_array);
    let added = [
        toleration("not-ready", "NoExecute"),
        toleration("unreachable", "NoExecute"),
        toleration("disk-pressure", "NoSchedule"),
        toleration("memory-pressure", "NoSchedule"),
        toleration("pid-pressure", "NoSchedule"),
        toleration("unschedulable", "NoSchedule"),
    ];
    let tolerations: Vec<_> = given
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .chain(added)
        .collect();
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
    ]}}});
    let change = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("{name}-"),
            "labels": {"controller-revision-hash": revision, "pod-template-generation": "1"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "uid": daemon_set.uid(),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {"affinity": affinity, "tolerations": tolerations, "nodeName": bound.then_some(node)},
    });
    merge(&mut pod, &change);
    serde_json::to_vec(&pod).context("encoding a pod as JSON")
}

/// The status of a pod whose container runs, ready or not, as a merge patch.
pub(crate) fn pod_status(ready: bool) -> Value {
    let now = k8s_openapi::jiff::Timestamp::now();
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |kind: &str, holds: bool| {
        let status = if holds { "True" } else { "False" };
        json!({"type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": now})
    };
    let container = json!({
        "name": "agent",
        "image": IMAGE,
        "imageID": format!("registry.example/monitoring/agent@sha256:{:064x}", 7),
        "containerID": format!("containerd://{:064x}", 8),
        "ready": ready,
        "started": true,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    });
    json!({"status": {
        "phase": "Running",
        "hostIP": "10.0.0.1",
        "podIP": "10.244.0.1",
        "podIPs": [{"ip": "10.244.0.1"}],
        "startTime": now,
        "qosClass": "Burstable",
        "conditions": [
            condition("PodReadyToStartContainers", true),
            condition("Initialized", true),
            condition("Ready", ready),
            condition("ContainersReady", ready),
            condition("PodScheduled", true),
        ],
        "containerStatuses": [container],
    }})
}

/// Processes the items, `concurrency` at a time.
///
/// # Errors
/// The first error that occurs.
pub(crate) async fn for_each<T, F: Future<Output = Result<()>>>(
    items: impl IntoIterator<Item = T>,
    concurrency: usize,
    each: impl FnMut(T) -> F,
) -> Result<()> {
    stream::iter(items)
        .map(each)
        .buffer_unordered(concurrency.max(1))
        .try_collect()
        .await
}

/// The current revision of every `DaemonSet`: its controller-revision-hash by the `DaemonSet`'s name.
///
/// # Errors
/// When the API server doesn't answer.
pub(crate) async fn revisions(client: &Client) -> Result<BTreeMap<String, String>> {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), NAMESPACE);
    let list = api.list(&ListParams::default()).await?;
    let hash = |revision: ControllerRevision| {
        let owner = revision.owner_references().first()?.name.clone();
        Some((owner, revision.labels().get("controller-revision-hash")?.clone()))
    };
    Ok(list.into_iter().filter_map(hash).collect())
}

/// Creates nodes. They report that they are ready, but nothing keeps them ready.
///
/// # Errors
/// When the API server refuses a node.
pub(crate) async fn create_nodes(client: &Client, names: impl IntoIterator<Item = String>) -> Result<()> {
    for_each(names, CONCURRENCY, |name| async move {
        node(&name).create(client).await.map(drop)
    })
    .await
}

/// Creates pods from request bodies, `concurrency` at a time.
///
/// # Errors
/// When the API server refuses a pod.
pub(crate) async fn post_pods(
    client: &Client,
    bodies: impl IntoIterator<Item = Vec<u8>>,
    concurrency: usize,
) -> Result<()> {
    for_each(bodies, concurrency, |body| async move {
        let request = http::Request::post(format!("/api/v1/namespaces/{NAMESPACE}/pods"))
            .header("content-type", "application/json")
            .body(body)?;
        let answer = client.request_text(request).await;
        answer.map(drop).context("creating a pod")
    })
    .await
}

/// The names of all pods, in the order of the API server's list.
///
/// # Errors
/// When the API server doesn't answer.
pub(crate) async fn pod_names(client: &Client) -> Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let mut names = Vec::new();
    let mut page = ListParams::default().limit(2_000);
    loop {
        let list = pods.list_metadata(&page).await.context("listing the pods")?;
        names.extend(list.items.iter().map(ResourceExt::name_any));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(names),
        }
    }
}

/// Sets the status of every pod to running and ready.
///
/// # Errors
/// When the API server refuses a change.
pub(crate) async fn mark_pods_ready(client: &Client) -> Result<()> {
    let pods: &Api<Pod> = &Api::namespaced(client.clone(), NAMESPACE);
    let patch = &pod_status(true);
    for_each(pod_names(client).await?, CONCURRENCY, |name| async move {
        patch_pod_status(pods, &name, patch).await
    })
    .await
}

/// Patches a pod's status.
///
/// # Errors
/// When the API server refuses the patch.
pub(crate) async fn patch_pod_status(pods: &Api<Pod>, name: &str, patch: &Value) -> Result<()> {
    let patched = pods
        .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    patched
        .map(drop)
        .with_context(|| format!("patching the status of the pod {name}"))
}

/// Creates the benchmark's `DaemonSet`s.
///
/// # Errors
/// When the API server refuses a `DaemonSet`.
pub(crate) async fn create_daemon_sets(client: &Client, settings: &Settings) -> Result<Vec<DaemonSet>> {
    let mut created = Vec::new();
    for index in 0..settings.daemonsets {
        let builder = daemon_set(&daemon_set_name(index), settings.padding_bytes);
        created.push(builder.create(client, NAMESPACE).await?);
    }
    Ok(created)
}

/// The expected statuses of the benchmark's `DaemonSet`s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// How many `DaemonSet`s there are.
    pub(crate) daemon_sets: usize,
    /// How many nodes should have a pod.
    pub(crate) nodes: usize,
    /// Whether the pods must also be available.
    pub(crate) available: bool,
}

impl Expected {
    /// Every `DaemonSet` has a pod on every node; each pod is available if `available` is set.
    pub(crate) fn everywhere(settings: &Settings, available: bool) -> Self {
        Self {
            daemon_sets: settings.daemonsets,
            nodes: settings.nodes,
            available,
        }
    }
}

/// Checks every status.
///
/// # Errors
/// Names the first status that isn't as expected.
pub(crate) async fn check_statuses(client: &Client, expected: Expected) -> Result<()> {
    let api: Api<DaemonSet> = Api::namespaced(client.clone(), NAMESPACE);
    let list = api.list(&ListParams::default().labels("bench=true")).await?;
    ensure!(
        list.items.len() == expected.daemon_sets,
        "found {} of {} DaemonSets",
        list.items.len(),
        expected.daemon_sets
    );
    let nodes = i32::try_from(expected.nodes)?;
    for daemon_set in list {
        let status = daemon_set.status.clone().unwrap_or_default();
        ensure!(
            status.observed_generation == daemon_set.metadata.generation
                && status.desired_number_scheduled == nodes
                && status.current_number_scheduled == nodes
                && status.updated_number_scheduled == Some(nodes)
                && (!expected.available || status.number_available == Some(nodes)),
            "{}: {status:?}",
            daemon_set.name_any()
        );
    }
    Ok(())
}
