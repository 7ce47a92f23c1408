//! Feeds the picture from watches of pods, nodes and `DaemonSet`s, straight from the API server.

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

use super::picture::Picture;

/// The delay before a failed watch is retried. It is shorter than Everynode's, so that the checker misses little of
/// what Everynode does once the API server is back.
const WAIT: Duration = Duration::from_millis(200);

/// The picture. Several tasks update and read it.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Picture>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Picture> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches everything in the namespace. Dropping it stops the watches.
#[derive(Debug)]
pub(super) struct Eye {
    _watches: JoinSet<()>,
}

impl Eye {
    pub(super) fn open(client: &Client, namespace: &str, picture: &Shared) -> Self {
        let mut watches = JoinSet::new();
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        watches.spawn(watch(
            pods,
            picture.clone(),
            Picture::saw_pod,
            Picture::lost_pod,
            Picture::keep_pods,
        ));
        watches.spawn(watch(
            Api::<Node>::all(client.clone()),
            picture.clone(),
            Picture::saw_node,
            |picture, node| picture.lost_node(&node.name_any()),
            Picture::keep_nodes,
        ));
        let sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
        watches.spawn(watch(
            sets,
            picture.clone(),
            Picture::saw_set,
            |picture, set| picture.lost_set(&set.uid().unwrap_or_default()),
            Picture::keep_sets,
        ));
        Self { _watches: watches }
    }
}

async fn watch<K>(
    api: Api<K>,
    picture: Shared,
    saw: impl Fn(&mut Picture, &K),
    lost: impl Fn(&mut Picture, &K),
    keep: impl Fn(&mut Picture, &[K]),
) where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = watcher::watcher(api, watcher::Config::default());
    pin_mut!(events);
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        // The list that follows shows what the watch missed while the API server was away.
        let Ok(event) = event else {
            tokio::time::sleep(WAIT).await;
            continue;
        };
        let mut picture = picture.lock();
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => listed.push(object),
            watcher::Event::InitDone => keep(&mut picture, &std::mem::take(&mut listed)),
            watcher::Event::Apply(object) => saw(&mut picture, &object),
            watcher::Event::Delete(object) => lost(&mut picture, &object),
        }
    }
}
