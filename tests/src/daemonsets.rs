//! Helpers for `DaemonSet`s and their pods: a builder, and the queries and waits that tests need.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::wait::eventually;

/// Builds a `DaemonSet` whose pods have the label `app=NAME`, with the name of the `DaemonSet`.
#[derive(Debug, Clone)]
pub struct DaemonSetBuilder {
    object: Value,
}

impl DaemonSetBuilder {
    /// Starts with one container, no tolerations, no constraints, and a rolling update of one pod at a time.
    pub fn new(name: &str) -> Self {
        let labels = json!({"app": name});
        let container = json!({"name": "main", "image": "example/daemon:1"});
        Self {
            object: json!({
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {"name": name},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                },
            }),
        }
    }

    /// Merges any JSON into the object (RFC 7396: objects are merged, lists replaced, null removes).
    #[must_use]
    pub fn with(mut self, patch: &Value) -> Self {
        merge(&mut self.object, patch);
        self
    }

    /// Merges any JSON into the pods' spec.
    #[must_use]
    pub fn pod_spec(self, patch: &Value) -> Self {
        self.with(&json!({"spec": {"template": {"spec": patch}}}))
    }

    /// Replaces the container's image. A container whose image matches `non-?existent` never starts.
    #[must_use]
    pub fn image(self, image: &str) -> Self {
        self.container("image", json!(image))
    }

    /// Makes the container use a port of its node.
    #[must_use]
    pub fn host_port(self, port: u16) -> Self {
        self.container("ports", json!([{"containerPort": 80, "hostPort": port}]))
    }

    /// Makes the container request resources, such as `{"cpu": "100m"}`.
    #[must_use]
    pub fn requests(self, requests: &Value) -> Self {
        self.container("resources", json!({"requests": requests}))
    }

    /// Restricts the pods to nodes with this label.
    #[must_use]
    pub fn node_selector(self, key: &str, value: &str) -> Self {
        self.pod_spec(&json!({"nodeSelector": {key: value}}))
    }

    /// Adds a toleration, such as `{"operator": "Exists"}`.
    #[must_use]
    pub fn tolerate(mut self, toleration: &Value) -> Self {
        if let Some(spec) = self
            .object
            .pointer_mut("/spec/template/spec")
            .and_then(Value::as_object_mut)
        {
            let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
            if let Some(tolerations) = tolerations.as_array_mut() {
                tolerations.push(toleration.clone());
            }
        }
        self
    }

    /// Adds an annotation to the pods. Annotations such as `everynode.test/ready` control kwok's stages.
    #[must_use]
    pub fn pod_annotation(self, key: &str, value: &str) -> Self {
        self.with(&json!({"spec": {"template": {"metadata": {"annotations": {key: value}}}}}))
    }

    /// Replaces pods only when somebody deletes them.
    #[must_use]
    pub fn on_delete(self) -> Self {
        self.with(&json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}))
    }

    /// Sets the limits of a rolling update, each a number or a percentage.
    #[must_use]
    pub fn rolling_update(self, max_unavailable: impl Into<Value>, max_surge: impl Into<Value>) -> Self {
        let bounds = json!({"maxUnavailable": max_unavailable.into(), "maxSurge": max_surge.into()});
        self.with(&json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": bounds}}}))
    }

    /// Sets how long a pod has to be ready before it counts as available.
    #[must_use]
    pub fn min_ready_seconds(self, seconds: u32) -> Self {
        self.with(&json!({"spec": {"minReadySeconds": seconds}}))
    }

    /// Returns the object.
    pub fn build(self) -> Value {
        self.object
    }

    /// Creates the `DaemonSet`.
    ///
    /// # Errors
    /// When the API server rejects the request, or the object isn't a `DaemonSet`.
    pub async fn create(self, client: &Client, namespace: &str) -> Result<DaemonSet> {
        let object: DaemonSet =
            serde_json::from_value(self.object).context("decoding the built DaemonSet")?;
        let created = api(client, namespace)
            .create(&PostParams::default(), &object)
            .await;
        created.with_context(|| format!("creating the DaemonSet {namespace}/{}", object.name_any()))
    }

    fn container(mut self, key: &str, value: Value) -> Self {
        let container = self
            .object
            .pointer_mut("/spec/template/spec/containers/0")
            .and_then(Value::as_object_mut);
        if let Some(container) = container {
            container.insert(key.to_owned(), value);
        }
        self
    }
}

/// Merges a patch into any JSON (RFC 7396: objects are merged, lists replaced, null removes).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Some(target) = target.as_object_mut() {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

fn api(client: &Client, namespace: &str) -> Api<DaemonSet> {
    Api::namespaced(client.clone(), namespace)
}

/// Changes a `DaemonSet` by a JSON merge patch.
///
/// # Errors
/// When the API server rejects the request.
pub async fn patch(client: &Client, namespace: &str, name: &str, patch: &Value) -> Result<DaemonSet> {
    let patched = api(client, namespace)
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    patched.with_context(|| format!("patching the DaemonSet {namespace}/{name} with {patch}"))
}

/// Changes the image of one container of the pod template, and leaves everything else as it is.
///
/// # Errors
/// When the API server rejects the request.
pub async fn set_image(
    client: &Client,
    namespace: &str,
    name: &str,
    container: &str,
    image: &str,
) -> Result<()> {
    let containers = json!([{"name": container, "image": image}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let patched = api(client, namespace)
        .patch(name, &PatchParams::default(), &Patch::Strategic(patch))
        .await;
    patched
        .map(drop)
        .with_context(|| format!("setting the image of {namespace}/{name}"))
}

/// Deletes a `DaemonSet`. The garbage collector deletes its pods in the background.
///
/// # Errors
/// When the API server rejects the request.
pub async fn delete(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let deleted = api(client, namespace)
        .delete(name, &DeleteParams::background())
        .await;
    deleted.with_context(|| format!("deleting the DaemonSet {namespace}/{name}"))?;
    Ok(())
}

/// Lists the pods with the label `app=NAME`, including those that are being deleted.
///
/// # Errors
/// When the API server doesn't answer.
pub async fn pods(client: &Client, namespace: &str, name: &str) -> Result<Vec<Pod>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = api
        .list(&ListParams::default().labels(&format!("app={name}")))
        .await;
    Ok(listed
        .with_context(|| format!("listing the pods of {namespace}/{name}"))?
        .items)
}

/// The node that a pod is bound to, or, before the scheduler has bound it, the node that it is meant for.
pub fn target_node(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = &spec.node_name {
        return Some(node);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?
        .node_selector_terms;
    let fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let mut names = fields
        .filter(|field| field.key == "metadata.name")
        .flat_map(|field| field.values.iter().flatten());
    names.next().map(String::as_str)
}

/// Whether a pod has the condition `Ready` and isn't being deleted.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The image of a pod's first container.
pub fn image(pod: &Pod) -> Option<&str> {
    let container = pod.spec.as_ref()?.containers.first()?;
    container.image.as_deref()
}

/// The names of the pods on each node. Pods that are meant for no node are under the empty name.
pub fn by_node(pods: &[Pod]) -> BTreeMap<String, Vec<String>> {
    let mut nodes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in pods {
        nodes
            .entry(target_node(pod).unwrap_or_default().to_owned())
            .or_default()
            .push(pod.name_any());
    }
    nodes
}

/// Waits until each of the named nodes has exactly one pod, all pods are ready, and no pod is elsewhere or being
/// deleted.
///
/// # Errors
/// When that isn't so by the deadline. The error lists the nodes that differ and the pods that aren't ready.
pub async fn wait_placed(
    client: &Client,
    namespace: &str,
    name: &str,
    nodes: &[impl AsRef<str>],
    deadline: Duration,
) -> Result<Vec<Pod>> {
    let wanted: BTreeSet<&str> = nodes.iter().map(AsRef::as_ref).collect();
    eventually(deadline, format!("one ready pod of {name} on each of {wanted:?} and none elsewhere"), async || {
        let pods = pods(client, namespace, name).await?;
        let placed = by_node(&pods);
        let missing: Vec<_> = wanted.iter().filter(|node| !placed.contains_key(**node)).collect();
        let elsewhere: Vec<_> = placed.iter().filter(|(node, _)| !wanted.contains(node.as_str())).collect();
        let several: Vec<_> = placed.iter().filter(|(_, pods)| pods.len() > 1).collect();
        let waiting: Vec<_> = pods.iter().filter(|pod| !is_ready(pod)).map(ResourceExt::name_any).collect();
        ensure!(
            missing.is_empty() && elsewhere.is_empty() && several.is_empty() && waiting.is_empty(),
            "no pod on {missing:?}, pods elsewhere {elsewhere:?}, several on {several:?}, not ready {waiting:?}"
        );
        Ok(pods)
    })
    .await
}

/// Waits until the status covers the current generation and `wanted` accepts it.
///
/// # Errors
/// When that isn't so by the deadline. The error holds the last status that was seen.
pub async fn wait_status(
    client: &Client,
    namespace: &str,
    name: &str,
    deadline: Duration,
    what: &str,
    wanted: impl Fn(&DaemonSetStatus) -> bool,
) -> Result<DaemonSetStatus> {
    let api = api(client, namespace);
    eventually(
        deadline,
        format!("the status of {name} to be as expected ({what})"),
        async || {
            let set = api.get(name).await?;
            let status = set.status.unwrap_or_default();
            ensure!(
                status.observed_generation >= set.metadata.generation,
                "the observed generation is {:?}, the current one {:?}",
                status.observed_generation,
                set.metadata.generation
            );
            ensure!(
                wanted(&status),
                "{}",
                serde_json::to_string(&status).unwrap_or_default()
            );
            Ok(status)
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder_creates_the_described_object() {
        let object = DaemonSetBuilder::new("agent")
            .image("agent:2")
            .host_port(9100)
            .node_selector("disk", "ssd")
            .tolerate(&json!({"operator": "Exists"}))
            .rolling_update(0, "50%")
            .with(&json!({"metadata": {"labels": {"team": "a"}}}))
            .build();
        assert_eq!(
            object["spec"]["template"]["spec"]["containers"][0]["image"],
            "agent:2"
        );
        assert_eq!(
            object["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"],
            9100
        );
        assert_eq!(
            object["spec"]["template"]["spec"]["nodeSelector"],
            json!({"disk": "ssd"})
        );
        assert_eq!(
            object["spec"]["template"]["spec"]["tolerations"],
            json!([{"operator": "Exists"}])
        );
        assert_eq!(
            object["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"],
            "50%"
        );
        assert_eq!(
            object["metadata"],
            json!({"name": "agent", "labels": {"team": "a"}})
        );
        let set: DaemonSet = serde_json::from_value(object).unwrap();
        assert_eq!(set.name_any(), "agent");
    }
}
