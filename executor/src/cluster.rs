//! The executor's caches of the cluster, fed by watches and by the answers to its own writes.
//!
//! Every change is recorded in [`Touched`], from which the outbox learns what to send. There is no IO here.

mod entry;
mod listing;
mod owner;
mod pods;
mod touched;
mod version;

use std::{collections::HashMap, sync::Arc};

use everynode_proto::{
    facts,
    planner::v1::{NodeFacts, PodFacts},
};

use self::{entry::Node, listing::Listing};
pub use self::{
    entry::{Entry, Known},
    owner::Owner,
    pods::{Pod, Pods},
    touched::Touched,
    version::Version,
};
use crate::{
    apiserver::{
        objects::{DaemonSet, Revision},
        watch::{Change, Event},
    },
    pods::{pod, template},
};

/// A shared string: a uid or a name.
pub type Text = Arc<str>;

/// The caches.
#[derive(Debug, Default)]
pub struct Cluster {
    nodes: HashMap<Text, Node>,
    pods: Pods,
    daemon_sets: HashMap<Text, Entry>,
    revisions: HashMap<Text, Known>,
    node_listing: Listing,
    daemon_set_listing: Listing,
    revision_listing: Listing,
    /// Changes that have not been processed yet.
    pub touched: Touched,
}

impl Cluster {
    /// Whether everything has been listed at least once.
    pub fn is_synced(&self) -> bool {
        let listings = [
            &self.node_listing,
            &self.daemon_set_listing,
            &self.revision_listing,
            self.pods.listing(),
        ];
        listings.into_iter().all(Listing::is_complete)
    }

    /// Applies a watch event.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Node(event) => self.node_event(event),
            Change::Pod(event) => self.pod_event(event),
            Change::DaemonSet(event) => self.daemon_set_event(event),
            Change::Revision(event) => self.revision_event(event),
        }
    }

    fn node_event(&mut self, event: Event<facts::Node>) {
        match event {
            Event::ListBegins => self.node_listing.begin(),
            Event::Changed(node) => {
                let name: Text = node.metadata.name.as_str().into();
                let version = Version::of(&node.metadata.resource_version);
                let known = self.nodes.get_mut(&name);
                let known_version = known.as_ref().map(|known| &known.version);
                if !self.node_listing.shows(&name, &version, known_version) {
                    return;
                }
                let facts = node.into_facts();
                match known {
                    Some(known) if *known.facts == facts => known.version = version,
                    Some(_) | None => {
                        let facts = Arc::new(facts);
                        self.nodes.insert(name.clone(), Node { facts, version });
                        self.touched.nodes.insert(name);
                    }
                }
            }
            Event::Gone(node) => {
                // A node that is recreated has the same name, and may be known already.
                let name: Text = node.metadata.name.into();
                let version = Version::of(&node.metadata.resource_version);
                let known = self.nodes.get(&name).map(|known| &known.version);
                if self.node_listing.loses(&name, version, known) {
                    self.forget_node(&name);
                }
            }
            Event::ListEnds => {
                for name in self.node_listing.end(self.nodes.keys()) {
                    self.forget_node(&name);
                }
            }
        }
    }

    fn forget_node(&mut self, name: &Text) {
        if self.nodes.remove(name).is_some() {
            self.touched.nodes.insert(name.clone());
        }
    }

    fn daemon_set_event(&mut self, event: Event<DaemonSet>) {
        match event {
            Event::ListBegins => self.daemon_set_listing.begin(),
            Event::Changed(object) => {
                let uid: Text = object.metadata.uid.as_str().into();
                let known = self.daemon_sets.get(&uid).map(Entry::version);
                let version = Version::of(&object.metadata.resource_version);
                if self.daemon_set_listing.shows(&uid, &version, known.as_ref()) {
                    self.set_daemon_set(object);
                }
            }
            Event::Gone(object) => {
                let uid: Text = object.metadata.uid.into();
                let version = Version::of(&object.metadata.resource_version);
                // A uid is never used again, so this is the last event about it, whatever is known.
                self.daemon_set_listing.loses(&uid, version, None);
                self.forget_daemon_set(&uid);
            }
            Event::ListEnds => {
                for uid in self.daemon_set_listing.end(self.daemon_sets.keys()) {
                    self.forget_daemon_set(&uid);
                }
            }
        }
    }

    /// Applies a `DaemonSet` from the answer to a read or a write, unless a newer version is known. If the
    /// `DaemonSet` isn't known, it has been deleted in the meantime.
    pub fn wrote_daemon_set(&mut self, object: DaemonSet) {
        let known = self.daemon_sets.get(object.metadata.uid.as_str());
        if known.is_some_and(|known| Version::of(&object.metadata.resource_version) >= known.version()) {
            self.set_daemon_set(object);
        }
    }

    fn set_daemon_set(&mut self, object: DaemonSet) {
        let uid: Text = object.metadata.uid.as_str().into();
        if let Some(known) = self.daemon_sets.get_mut(&uid) {
            let before = &known.object.metadata;
            // Status writes are frequent, so everything that follows from the spec is computed only when the spec
            // changes.
            if before.generation == object.metadata.generation
                && before.deletion_timestamp == object.metadata.deletion_timestamp
                && before.annotations == object.metadata.annotations
                && known.object.status.collision_count == object.status.collision_count
            {
                if known.object.status != object.status {
                    self.touched.statuses.insert(uid);
                }
                known.object = Arc::new(object);
                return;
            }
        }
        if object.metadata.deletion_timestamp.is_some() {
            // From here on, its pods belong to the garbage collector (A4), even if the next event shows an earlier
            // version.
            let version = Version::of(&object.metadata.resource_version);
            self.daemon_set_listing.bury(uid.clone(), version);
            self.forget_daemon_set(&uid);
            return;
        }
        let entry = Entry::new(object);
        if !self.daemon_sets.contains_key(&uid) {
            // Until now its pods belonged to no known DaemonSet. The planner has to hear of them before it hears of
            // the DaemonSet.
            let pods = self.pods.of(entry.owner()).map(|(uid, _)| uid.clone());
            self.touched.pods.extend(pods);
        }
        self.daemon_sets.insert(uid.clone(), entry);
        self.touched.daemon_sets.insert(uid.clone());
        self.touched.upkeep.insert(uid);
    }

    fn forget_daemon_set(&mut self, uid: &Text) {
        if self.daemon_sets.remove(uid).is_some() {
            self.touched.daemon_sets.insert(uid.clone());
        }
    }

    fn revision_event(&mut self, event: Event<Revision>) {
        match event {
            Event::ListBegins => self.revision_listing.begin(),
            Event::Changed(object) => {
                let uid: Text = object.metadata.uid.as_str().into();
                let known = self.revisions.get(&uid).map(|known| &known.version);
                let version = Version::of(&object.metadata.resource_version);
                if self.revision_listing.shows(&uid, &version, known) {
                    self.set_revision(&object);
                }
            }
            Event::Gone(object) => {
                let uid: Text = object.metadata.uid.into();
                let version = Version::of(&object.metadata.resource_version);
                self.revision_listing.loses(&uid, version, None);
                self.forget_revision(&uid);
            }
            Event::ListEnds => {
                for uid in self.revision_listing.end(self.revisions.keys()) {
                    self.forget_revision(&uid);
                }
            }
        }
    }

    /// Applies a `ControllerRevision` from the answer to a read or a write. If the watch is past that version, it has
    /// already reported everything, perhaps even that the revision is gone again.
    pub fn wrote_revision(&mut self, object: &Revision) {
        let version = Version::of(&object.metadata.resource_version);
        let known = self.revisions.get(object.metadata.uid.as_str());
        let is_newer = known.is_none_or(|known| version >= known.version);
        let listing = &self.revision_listing;
        if is_newer && (version > *listing.watched() || listing.awaits(&object.metadata.uid)) {
            self.set_revision(object);
        }
    }

    fn set_revision(&mut self, object: &Revision) {
        let metadata = &object.metadata;
        let owner = metadata.controlling_daemon_set().map(Owner::from);
        if owner.is_none() && metadata.controller().is_some() {
            return self.forget_revision(&metadata.uid);
        }
        if metadata.deletion_timestamp.is_some() {
            return self.forget_revision(&metadata.uid);
        }
        let known = Known {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.as_str().into(),
            revision: object.revision,
            template: template::data_fingerprint(object),
            labels: metadata.labels.clone(),
            owner,
            version: Version::of(&metadata.resource_version),
        };
        let before = self.revisions.get(&known.uid);
        // The creator of a revision for a `DaemonSet` may still be working with it. As in kube-controller-manager
        // (mirrors addHistory), the new revision alone starts no upkeep: it is put in order when something else
        // happens. So a duplicate isn't deleted before its creator can read it.
        if before.is_some() || known.owner.is_none() {
            self.touch_owners(&known);
        }
        self.revisions.insert(known.uid.clone(), known);
    }

    /// Removes a `ControllerRevision` that is gone.
    pub fn forget_revision(&mut self, uid: &str) {
        if let Some(known) = self.revisions.remove(uid) {
            self.touch_owners(&known);
        }
    }

    fn touch_owners(&mut self, revision: &Known) {
        let Some(owner) = &revision.owner else {
            let adopters = self.daemon_sets.iter().filter(|(_, entry)| {
                entry.object.metadata.namespace == revision.namespace && entry.selects(&revision.labels)
            });
            self.touched.upkeep.extend(adopters.map(|(uid, _)| uid.clone()));
            return;
        };
        if self.owning(owner).is_some() {
            self.touched.upkeep.insert(owner.uid.clone());
        }
    }

    fn pod_event(&mut self, event: Event<facts::Pod>) {
        if let Event::Changed(pod) = &event {
            self.look_at_origin(pod);
        }
        for uid in self.pods.event(event) {
            self.touch_pod(uid);
        }
    }

    /// Notes a pod that a known `DaemonSet` owns from the start, and whose name isn't one that this program gives.
    /// Pods that existed before this program don't count: they may be from before a takeover.
    fn look_at_origin(&mut self, pod: &facts::Pod) {
        let metadata = &pod.metadata;
        let is_new = self.pods.listing().is_complete() && self.pods.get(&metadata.uid).is_none();
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

    /// A node's facts.
    pub fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.get(name).map(|known| &*known.facts)
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes' facts, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeFacts>> {
        self.nodes.values().map(|known| &known.facts)
    }

    /// The pods.
    pub fn pods(&self) -> &Pods {
        &self.pods
    }

    /// The pods, to confirm or remove those that only a write has reported.
    pub fn pods_mut(&mut self) -> &mut Pods {
        &mut self.pods
    }

    /// A `DaemonSet` that is not being deleted.
    pub fn daemon_set(&self, uid: &str) -> Option<&Entry> {
        self.daemon_sets.get(uid)
    }

    /// The `DaemonSet` that a controller reference names, if it is known and not being deleted. A `DaemonSet` that
    /// shares only the uid with the reference is a different one.
    pub fn owning(&self, owner: &Owner) -> Option<&Entry> {
        self.daemon_sets
            .get(&owner.uid)
            .filter(|entry| entry.owner() == owner)
    }

    /// The facts that the planner has to know about a pod, if a known `DaemonSet` controls the pod. The planner
    /// identifies `DaemonSet`s by their uids alone, so it must not hear of a pod that merely carries one.
    pub fn pod_facts(&self, uid: &str) -> Option<PodFacts> {
        let pod = self.pods.get(uid)?;
        self.owning(pod.owner()?)?;
        pod.facts(uid)
    }

    /// All `DaemonSet`s that are not being deleted, in no order.
    pub fn daemon_sets(&self) -> impl Iterator<Item = &Entry> {
        self.daemon_sets.values()
    }

    /// The `ControllerRevision`s in a namespace that a `DaemonSet` controls, or that nothing controls.
    pub fn revisions(&self, namespace: &str) -> impl Iterator<Item = &Known> {
        self.revisions
            .values()
            .filter(move |revision| revision.namespace == namespace)
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
