//! One of the two control planes, with the actions that a scenario can take on it.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::state::State;
use super::{SCENARIO, node_name};
use crate::daemonsets::{self, DaemonSetBuilder, target_node};
use crate::kubectl::Kubectl;
use crate::wait::eventually;

/// The clients of a control plane.
#[derive(Clone)]
pub struct ClusterClients {
    /// A client with full access.
    pub client: Client,
    /// A kubectl with full access.
    pub kubectl: Kubectl,
}

impl fmt::Debug for ClusterClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterClients")
            .field("kubectl", &self.kubectl)
            .finish_non_exhaustive()
    }
}

/// A scenario's namespace and nodes on one of the two control planes.
#[derive(Debug)]
pub struct Side {
    scenario: String,
    controller: &'static str,
    clients: ClusterClients,
    namespace: String,
}

impl Side {
    pub(super) async fn new(
        scenario: &str,
        controller: &'static str,
        clients: &ClusterClients,
    ) -> Result<Self> {
        let namespace = format!("test-{scenario}");
        let metadata = ObjectMeta {
            name: Some(namespace.clone()),
            ..ObjectMeta::default()
        };
        let object = Namespace {
            metadata,
            ..Namespace::default()
        };
        let client = clients.client.clone();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let created = namespaces.create(&PostParams::default(), &object).await;
        created.with_context(|| format!("creating the namespace {namespace}"))?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
        let ready = eventually(super::DEADLINE, "the default service account", async || {
            Ok(accounts.get("default").await?)
        });
        ready.await?;
        Ok(Self {
            scenario: scenario.to_owned(),
            controller,
            clients: ClusterClients {
                kubectl: clients.kubectl.in_namespace(&namespace),
                client,
            },
            namespace,
        })
    }

    /// The name of the controller that manages `DaemonSet`s on this side.
    pub fn controller(&self) -> &'static str {
        self.controller
    }

    /// A client with full access.
    pub fn client(&self) -> &Client {
        &self.clients.client
    }

    /// The scenario's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the scenario's node with this number.
    pub fn node(&self, number: usize) -> String {
        node_name(&self.scenario, number)
    }

    /// A client for one kind of object in the scenario's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.clients.client.clone(), &self.namespace)
    }

    /// Runs kubectl in the scenario's namespace.
    ///
    /// # Errors
    /// When kubectl fails. The error holds its standard error.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.clients.kubectl.run(args).await
    }

    /// Creates a `DaemonSet` that is restricted to the scenario's nodes.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn create(&self, daemon_set: DaemonSetBuilder) -> Result<()> {
        let selecting = daemon_set.node_selector(SCENARIO, &self.scenario);
        selecting.create(&self.clients.client, &self.namespace).await?;
        Ok(())
    }

    /// Changes a `DaemonSet` by a JSON merge patch.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn patch(&self, name: &str, patch: &Value) -> Result<()> {
        daemonsets::patch(&self.clients.client, &self.namespace, name, patch).await?;
        Ok(())
    }

    /// Adds an annotation to a `DaemonSet` and removes it again. The change triggers a reconcile in a controller that
    /// wouldn't start one by itself.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn trigger_reconcile(&self, name: &str) -> Result<()> {
        for value in [Some("yes"), None] {
            let annotations = json!({"metadata": {"annotations": {"reconcile-trigger": value}}});
            self.patch(name, &annotations).await?;
        }
        Ok(())
    }

    /// Changes the pods' template by a JSON merge patch.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn patch_template(&self, name: &str, patch: &Value) -> Result<()> {
        self.patch(name, &json!({"spec": {"template": patch}})).await
    }

    /// Changes the image of the only container.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn set_image(&self, name: &str, image: &str) -> Result<()> {
        let containers = json!([{"name": "main", "image": image}]);
        self.patch_template(name, &json!({"spec": {"containers": containers}}))
            .await
    }

    /// Lists the pods of a `DaemonSet`, by the label that its builder gives them.
    ///
    /// # Errors
    /// When the API server doesn't answer.
    pub async fn pods(&self, name: &str) -> Result<Vec<Pod>> {
        daemonsets::pods(&self.clients.client, &self.namespace, name).await
    }

    /// Finds the first pod of a `DaemonSet` on the scenario's node with this number.
    ///
    /// # Errors
    /// When there is no such pod, or the API server doesn't answer.
    pub async fn pod_on(&self, name: &str, number: usize) -> Result<Pod> {
        let (pods, node) = (self.pods(name).await?, self.node(number));
        let found = pods.into_iter().find(|pod| target_node(pod) == Some(&node));
        found.with_context(|| format!("no pod of {name} is on {node}"))
    }

    /// Changes a pod by a JSON merge patch.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn patch_pod(&self, pod: &Pod, patch: &Value) -> Result<()> {
        let api: Api<Pod> = self.api();
        let patched = api
            .patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch))
            .await;
        patched.with_context(|| format!("patching the pod {} with {patch}", pod.name_any()))?;
        Ok(())
    }

    /// Sets the annotation `everynode.test/SETTING` of a pod, which controls kwok. Removes it when `value` is `None`.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn set_kwok_annotation(&self, pod: &Pod, setting: &str, value: Option<&str>) -> Result<()> {
        let annotation = format!("everynode.test/{setting}");
        self.patch_pod(pod, &json!({"metadata": {"annotations": {annotation: value}}}))
            .await
    }

    /// Deletes a pod as `kubectl delete pod` does.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn delete_pod(&self, pod: &Pod) -> Result<()> {
        let api: Api<Pod> = self.api();
        let deleted = api.delete(&pod.name_any(), &DeleteParams::default()).await;
        deleted.with_context(|| format!("deleting the pod {}", pod.name_any()))?;
        Ok(())
    }

    /// Removes a pod without a grace period, as the pod garbage collector removes the pods of a node that is gone.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn remove_pod(&self, pod: &Pod) -> Result<()> {
        let api: Api<Pod> = self.api();
        let at_once = DeleteParams::default().grace_period(0);
        let deleted = api.delete(&pod.name_any(), &at_once).await;
        deleted.with_context(|| format!("removing the pod {}", pod.name_any()))?;
        Ok(())
    }

    /// Deletes a `DaemonSet`. The garbage collector handles its pods as `how` says.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub async fn delete(&self, name: &str, how: &DeleteParams) -> Result<()> {
        let api: Api<DaemonSet> = self.api();
        let deleted = api.delete(name, how).await;
        deleted.with_context(|| format!("deleting the DaemonSet {name}"))?;
        Ok(())
    }

    /// Waits until no `DaemonSet` has this name any more.
    ///
    /// # Errors
    /// When it still exists after the time that a step may take.
    pub async fn wait_gone(&self, name: &str) -> Result<()> {
        let api: Api<DaemonSet> = self.api();
        let gone = eventually(
            super::DEADLINE,
            format!("the end of the DaemonSet {name}"),
            async || {
                ensure!(api.get_opt(name).await?.is_none(), "still exists");
                Ok(())
            },
        );
        gone.await
    }

    pub(super) async fn state(&self) -> Result<State> {
        State::read(&self.clients.client, &self.namespace).await
    }
}
