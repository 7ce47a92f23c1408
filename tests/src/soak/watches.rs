//! Watches pods, nodes and `DaemonSet`s directly at the API server, and applies their events to the model.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::model::ClusterModel;

/// The delay before a failed watch is retried. It is shorter than Everynode's, so that the checker misses little of
/// what Everynode does after an outage of the API server.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// The model behind a lock, because several tasks update and read it.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedModel(Arc<Mutex<ClusterModel>>);

impl SharedModel {
    pub(super) fn lock(&self) -> MutexGuard<'_, ClusterModel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches the namespace's pods and `DaemonSet`s, and all nodes. Dropping it stops the watches.
#[derive(Debug)]
pub(super) struct Watches {
    _watches: JoinSet<()>,
}

impl Watches {
    pub(super) fn start(client: &Client, namespace: &str, model: &SharedModel) -> Self {
        let mut watches = JoinSet::new();
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        watches.spawn(watch(
            pods,
            model.clone(),
            ClusterModel::on_pod_applied,
            ClusterModel::on_pod_deleted,
            ClusterModel::on_pods_listed,
        ));
        watches.spawn(watch(
            Api::<Node>::all(client.clone()),
            model.clone(),
            ClusterModel::on_node_applied,
            |model, node| model.on_node_deleted(&node.name_any()),
            ClusterModel::on_nodes_listed,
        ));
        let sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
        watches.spawn(watch(
            sets,
            model.clone(),
            ClusterModel::on_set_applied,
            |model, set| model.on_set_deleted(&set.uid().unwrap_or_default()),
            ClusterModel::on_sets_listed,
        ));
        Self { _watches: watches }
    }
}

async fn watch<K>(
    api: Api<K>,
    model: SharedModel,
    on_applied: impl Fn(&mut ClusterModel, &K),
    on_deleted: impl Fn(&mut ClusterModel, &K),
    on_listed: impl Fn(&mut ClusterModel, &[K]),
) where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = watcher::watcher(api, watcher::Config::default());
    pin_mut!(events);
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        // The next list contains what the watch missed while the API server was down.
        let Ok(event) = event else {
            tokio::time::sleep(RETRY_DELAY).await;
            continue;
        };
        let mut model = model.lock();
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => listed.push(object),
            watcher::Event::InitDone => on_listed(&mut model, &std::mem::take(&mut listed)),
            watcher::Event::Apply(object) => on_applied(&mut model, &object),
            watcher::Event::Delete(object) => on_deleted(&mut model, &object),
        }
    }
}
