//! The executor's caches of the cluster, fed by watches and by the answers to its own writes.
//!
//! Every change is recorded in [`Touched`], from which the outbox learns what to send. There is no IO here.

mod cache;
mod daemon_sets;
mod entry;
mod listing;
mod nodes;
mod owner;
mod pods;
mod revisions;
mod touched;
mod version;

use std::{collections::HashSet, sync::Arc};

use everynode_proto::{
    facts,
    planner::v1::{NodeFacts, PodFacts},
};

use self::cache::Cache;
pub use self::{
    entry::{Entry, Known},
    owner::Owner,
    pods::{Pod, Pods},
    touched::Touched,
    version::Version,
};
use crate::{
    apiserver::{
        objects::Watched,
        watch::{self, Change, Event},
    },
    pods::pod,
};

/// A shared string: a uid or a name.
pub type Text = Arc<str>;

/// The caches.
#[derive(Debug)]
pub struct Cluster {
    nodes: Cache<Arc<NodeFacts>>,
    pods: Pods,
    daemon_sets: Cache<Entry>,
    revisions: Cache<Known>,
    /// The watched kinds of which no list is complete yet.
    unlisted: HashSet<&'static str>,
    /// Changes that have not been processed yet.
    pub touched: Touched,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            nodes: Cache::default(),
            pods: Pods::default(),
            daemon_sets: Cache::default(),
            revisions: Cache::default(),
            unlisted: watch::KINDS.iter().map(|kind| kind.name).collect(),
            touched: Touched::default(),
        }
    }
}

impl Cluster {
    /// Whether every watched kind has been listed at least once.
    pub fn is_synced(&self) -> bool {
        self.unlisted.is_empty()
    }

    /// Applies a watch event.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Node(event) => self.apply_event(event),
            Change::Pod(event) => self.apply_pod_event(event),
            Change::DaemonSet(event) => self.apply_event(event),
            Change::Revision(event) => self.apply_event(event),
        }
    }

    fn apply_pod_event(&mut self, event: Event<facts::Pod>) {
        match &event {
            Event::Changed(pod) => self.look_at_origin(pod),
            Event::ListEnds => drop(self.unlisted.remove(facts::Pod::KIND)),
            Event::ListBegins | Event::Gone(_) => {}
        }
        for uid in self.pods.event(event) {
            self.touch_pod(uid);
        }
    }

    /// Notes a pod that a known `DaemonSet` owns from the start, and whose name isn't one that this program gives.
    /// Pods that existed before this program don't count: they may be from before a takeover.
    fn look_at_origin(&mut self, pod: &facts::Pod) {
        let metadata = &pod.metadata;
        let is_listed = !self.unlisted.contains(facts::Pod::KIND);
        let is_new = is_listed && self.pods.get(&metadata.uid).is_none();
        let owner = metadata.controlling_daemon_set().filter(|_| is_new);
        let stranger = owner.filter(|owner| !pod::is_derived(&metadata.name, owner.name));
        let entry = stranger.and_then(|owner| self.owning(&owner.into()));
        let stranger = entry.map(|entry| (entry.owner().uid.clone(), metadata.name.clone()));
        self.touched.strangers.extend(stranger);
    }

    /// Applies a pod from the answer to a write. The answer can be older than what the watch has reported since.
    pub fn wrote_pod(&mut self, pod: &facts::Pod) {
        if let Some(uid) = self.pods.wrote(pod) {
            self.touch_pod(uid);
        }
    }

    /// Notes that a pod's deletion has begun, or that the pod is gone.
    pub fn deleted_pod(&mut self, uid: &str, gone: bool) {
        if let Some(uid) = self.pods.deleted(uid, gone) {
            self.touch_pod(uid);
        }
    }

    fn touch_pod(&mut self, uid: Text) {
        if let Some(pod) = self.pods.get(&uid) {
            if let Some(owner) = pod.owner() {
                let is_misfit = |entry: &Entry| entry.has_selector() && !entry.selects(&pod.labels);
                let misfit = self.owning(owner).is_some_and(is_misfit);
                self.touched.upkeep.extend(misfit.then(|| owner.uid.clone()));
            } else {
                let adopters: Vec<_> = self.adopters(pod).collect();
                self.touched.upkeep.extend(adopters);
            }
        }
        self.touched.pods.insert(uid);
    }

    fn adopters<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = Text> + 'a {
        let fits =
            |entry: &Entry| *entry.object.metadata.namespace == *pod.namespace && entry.selects(&pod.labels);
        self.daemon_sets
            .iter()
            .filter(move |(_, entry)| fits(entry))
            .map(|(uid, _)| uid.clone())
    }

    /// The pods.
    pub fn pods(&self) -> &Pods {
        &self.pods
    }

    /// The pods, to confirm or remove those that only a write has reported.
    pub fn pods_mut(&mut self) -> &mut Pods {
        &mut self.pods
    }

    /// The facts that the planner has to know about a pod, if a known `DaemonSet` controls the pod. The planner
    /// identifies `DaemonSet`s by their uids alone, so it must not hear of a pod that merely carries one.
    pub fn pod_facts(&self, uid: &str) -> Option<PodFacts> {
        let pod = self.pods.get(uid)?;
        self.owning(pod.owner()?)?;
        pod.facts(uid)
    }

    /// Marks everything as changed, for a planner that knows nothing yet.
    pub fn touch_all(&mut self) {
        self.touched.nodes.extend(self.nodes.keys().cloned());
        self.pods.withdraw_all();
        self.touched.pods.extend(self.pods.uids().cloned());
        self.touched.daemon_sets.extend(self.daemon_sets.keys().cloned());
    }

    /// Marks every `DaemonSet` as changed and as needing upkeep, no matter who has managed it until now.
    pub fn look_after_all(&mut self) {
        self.touched.daemon_sets.extend(self.daemon_sets.keys().cloned());
        self.touched.upkeep.extend(self.daemon_sets.keys().cloned());
    }
}

#[cfg(test)]
mod tests;
