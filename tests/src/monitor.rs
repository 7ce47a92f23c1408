//! A monitor of a `DaemonSet`'s pods. It sees every state that the API server has recorded, including those that last
//! only for a moment.

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
    observations: watch::Receiver<Observations>,
    task: AbortHandle,
}

/// The live pods of a node at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeState {
    /// The revisions that they carry.
    pub revisions: BTreeSet<String>,
    /// Whether one of them is ready.
    pub is_ready: bool,
}

/// The live pods at one moment, for each node that has had a pod.
pub type State = BTreeMap<String, NodeState>;

/// The observations so far.
#[derive(Debug, Clone, Default)]
struct Observations {
    events: usize,
    violations: Violations,
    /// The number of pods seen so far, including deleted ones.
    pods: usize,
    /// The lowest number of live pods that were ready at the same time.
    fewest_ready: usize,
    /// Every state, if the monitor records them.
    states: Vec<State>,
    /// The reason why the watch ended, once it has.
    watch_end: Option<String>,
}

/// States that must not occur.
#[derive(Debug, Clone, Default)]
struct Violations {
    /// A line for each time that a node had more than one live pod.
    duplicates: Vec<String>,
    /// A line for each time that a node had more than two live pods, or two of the same revision.
    surpluses: Vec<String>,
    /// Ready pods whose deletion began while their node had no other ready pod.
    gaps: Vec<String>,
}

impl Monitor {
    /// Starts watching.
    ///
    /// # Errors
    /// When the API server doesn't answer.
    pub async fn start(client: &Client, namespace: &str, name: &str) -> Result<Self> {
        Self::watch(client, namespace, name, false).await
    }

    /// Starts watching, and records every state. Meant for few pods.
    ///
    /// # Errors
    /// When the API server doesn't answer.
    pub async fn recording(client: &Client, namespace: &str, name: &str) -> Result<Self> {
        Self::watch(client, namespace, name, true).await
    }

    async fn watch(client: &Client, namespace: &str, name: &str, is_recording: bool) -> Result<Self> {
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let selector = format!("app={name}");
        let listed = api
            .list(&ListParams::default().labels(&selector))
            .await
            .context("listing pods")?;
        let mut live = LivePods::default();
        listed.items.iter().for_each(|pod| live.set(pod));
        let (sender, observations) = watch::channel(Observations {
            pods: live.known.len(),
            fewest_ready: live.ready(),
            violations: live.violations.clone(),
            states: is_recording.then(|| live.state()).into_iter().collect(),
            ..Observations::default()
        });
        let mut watcher = PodWatcher {
            api,
            params: WatchParams::default().labels(&selector),
            version: listed.metadata.resource_version.unwrap_or_default(),
            live,
            is_recording,
            sender,
        };
        let task = tokio::spawn(async move {
            let reason = match watcher.run().await {
                Ok(()) => "the monitor was dropped".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            watcher
                .sender
                .send_modify(|observations| observations.watch_end = Some(reason));
        });
        Ok(Self {
            observations,
            task: task.abort_handle(),
        })
    }

    /// Waits until `more` further events have arrived. Returns false if they haven't arrived by the deadline. Returns
    /// true early if the watch ends.
    pub async fn wait_events(&mut self, more: usize, deadline: Duration) -> bool {
        let target = self.observations.borrow().events + more;
        let enough = self
            .observations
            .wait_for(|observations| observations.events >= target || observations.watch_end.is_some());
        tokio::time::timeout(deadline, enough).await.is_ok()
    }

    /// Checks that no node ever had more than one live pod. A pod is live unless it has finished or is being deleted.
    ///
    /// # Errors
    /// When a node had more, or when the watch ended and the monitor may have missed something.
    pub fn check_one_pod_per_node(&self) -> Result<()> {
        let observations = self.observations.borrow();
        let duplicates = &observations.violations.duplicates;
        ensure!(
            duplicates.is_empty(),
            "several live pods on a node: {duplicates:?}"
        );
        observations.check_watch()
    }

    /// Checks that no node ever had more than two live pods or two live pods of the same revision, and that no node
    /// lost its only ready pod to a deletion.
    ///
    /// # Errors
    /// As [`Monitor::check_one_pod_per_node`].
    pub fn check_surge(&self) -> Result<()> {
        let observations = self.observations.borrow();
        let Violations { surpluses, gaps, .. } = &observations.violations;
        ensure!(
            surpluses.is_empty(),
            "too many live pods on a node: {surpluses:?}"
        );
        ensure!(gaps.is_empty(), "a node lost its only ready pod: {gaps:?}");
        observations.check_watch()
    }

    /// Checks every recorded state.
    ///
    /// # Errors
    /// When `check` returns an error for a state, or when the watch ended and the monitor may have missed something.
    pub fn check_states(&self, mut check: impl FnMut(&State) -> Result<()>) -> Result<()> {
        let observations = self.observations.borrow();
        ensure!(!observations.states.is_empty(), "the monitor records no states");
        for state in &observations.states {
            check(state).with_context(|| format!("in the state {state:?}"))?;
        }
        observations.check_watch()
    }

    /// The number of pods seen so far, including deleted ones.
    pub fn pods_seen(&self) -> usize {
        self.observations.borrow().pods
    }

    /// The lowest number of pods that were live and ready at the same time.
    pub fn fewest_ready(&self) -> usize {
        self.observations.borrow().fewest_ready
    }
}

impl Observations {
    fn check_watch(&self) -> Result<()> {
        let watch_end = &self.watch_end;
        ensure!(watch_end.is_none(), "the monitor's watch ended: {watch_end:?}");
        Ok(())
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct PodWatcher {
    api: Api<Pod>,
    params: WatchParams,
    version: String,
    live: LivePods,
    is_recording: bool,
    sender: watch::Sender<Observations>,
}

impl PodWatcher {
    /// Watches until the monitor is dropped. The API server ends the watch of a slow client. The monitor then resumes
    /// at the last version that it saw, so it misses nothing.
    async fn run(&mut self) -> Result<()> {
        while !self.sender.is_closed() {
            let mut events = self
                .api
                .watch(&self.params, &self.version)
                .await
                .context("watching pods")?
                .boxed();
            while let Some(event) = events.next().await {
                // If a watch breaks in the middle of an event, the next watch resumes before that event.
                let Ok(event) = event else { break };
                match event {
                    WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                        self.version = pod.resource_version().unwrap_or_default();
                        self.live.set(&pod);
                    }
                    WatchEvent::Deleted(pod) => {
                        self.version = pod.resource_version().unwrap_or_default();
                        self.live.remove(&pod);
                    }
                    WatchEvent::Bookmark(bookmark) => {
                        self.version = bookmark.metadata.resource_version;
                        continue;
                    }
                    WatchEvent::Error(status) => bail!("watch failed: {}", status.message),
                }
                self.sender.send_modify(|observations| {
                    observations.events += 1;
                    observations.violations.clone_from(&self.live.violations);
                    observations.pods = self.live.known.len();
                    observations.fewest_ready = observations.fewest_ready.min(self.live.ready());
                    if self.is_recording {
                        observations.states.push(self.live.state());
                    }
                });
            }
        }
        Ok(())
    }
}

/// The live pods of each node by uid, and the violations found so far.
#[derive(Debug, Default)]
struct LivePods {
    nodes: BTreeMap<Arc<str>, BTreeMap<String, LivePod>>,
    /// The uids of all pods seen so far, including deleted ones.
    known: BTreeSet<String>,
    violations: Violations,
}

#[derive(Debug)]
struct LivePod {
    name: String,
    revision: Option<String>,
    ready: bool,
}

impl LivePods {
    fn set(&mut self, pod: &Pod) {
        self.known.extend(pod.uid());
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            self.remove_live(pod);
            return;
        }
        if pod.metadata.deletion_timestamp.is_some() {
            return self.remove(pod);
        }
        let node: Arc<str> = target_node(pod).unwrap_or_default().into();
        let pods = self.nodes.entry(node.clone()).or_default();
        let live = LivePod {
            name: pod.name_any(),
            revision: pod.labels().get("controller-revision-hash").cloned(),
            ready: is_ready(pod),
        };
        pods.insert(pod.uid().unwrap_or_default(), live);
        let revisions: BTreeSet<_> = pods.values().map(|pod| &pod.revision).collect();
        let names: Vec<_> = pods.values().map(|pod| &pod.name).collect();
        let occasion = format!("{node}: {names:?}");
        if revisions.len() < pods.len() || pods.len() > 2 {
            self.violations.surpluses.push(occasion.clone());
        }
        if pods.len() > 1 {
            self.violations.duplicates.push(occasion);
        }
    }

    fn state(&self) -> State {
        let nodes = self.nodes.iter();
        let state = nodes.map(|(node, pods)| {
            let state = NodeState {
                revisions: pods.values().filter_map(|pod| pod.revision.clone()).collect(),
                is_ready: pods.values().any(|pod| pod.ready),
            };
            (node.to_string(), state)
        });
        state.collect()
    }

    fn ready(&self) -> usize {
        let pods = self.nodes.values().flat_map(BTreeMap::values);
        pods.filter(|pod| pod.ready).count()
    }

    /// Handles the start or the completion of a pod's deletion.
    fn remove(&mut self, pod: &Pod) {
        let Some((gone, others_ready)) = self.remove_live(pod) else {
            return;
        };
        if gone.ready && !others_ready {
            self.violations.gaps.push(gone.name);
        }
    }

    /// Removes a pod. Returns the pod, and whether another pod on its node is ready.
    fn remove_live(&mut self, pod: &Pod) -> Option<(LivePod, bool)> {
        let uid = pod.uid().unwrap_or_default();
        self.nodes.values_mut().find_map(|pods| {
            let gone = pods.remove(&uid)?;
            Some((gone, pods.values().any(|pod| pod.ready)))
        })
    }
}
