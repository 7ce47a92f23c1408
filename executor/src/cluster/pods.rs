//! Pods that `DaemonSet`s control, and pods that nothing controls and that might be adopted.

mod by_node;
mod optional_time;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use everynode_proto::{
    facts::{self, Identity, object::StringMap, shared_values::SharedValues},
    planner::v1::{PodFacts, PodPhase},
};
use indexmap::IndexSet;
use prost_types::Timestamp;
use tokio::time::Instant;

use self::{by_node::PodsByNode, optional_time::OptionalTime};
use super::{Owner, SharedStr, Version, listing::Listing};
use crate::apiserver::watch::Event;

/// How long a pod may be known only from the answer to a write, or from an out-of-order watch event. After that, the
/// executor looks it up.
const CONFIRM_AFTER: Duration = Duration::from_secs(10);

/// A pod.
///
/// There are as many pods as nodes times `DaemonSet`s, so data that the pods of a `DaemonSet` or of a node share is
/// kept once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    /// metadata.namespace.
    pub namespace: SharedStr,
    /// metadata.name.
    pub name: Box<str>,
    /// metadata.labels.
    pub labels: Arc<StringMap>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether the planner has been sent the pod in the current session, and has not been sent its deletion.
    is_announced: bool,
    owner: Option<Arc<Owner>>,
    /// The other facts to send to the planner, if a `DaemonSet` controls the pod.
    planner_facts: Option<PlannerFacts>,
}

/// The facts of a pod that `Pod` itself doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PlannerFacts {
    node: SharedStr,
    revision: SharedStr,
    template_generation: SharedStr,
    bound: bool,
    phase: i32,
    ready_since: OptionalTime,
    unready_since: OptionalTime,
    created: OptionalTime,
}

impl Pod {
    /// The `DaemonSet` that controls the pod, even if the cache doesn't contain that `DaemonSet`. `None` if nothing
    /// controls the pod.
    pub(crate) fn owner(&self) -> Option<&Owner> {
        self.owner.as_deref()
    }

    /// The node that the pod is for, if a `DaemonSet` controls the pod and its node is known.
    pub(crate) fn node(&self) -> Option<&str> {
        self.planner_facts
            .as_ref()
            .map(|facts| &*facts.node)
            .filter(|node| !node.is_empty())
    }

    /// Whether the pod counts as the `DaemonSet`'s pod on its node: it hasn't ended, and it isn't being deleted.
    pub(crate) fn is_live(&self) -> bool {
        let is_over = |facts: &PlannerFacts| {
            facts.phase == PodPhase::Succeeded as i32 || facts.phase == PodPhase::Failed as i32
        };
        !self.deleting && !self.planner_facts.as_ref().is_some_and(is_over)
    }

    /// Whether the pod is running and ready on its node, and isn't being deleted.
    pub(crate) fn is_running_and_ready(&self) -> bool {
        let is_running_and_ready = |facts: &PlannerFacts| {
            let is_ready = Option::<Timestamp>::from(facts.ready_since).is_some();
            facts.bound && is_ready && facts.phase == PodPhase::Running as i32
        };
        !self.deleting && self.planner_facts.as_ref().is_some_and(is_running_and_ready)
    }

    /// The pod's controller-revision-hash; empty if it has none.
    pub(crate) fn revision(&self) -> &str {
        self.planner_facts.as_ref().map_or("", |facts| &facts.revision)
    }

    /// The facts of the pod to send to the planner, if a `DaemonSet` controls it. `uid` is the pod's uid.
    pub(crate) fn facts(&self, uid: &str) -> Option<PodFacts> {
        let (facts, owner) = (self.planner_facts.as_ref()?, self.owner.as_ref()?);
        Some(PodFacts {
            uid: uid.to_owned(),
            name: self.name.to_string(),
            daemon_set_uid: owner.uid.to_string(),
            node: facts.node.to_string(),
            bound: facts.bound,
            phase: facts.phase,
            ready_since: facts.ready_since.into(),
            unready_since: facts.unready_since.into(),
            created: facts.created.into(),
            deleting: self.deleting,
            revision: facts.revision.to_string(),
            template_generation: facts.template_generation.to_string(),
        })
    }
}

/// A pod, and the version at which it is known.
#[derive(Debug)]
struct CachedPod {
    pod: Pod,
    version: Version,
}

/// All pods that a `DaemonSet` controls or that nothing controls, by uid.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    by_uid: HashMap<SharedStr, CachedPod>,
    strings: SharedValues<str>,
    labels: SharedValues<StringMap>,
    owners: SharedValues<Owner>,
    by_owner: HashMap<Arc<Owner>, IndexSet<SharedStr>>,
    orphans: HashSet<SharedStr>,
    by_node: PodsByNode,
    /// Former owners of pods that have changed owner since they were sent to the planner. They are kept until the pods
    /// are gone or a new session begins.
    former_owners: HashMap<SharedStr, Arc<Owner>>,
    listing: Listing,
    /// Pods known so far only from the answer to a write, or from an out-of-order watch event, and since when.
    unconfirmed: HashMap<SharedStr, Instant>,
}

impl Pods {
    /// Applies a watch event. Returns the uids of the pods that changed.
    pub(crate) fn apply_event(&mut self, event: Event<facts::Pod>) -> Vec<SharedStr> {
        match event {
            Event::ListBegins => self.listing.begin(),
            Event::Changed(pod) => {
                let uid: SharedStr = pod.metadata.uid.as_str().into();
                let version = Version::parse(&pod.metadata.resource_version);
                let known = self.by_uid.get(&uid).map(|known| &known.version);
                let is_known = known.is_some();
                // Outside a list, versions rise. An out-of-order event confirms nothing: a pod that isn't known may
                // be gone already.
                let is_late = version < *self.listing.latest_version();
                let counts = self.listing.on_changed(&uid, &version, known);
                if !is_late || self.listing.is_in_progress() {
                    self.unconfirmed.remove(&uid);
                } else if !is_known {
                    self.unconfirmed.insert(uid.clone(), Instant::now());
                }
                return counts.then(|| self.set(pod, uid)).flatten().into_iter().collect();
            }
            Event::Gone(pod) => {
                self.listing
                    .record_version(&Version::parse(&pod.metadata.resource_version));
                return self.remove(&pod.metadata.uid).into_iter().collect();
            }
            Event::ListEnds => {
                let gone = self.listing.finish(self.by_uid.keys());
                // A pod that the watch hasn't confirmed may be newer than the list. The executor looks it up later.
                let gone = gone
                    .iter()
                    .filter(|uid| !self.unconfirmed.contains_key(*uid))
                    .cloned();
                return gone
                    .collect::<Vec<_>>()
                    .iter()
                    .filter_map(|uid| self.remove(uid))
                    .collect();
            }
        }
        Vec::new()
    }

    /// Applies a pod from the response to a write. A watch past that version has already reported the pod, and perhaps
    /// its deletion, so the response is ignored. A list in progress names pods in no order, so the response is applied
    /// unless the list has already named the pod.
    pub(crate) fn apply_written(&mut self, pod: &facts::Pod) -> Option<SharedStr> {
        let version = Version::parse(&pod.metadata.resource_version);
        if version <= *self.listing.latest_version() && !self.listing.may_still_list(&pod.metadata.uid) {
            return None;
        }
        let uid: SharedStr = pod.metadata.uid.as_str().into();
        match self.by_uid.get(&uid) {
            Some(known) if known.version > version => return None,
            Some(_) => {}
            None => drop(self.unconfirmed.insert(uid.clone(), Instant::now())),
        }
        self.set(pod.clone(), uid)
    }

    /// Records that a pod's deletion has begun, or that the pod is gone. Neither is ever undone.
    pub(crate) fn apply_deletion(&mut self, uid: &str, gone: bool) -> Option<SharedStr> {
        if gone {
            return self.remove(uid);
        }
        let (uid, _) = self.by_uid.get_key_value(uid)?;
        let uid = uid.clone();
        let known = self.by_uid.get_mut(&uid)?;
        let was_deleting = std::mem::replace(&mut known.pod.deleting, true);
        (!was_deleting).then_some(uid)
    }

    fn set(&mut self, object: facts::Pod, uid: SharedStr) -> Option<SharedStr> {
        let facts = object.facts();
        let metadata = object.metadata;
        let owner = metadata
            .controlling_daemon_set()
            .map(|identity| self.share_owner(&uid, identity));
        if owner.is_none() && metadata.controller().is_some() {
            return self.remove(&uid);
        }
        let planner_facts = facts.map(|facts| PlannerFacts {
            node: self.strings.share(facts.node.as_str()),
            revision: self.strings.share(facts.revision.as_str()),
            template_generation: self.strings.share(facts.template_generation.as_str()),
            bound: facts.bound,
            phase: facts.phase,
            ready_since: facts.ready_since.into(),
            unready_since: facts.unready_since.into(),
            created: facts.created.into(),
        });
        let mut pod = Pod {
            namespace: self.strings.share(metadata.namespace.as_str()),
            name: metadata.name.as_str().into(),
            labels: self.labels.share(metadata.labels),
            deleting: metadata.deletion_timestamp.is_some(),
            is_announced: false,
            owner,
            planner_facts,
        };
        let version = Version::parse(&metadata.resource_version);
        if let Some(before) = self.by_uid.get_mut(&uid) {
            before.version = version.clone();
            // The executor may know that a deletion has begun before the watch reports it.
            pod.deleting |= before.pod.deleting;
            pod.is_announced = before.pod.is_announced;
            if before.pod == pod {
                return None;
            }
            if pod.is_announced && before.pod.owner != pod.owner {
                let owner = before.pod.owner.clone();
                self.former_owners.extend(owner.map(|owner| (uid.clone(), owner)));
            }
            self.unlink(&uid);
        }
        if let Some(facts) = &pod.planner_facts {
            self.by_node.insert(&facts.node, &uid);
        }
        match &pod.owner {
            Some(owner) => drop(
                self.by_owner
                    .entry(owner.clone())
                    .or_default()
                    .insert(uid.clone()),
            ),
            None => drop(self.orphans.insert(uid.clone())),
        }
        self.by_uid.insert(uid.clone(), CachedPod { pod, version });
        Some(uid)
    }

    /// Returns the shared owner with this identity. Nearly always, the pod already had this owner.
    fn share_owner(&mut self, pod: &str, identity: Identity<'_>) -> Arc<Owner> {
        let before = self.by_uid.get(pod).and_then(|known| known.pod.owner.as_ref());
        match before.filter(|before| before.identity() == identity) {
            Some(before) => before.clone(),
            None => self.owners.share(Owner::from(identity)),
        }
    }

    fn remove(&mut self, uid: &str) -> Option<SharedStr> {
        self.unlink(uid);
        self.unconfirmed.remove(uid);
        self.former_owners.remove(uid);
        self.by_uid.remove_entry(uid).map(|(uid, _)| uid)
    }

    fn unlink(&mut self, uid: &str) {
        self.orphans.remove(uid);
        if let Some(facts) = self
            .by_uid
            .get(uid)
            .and_then(|known| known.pod.planner_facts.as_ref())
        {
            self.by_node.remove(&facts.node, uid);
        }
        let Some(owner) = self.by_uid.get(uid).and_then(|known| known.pod.owner.as_ref()) else {
            return;
        };
        if let Some(pods) = self.by_owner.get_mut(owner) {
            pods.swap_remove(uid);
            if pods.is_empty() {
                let owner = owner.clone();
                self.by_owner.remove(&owner);
            }
        }
    }

    /// The pods to look up, because the watch should have reported them by now.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<SharedStr> {
        let overdue = self
            .unconfirmed
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= CONFIRM_AFTER);
        overdue.map(|(uid, _)| uid.clone()).collect()
    }

    /// Records that a pod has been looked up and exists.
    pub(crate) fn confirm(&mut self, uid: &str) {
        self.unconfirmed.remove(uid);
    }

    /// The pod with this uid.
    pub(crate) fn get(&self, uid: &str) -> Option<&Pod> {
        self.by_uid.get(uid).map(|known| &known.pod)
    }

    /// Whether the planner has been sent a pod in the current session.
    pub(crate) fn is_announced(&self, uid: &str) -> bool {
        self.by_uid.get(uid).is_some_and(|known| known.pod.is_announced)
    }

    /// Sets whether the planner has been sent a pod in the current session.
    pub(crate) fn set_announced(&mut self, uid: &str, is_announced: bool) {
        if let Some(known) = self.by_uid.get_mut(uid) {
            known.pod.is_announced = is_announced;
        }
    }

    /// Records that no pod has been sent, because a new planner session begins.
    pub(super) fn clear_announced(&mut self) {
        self.by_uid
            .values_mut()
            .for_each(|known| known.pod.is_announced = false);
        self.former_owners.clear();
    }

    /// Whether the planner may still have this `DaemonSet` as the pod's owner, although the owner has changed.
    pub(crate) fn is_former_owner(&self, uid: &str, owner: &Owner) -> bool {
        self.former_owners
            .get(uid)
            .is_some_and(|former| **former == *owner)
    }

    /// Number of pods that a `DaemonSet` controls.
    pub(crate) fn owned_count(&self, owner: &Owner) -> usize {
        self.by_owner.get(owner).map_or(0, IndexSet::len)
    }

    /// Number of live pods of a `DaemonSet` that are on a node or meant for it.
    pub(crate) fn live_on(&self, node: &str, owner: &Owner) -> usize {
        let pods = self.by_node.get(node).iter();
        let pods = pods.filter_map(|uid| self.by_uid.get(uid));
        pods.filter(|known| known.pod.is_live() && known.pod.owner() == Some(owner))
            .count()
    }

    /// The pods that a `DaemonSet` controls.
    pub(crate) fn owned_by<'a>(
        &'a self,
        owner: &Owner,
    ) -> impl Iterator<Item = (&'a SharedStr, &'a Pod)> + use<'a> {
        let uids = self.by_owner.get(owner).into_iter().flatten();
        uids.filter_map(|uid| self.entry(uid))
    }

    /// The pods that nothing controls.
    pub(crate) fn orphans(&self) -> impl Iterator<Item = (&SharedStr, &Pod)> {
        self.orphans.iter().filter_map(|uid| self.entry(uid))
    }

    fn entry(&self, uid: &str) -> Option<(&SharedStr, &Pod)> {
        let (uid, known) = self.by_uid.get_key_value(uid)?;
        Some((uid, &known.pod))
    }

    /// The uids of all pods.
    pub(crate) fn uids(&self) -> impl Iterator<Item = &SharedStr> {
        self.by_uid.keys()
    }

    /// Number of pods.
    pub(crate) fn total(&self) -> usize {
        self.by_uid.len()
    }
}
