//! An eye on a `DaemonSet`'s pods that never blinks: it sees every state that the API server has been through, also those
//! that last for a moment only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::daemonsets::target_node;

/// Watches the pods with the label `app=NAME` until it is dropped.
#[derive(Debug)]
pub struct Monitor {
    seen: watch::Receiver<Seen>,
    task: AbortHandle,
}

/// What has been seen so far.
#[derive(Debug, Clone, Default)]
struct Seen {
    events: usize,
    /// Moments at which a node had more than one live pod.
    crowds: Vec<String>,
    /// Why the watch has ended.
    blind: Option<String>,
}

impl Monitor {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the API server doesn't answer.
    pub async fn start(client: &Client, namespace: &str, name: &str) -> Result<Self> {
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let selector = format!("app={name}");
        let listed = api
            .list(&ListParams::default().labels(&selector))
            .await
            .context("listing pods")?;
        let version = listed.metadata.resource_version.clone().unwrap_or_default();
        let params = WatchParams::default().labels(&selector);
        let mut events = api.watch(&params, &version).await.context("watching pods")?.boxed();
        let (sender, seen) = watch::channel(Seen::default());
        let mut live = Live::default();
        listed.items.iter().for_each(|pod| drop(live.set(pod)));
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let outcome = match event {
                    Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => Ok(live.set(&pod)),
                    Ok(WatchEvent::Deleted(pod)) => Ok(live.remove(&pod)),
                    Ok(WatchEvent::Bookmark(_)) => continue,
                    Ok(WatchEvent::Error(status)) => Err(status.message),
                    Err(error) => Err(error.to_string()),
                };
                sender.send_modify(|seen| {
                    seen.events += 1;
                    match outcome {
                        Ok(crowd) => seen.crowds.extend(crowd),
                        Err(reason) => seen.blind = Some(reason),
                    }
                });
            }
            sender.send_modify(|seen| seen.blind = Some("the watch has ended".to_owned()));
        });
        Ok(Self { seen, task: task.abort_handle() })
    }

    /// Waits until so many more events have been seen, and says whether they came before the deadline.
    pub async fn events(&mut self, more: usize, deadline: Duration) -> bool {
        let target = self.seen.borrow().events + more;
        let enough = self.seen.wait_for(|seen| seen.events >= target || seen.blind.is_some());
        tokio::time::timeout(deadline, enough).await.is_ok()
    }

    /// Says whether never more than one pod was alive on a node: neither being deleted nor over.
    ///
    /// # Errors
    /// When there were, or when the watch was interrupted and can't tell.
    pub fn never_crowded(&self) -> Result<()> {
        let seen = self.seen.borrow();
        ensure!(seen.crowds.is_empty(), "several live pods on a node: {:?}", seen.crowds);
        ensure!(seen.blind.is_none(), "the monitor saw nothing any more: {:?}", seen.blind);
        Ok(())
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The live pods of each node.
#[derive(Debug, Default)]
struct Live {
    nodes: BTreeMap<Arc<str>, BTreeMap<String, String>>,
}

impl Live {
    fn set(&mut self, pod: &Pod) -> Option<String> {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let over = matches!(phase, Some("Succeeded" | "Failed"));
        if pod.metadata.deletion_timestamp.is_some() || over {
            return self.remove(pod);
        }
        let node: Arc<str> = target_node(pod).unwrap_or_default().into();
        let pods = self.nodes.entry(node.clone()).or_default();
        pods.insert(pod.uid().unwrap_or_default(), pod.name_any());
        (pods.len() > 1).then(|| format!("{node}: {:?}", pods.values().collect::<Vec<_>>()))
    }

    fn remove(&mut self, pod: &Pod) -> Option<String> {
        let uid = pod.uid().unwrap_or_default();
        self.nodes.values_mut().for_each(|pods| drop(pods.remove(&uid)));
        None
    }
}
