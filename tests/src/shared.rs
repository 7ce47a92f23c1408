//! Three control planes that all tests of a process share. Only one test at a time uses each of them.
//!
//! Starting a control plane takes seconds and half a gigabyte; cleaning one up takes milliseconds. Tests wait most of
//! the time, so three of them run at once (`.cargo/config.toml`), each on its own control plane. A test may also
//! disturb its control plane, for instance by stopping the API server. The next test then gets a new one.
//!
//! A control plane has the kinds of rollout policies only while a test uses it that asks for them. So most tests also
//! show that Everynode runs without these kinds.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use everynode_executor::rollouts::kinds::{
    ClusterDaemonSetRolloutPolicy, DaemonSetRollout, DaemonSetRolloutPolicy,
};
use futures::future::try_join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ResourceQuota, Service, ServiceAccount};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::control_plane::{ControlPlane, Options};
use crate::rollouts;
use crate::wait::eventually;

/// Statics are never dropped, but the child processes end with this process anyway.
static SHARED: [Mutex<Option<ControlPlane>>; 3] = [const { Mutex::const_new(None) }; 3];

/// How long cleaning up may take. Among other things, it waits for the garbage collector.
const CLEAN: Duration = Duration::from_secs(30);

/// One of the shared control planes. Dropping it releases the control plane.
#[derive(Debug)]
pub struct ControlPlaneClaim {
    control_plane: MappedMutexGuard<'static, ControlPlane>,
    namespace: String,
}

impl ControlPlaneClaim {
    /// Waits for a free control plane and starts it if necessary, removes what the previous test left behind, and
    /// creates a namespace in which pods can be created.
    ///
    /// # Errors
    /// When the control plane doesn't start or can't be cleaned up.
    pub async fn new() -> Result<Self> {
        let this = Self::claim().await?;
        let client = this.client().await?;
        rollouts::remove_kinds(&client)
            .await
            .context("removing the kinds of rollout policies")?;
        this.in_fresh_namespace(&client).await
    }

    /// Like [`ControlPlaneClaim::new`], but the control plane has the kinds of rollout policies.
    ///
    /// # Errors
    /// As [`ControlPlaneClaim::new`], and when the kinds can't be installed.
    pub async fn with_rollout_policies() -> Result<Self> {
        let this = Self::claim().await?;
        let client = this.client().await?;
        rollouts::install_kinds(&this.control_plane.kubectl()?, &client).await?;
        delete_all::<ClusterDaemonSetRolloutPolicy>(&client).await?;
        delete_namespaced::<DaemonSetRolloutPolicy>(&client, |_| true).await?;
        delete_namespaced::<DaemonSetRollout>(&client, |_| true).await?;
        this.in_fresh_namespace(&client).await
    }

    /// Waits for a free control plane, and removes what the previous test left behind.
    async fn claim() -> Result<Self> {
        let [first, second, third] = &SHARED;
        let mut guard = tokio::select! {
            biased;
            guard = first.lock() => guard,
            guard = second.lock() => guard,
            guard = third.lock() => guard,
        };
        if let Some(disturbed) = guard.take_if(|control_plane| control_plane.is_disturbed()) {
            disturbed.stop().await?;
        }
        match guard.as_mut() {
            Some(control_plane) => {
                control_plane.set_daemonset_controller(false).await?;
                control_plane.ensure_running().await?;
            }
            None => *guard = Some(ControlPlane::start(Options::default()).await?),
        }
        let control_plane = MutexGuard::try_map(guard, Option::as_mut)
            .ok()
            .context("the control plane was started above")?;
        let client = control_plane.client().await?;
        clean(&client)
            .await
            .context("cleaning up after the previous test")?;
        Ok(Self {
            control_plane,
            namespace: String::new(),
        })
    }

    async fn in_fresh_namespace(mut self, client: &Client) -> Result<Self> {
        self.namespace = fresh_namespace(client).await?;
        Ok(self)
    }

    /// The control plane.
    pub fn control_plane(&mut self) -> &mut ControlPlane {
        &mut self.control_plane
    }

    /// A new client with full access.
    ///
    /// # Errors
    /// When it can't be created.
    pub async fn client(&self) -> Result<Client> {
        self.control_plane.client().await
    }

    /// A kubectl whose default namespace is the fresh one.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn kubectl(&self) -> Result<crate::kubectl::Kubectl> {
        Ok(self.control_plane.kubectl()?.in_namespace(&self.namespace))
    }

    /// The fresh namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// Makes a namespace with a new name, and waits for the service account that pods in it need.
///
/// # Errors
/// When the API server refuses, or the service account doesn't appear.
pub async fn fresh_namespace(client: &Client) -> Result<String> {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        ..ObjectMeta::default()
    };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = Namespace {
        metadata,
        ..Namespace::default()
    };
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .context("creating a namespace")?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
    eventually(
        CLEAN,
        format!("the service account of the namespace {name}"),
        async || Ok(accounts.get("default").await?),
    )
    .await?;
    Ok(name)
}

/// Removes what a test may have left behind and what would disturb the next one. Doesn't wait for namespaces, because
/// they take seconds to disappear.
async fn clean(client: &Client) -> Result<()> {
    // First delete what could prevent other deletions, then what would create new pods.
    delete_all::<ValidatingWebhookConfiguration>(client).await?;
    delete_all::<MutatingWebhookConfiguration>(client).await?;
    delete_all::<ValidatingAdmissionPolicyBinding>(client).await?;
    delete_all::<ValidatingAdmissionPolicy>(client).await?;
    delete_namespaced::<DaemonSet>(client, |_| true).await?;
    delete_namespaced::<Pod>(client, |_| true).await?;
    delete_namespaced::<ControllerRevision>(client, |_| true).await?;
    delete_namespaced::<ResourceQuota>(client, |_| true).await?;
    delete_namespaced::<Service>(client, |service| service.name_any() != "kubernetes").await?;
    // An executor that was killed holds its Lease for a while, and the next one would wait for it to expire.
    delete_namespaced::<Lease>(client, |lease| lease.name_any().contains("everynode")).await?;
    delete_all::<RuntimeClass>(client).await?;
    delete_all::<Node>(client).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for namespace in namespaces
        .list(&ListParams::default())
        .await?
        .iter()
        .map(ResourceExt::name_any)
    {
        if namespace.starts_with("test-") {
            // The namespace may be terminating already.
            let _ = namespaces.delete(&namespace, &DeleteParams::default()).await;
        }
    }
    Ok(())
}

async fn delete_all<K>(client: &Client) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let kind = K::kind(&());
    eventually(CLEAN, format!("every {kind} to be gone"), async || {
        let remaining: Vec<_> = api
            .list(&ListParams::default())
            .await?
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        for name in &remaining {
            let _ = api.delete(name, &DeleteParams::default()).await;
        }
        ensure!(
            remaining.is_empty(),
            "{} remain, for example {:?}",
            remaining.len(),
            remaining.first()
        );
        Ok(())
    })
    .await
}

async fn delete_namespaced<K>(client: &Client, selector: impl Fn(&K) -> bool) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let all: Api<K> = Api::all(client.clone());
    let kind = K::kind(&());
    eventually(CLEAN, format!("every {kind} to be gone"), async || {
        let listed = all.list(&ListParams::default()).await?;
        let remaining: Vec<_> = listed.iter().filter(|object| selector(object)).collect();
        try_join_all(remaining.iter().map(|object| remove(client, *object))).await?;
        ensure!(
            remaining.is_empty(),
            "{} remain, for example {:?}",
            remaining.len(),
            remaining.first().map(|object| object.name_any())
        );
        Ok(())
    })
    .await
}

/// Deletes an object at once: without a grace period, and with its finalizers removed first.
async fn remove<K>(client: &Client, object: &K) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    let name = object.name_any();
    if !object.finalizers().is_empty() {
        let patch = json!({"metadata": {"finalizers": null}});
        let _ = api
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
    }
    match api
        .delete(&name, &DeleteParams::background().grace_period(0))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error).with_context(|| format!("deleting the {} {name}", K::kind(&()))),
    }
}
