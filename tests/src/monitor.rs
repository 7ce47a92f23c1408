//! An eye on a `DaemonSet`'s pods that never blinks: it sees every state that the API server has been through, also those
//! that last for a moment only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::daemonsets::{is_ready, target_node};

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
    /// The uids of all pods that ever were.
    pods: BTreeSet<String>,
    /// The fewest live pods that were ready at a moment.
    fewest_ready: usize,
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
        let mut live = Live::default();
        listed.items.iter().for_each(|pod| drop(live.set(pod)));
        let (sender, seen) = watch::channel(Seen {
            pods: listed.items.iter().filter_map(ResourceExt::uid).collect(),
            fewest_ready: live.ready(),
            ..Seen::default()
        });
        let mut eye = Eye {
            api,
            params: WatchParams::default().labels(&selector),
            version: listed.metadata.resource_version.unwrap_or_default(),
            live,
            sender,
        };
        let task = tokio::spawn(async move {
            let reason = match eye.look().await {
                Ok(()) => "nobody is interested any more".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            eye.sender.send_modify(|seen| seen.blind = Some(reason));
        });
        Ok(Self {
            seen,
            task: task.abort_handle(),
        })
    }

    /// Waits until so many more events have been seen, and says whether they came before the deadline.
    pub async fn events(&mut self, more: usize, deadline: Duration) -> bool {
        let target = self.seen.borrow().events + more;
        let enough = self
            .seen
            .wait_for(|seen| seen.events >= target || seen.blind.is_some());
        tokio::time::timeout(deadline, enough).await.is_ok()
    }

    /// Says whether never more than one pod was alive on a node: neither being deleted nor over.
    ///
    /// # Errors
    /// When there were, or when the watch was interrupted and can't tell.
    pub fn never_crowded(&self) -> Result<()> {
        let seen = self.seen.borrow();
        ensure!(
            seen.crowds.is_empty(),
            "several live pods on a node: {:?}",
            seen.crowds
        );
        ensure!(
            seen.blind.is_none(),
            "the monitor saw nothing any more: {:?}",
            seen.blind
        );
        Ok(())
    }

    /// How many pods there have ever been.
    pub fn pods_seen(&self) -> usize {
        self.seen.borrow().pods.len()
    }

    /// The fewest pods that were alive and ready at any moment.
    pub fn fewest_ready(&self) -> usize {
        self.seen.borrow().fewest_ready
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Eye {
    api: Api<Pod>,
    params: WatchParams,
    version: String,
    live: Live,
    sender: watch::Sender<Seen>,
}

impl Eye {
    /// Watches until nobody is interested. The API server ends the watch of who is slow; it goes on where it was, so that
    /// nothing is missed.
    async fn look(&mut self) -> Result<()> {
        while !self.sender.is_closed() {
            let mut events = self
                .api
                .watch(&self.params, &self.version)
                .await
                .context("watching pods")?
                .boxed();
            while let Some(event) = events.next().await {
                // A watch that is cut off in the middle of an event is taken up before it.
                let Ok(event) = event else { break };
                let (pod, crowd) = match event {
                    WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                        let crowd = self.live.set(&pod);
                        (pod, crowd)
                    }
                    WatchEvent::Deleted(pod) => {
                        self.live.remove(&pod);
                        (pod, None)
                    }
                    WatchEvent::Bookmark(bookmark) => {
                        self.version = bookmark.metadata.resource_version;
                        continue;
                    }
                    WatchEvent::Error(status) => bail!("the watch can't go on: {}", status.message),
                };
                self.version = pod.resource_version().unwrap_or_default();
                self.sender.send_modify(|seen| {
                    seen.events += 1;
                    seen.pods.extend(pod.uid());
                    seen.fewest_ready = seen.fewest_ready.min(self.live.ready());
                    seen.crowds.extend(crowd);
                });
            }
        }
        Ok(())
    }
}

/// The live pods of each node, by uid.
#[derive(Debug, Default)]
struct Live {
    nodes: BTreeMap<Arc<str>, BTreeMap<String, LivePod>>,
}

#[derive(Debug)]
struct LivePod {
    name: String,
    is_ready: bool,
}

impl Live {
    /// Says whether the node has several of them then.
    fn set(&mut self, pod: &Pod) -> Option<String> {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let over = matches!(phase, Some("Succeeded" | "Failed"));
        if pod.metadata.deletion_timestamp.is_some() || over {
            self.remove(pod);
            return None;
        }
        let node: Arc<str> = target_node(pod).unwrap_or_default().into();
        let pods = self.nodes.entry(node.clone()).or_default();
        let live = LivePod {
            name: pod.name_any(),
            is_ready: is_ready(pod),
        };
        pods.insert(pod.uid().unwrap_or_default(), live);
        let names = || pods.values().map(|pod| &pod.name).collect::<Vec<_>>();
        (pods.len() > 1).then(|| format!("{node}: {:?}", names()))
    }

    fn remove(&mut self, pod: &Pod) {
        let uid = pod.uid().unwrap_or_default();
        self.nodes.values_mut().for_each(|pods| drop(pods.remove(&uid)));
    }

    fn ready(&self) -> usize {
        let pods = self.nodes.values().flat_map(BTreeMap::values);
        pods.filter(|pod| pod.is_ready).count()
    }
}
