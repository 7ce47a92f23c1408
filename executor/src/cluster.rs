//! The executor's caches of the cluster, fed by watches and by the responses to its own writes.
//!
//! Every change is recorded in [`Touched`], which the outbox reads to find what to send. There is no IO here.

mod cache;
mod daemon_sets;
mod entry;
mod listing;
mod nodes;
mod owner;
mod pods;
mod revisions;
mod rollouts;
mod touched;
mod unsettled;
mod version;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use everynode_proto::{
    facts::{self, object::StringMap},
    planner::v1::{NodeFacts, PodFacts},
};

use self::{cache::Cache, nodes::DriverUpgrades, unsettled::UnsettledHistories};
pub(crate) use self::{
    entry::{CachedRevision, Entry},
    owner::Owner,
    pods::{Pod, Pods},
    rollouts::CachedPolicy,
    touched::Touched,
    version::Version,
};
use crate::{
    apiserver::{
        objects::Watched,
        watch::{self, Change, Event, Presence, WatchState},
    },
    pods::pod,
    rollouts::memory::RolloutObject,
};

/// A shared string: a uid or a name.
pub(crate) type SharedStr = Arc<str>;

/// The caches.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "cluster policies are a kind")]
pub(crate) struct Cluster {
    nodes: Cache<Arc<NodeFacts>>,
    driver_upgrades: DriverUpgrades,
    pods: Pods,
    daemon_sets: Cache<Entry>,
    revisions: Cache<CachedRevision>,
    policies: Cache<CachedPolicy>,
    cluster_policies: Cache<CachedPolicy>,
    /// By `namespace/name`.
    rollouts: Cache<RolloutObject>,
    /// The labels of namespaces, by name.
    namespaces: Cache<StringMap>,
    /// The states of the watches of supplementary kinds.
    watch_states: HashMap<&'static str, WatchState>,
    unsettled: UnsettledHistories,
    /// The watched kinds that haven't been listed completely yet, except supplementary ones.
    unlisted: HashSet<&'static str>,
    /// Changes that have not been processed yet.
    pub touched: Touched,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            nodes: Cache::default(),
            driver_upgrades: DriverUpgrades::default(),
            pods: Pods::default(),
            daemon_sets: Cache::default(),
            revisions: Cache::default(),
            policies: Cache::default(),
            cluster_policies: Cache::default(),
            rollouts: Cache::default(),
            namespaces: Cache::default(),
            watch_states: HashMap::new(),
            unsettled: UnsettledHistories::default(),
            unlisted: watch::KINDS
                .iter()
                .filter(|kind| kind.presence != Presence::Supplementary)
                .map(|kind| kind.name)
                .collect(),
            touched: Touched::default(),
        }
    }
}

impl Cluster {
    /// Whether every watched kind has been listed at least once. Supplementary kinds don't count.
    pub(crate) fn is_synced(&self) -> bool {
        self.unlisted.is_empty()
    }

    /// Applies a watch event.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Node(event) => self.apply_event(event),
            Change::Pod(event) => self.apply_pod_event(event),
            Change::DaemonSet(event) => self.apply_event(event),
            Change::Revision(event) => self.apply_event(event),
            Change::Policy(event) => self.apply_event(event),
            Change::ClusterPolicy(event) => self.apply_event(event),
            Change::Rollout(event) => self.apply_event(event),
            Change::Namespace(event) => self.apply_event(event),
            Change::State(kind, state) => self.apply_watch_state(kind, state),
        }
    }

    fn apply_pod_event(&mut self, event: Event<facts::Pod>) {
        match &event {
            Event::Changed(pod) => {
                self.record_competitor_pod(pod);
                self.touch_unsettled_owner(pod);
            }
            Event::Gone(pod) => self.touch_unsettled_owner(pod),
            Event::ListEnds => drop(self.unlisted.remove(facts::Pod::KIND)),
            Event::ListBegins => {}
        }
        for uid in self.pods.apply_event(event) {
            self.touch_pod(uid);
        }
    }

    /// Records a new pod whose controller is a known `DaemonSet`, but whose name isn't one that this program generates:
    /// another controller has created it. Pods of the first list don't count, because they may be from before a
    /// migration.
    fn record_competitor_pod(&mut self, pod: &facts::Pod) {
        let metadata = &pod.metadata;
        let is_listed = !self.unlisted.contains(facts::Pod::KIND);
        let is_new = is_listed && self.pods.get(&metadata.uid).is_none();
        let owner = metadata.controlling_daemon_set().filter(|_| is_new);
        let foreign = owner.filter(|owner| !pod::is_derived(&metadata.name, owner.name));
        let entry = foreign.and_then(|owner| self.daemon_set_of(&owner.into()));
        let foreign = entry.map(|entry| (entry.owner().uid.clone(), metadata.name.clone()));
        self.touched.competitor_pods.extend(foreign);
    }

    /// Marks the `DaemonSet` that controls a pod for upkeep, if its history is unsettled.
    fn touch_unsettled_owner(&mut self, pod: &facts::Pod) {
        if let Some(owner) = pod.metadata.controlling_daemon_set() {
            self.touch_unsettled(owner);
        }
    }

    /// Applies a pod from the response to a write. The response can be older than the watch's latest event.
    pub(crate) fn apply_written_pod(&mut self, pod: &facts::Pod) {
        self.touch_unsettled_owner(pod);
        if let Some(uid) = self.pods.apply_written(pod) {
            self.touch_pod(uid);
        }
    }

    /// Records that a pod's deletion has begun, or that the pod is gone.
    pub(crate) fn apply_pod_deletion(&mut self, uid: &str, gone: bool) {
        if let Some(uid) = self.pods.apply_deletion(uid, gone) {
            self.touch_pod(uid);
        }
    }

    fn touch_pod(&mut self, uid: SharedStr) {
        if let Some(pod) = self.pods.get(&uid) {
            if let Some(owner) = pod.owner() {
                let is_unselected = |entry: &Entry| entry.has_selector() && !entry.selects(&pod.labels);
                let unselected = self.daemon_set_of(owner).is_some_and(is_unselected);
                self.touched.upkeep.extend(unselected.then(|| owner.uid.clone()));
            } else {
                let adopters: Vec<_> = self.adopters(pod).collect();
                self.touched.upkeep.extend(adopters);
            }
        }
        self.touched.pods.insert(uid);
    }

    fn adopters<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = SharedStr> + 'a {
        let fits =
            |entry: &Entry| *entry.object.metadata.namespace == *pod.namespace && entry.selects(&pod.labels);
        self.daemon_sets
            .iter()
            .filter(move |(_, entry)| fits(entry))
            .map(|(uid, _)| uid.clone())
    }

    pub(crate) fn pods(&self) -> &Pods {
        &self.pods
    }

    /// The pods, to confirm or remove those that only a write has reported.
    pub(crate) fn pods_mut(&mut self) -> &mut Pods {
        &mut self.pods
    }

    /// The facts of a pod to send to the planner, if a known `DaemonSet` controls the pod. The planner identifies
    /// `DaemonSet`s by their uids alone, so it must not receive a pod whose controller reference matches a `DaemonSet`
    /// only by uid.
    pub(crate) fn pod_facts(&self, uid: &str) -> Option<PodFacts> {
        let pod = self.pods.get(uid)?;
        self.daemon_set_of(pod.owner()?)?;
        pod.facts(uid)
    }

    /// Marks everything as changed, for a new planner session.
    pub(crate) fn touch_all(&mut self) {
        self.touched.nodes.extend(self.nodes.keys().cloned());
        self.pods.clear_announced();
        self.touched.pods.extend(self.pods.uids().cloned());
        self.touched.daemon_sets.extend(self.daemon_sets.keys().cloned());
        self.touch_all_rollouts();
    }

    /// Marks every `DaemonSet` as changed and as needing upkeep. Called when this executor becomes the leader.
    pub(crate) fn touch_all_for_upkeep(&mut self) {
        self.touched.daemon_sets.extend(self.daemon_sets.keys().cloned());
        self.touched.upkeep.extend(self.daemon_sets.keys().cloned());
    }
}

#[cfg(test)]
mod tests;
