//! The pods that `DaemonSet`s control, and those that nothing controls and that might be adopted.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use everynode_proto::{
    facts::{self, object::StringMap},
    planner::v1::PodFacts,
};
use indexmap::IndexSet;
use tokio::time::Instant;

use super::{Text, listing::Listing, version};
use crate::watch::Event;

/// After this long, a pod that only the answer to a write has told of is looked up.
const CONFIRM_AFTER: Duration = Duration::from_secs(10);

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
    /// metadata.labels.
    pub labels: StringMap,
    /// Whether it is being deleted.
    pub deleting: bool,
    version: u64,
    owner: Option<Text>,
    facts: Option<PodFacts>,
}

impl Pod {
    /// The uid of the `DaemonSet` that controls the pod; `None` when nothing controls it.
    pub fn owner(&self) -> Option<&Text> {
        self.owner.as_ref()
    }

    /// What the planner is told of the pod, if a `DaemonSet` controls it.
    pub fn facts(&self) -> Option<&PodFacts> {
        self.facts.as_ref()
    }
}

/// All such pods, by uid.
#[derive(Debug, Default)]
pub struct Pods {
    by_uid: HashMap<Text, Pod>,
    by_owner: HashMap<Text, IndexSet<Text>>,
    orphans: HashSet<Text>,
    listing: Listing,
    /// The highest resourceVersion that the watch has told of.
    watched: u64,
    /// Pods that only the answer to a write has told of so far.
    unconfirmed: HashMap<Text, Instant>,
}

impl Pods {
    /// Takes in what the watch says. Returns the uids of the pods that changed.
    pub fn event(&mut self, event: Event<facts::Pod>) -> Vec<Text> {
        match event {
            Event::ListBegins => self.listing.begin(),
            Event::Changed(pod) => {
                let uid = pod.metadata.uid.as_str().into();
                self.listing.saw(&uid);
                self.saw(&pod, &uid);
                return self.set(&pod, uid).into_iter().collect();
            }
            Event::Gone(pod) => {
                let uid: Text = pod.metadata.uid.as_str().into();
                self.saw(&pod, &uid);
                return self.remove(&uid).into_iter().collect();
            }
            Event::ListEnds => {
                let gone = self.listing.end(self.by_uid.keys());
                // What only a write has told of may be younger than the list; it is looked up in time.
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

    fn saw(&mut self, pod: &facts::Pod, uid: &Text) {
        self.watched = self.watched.max(version(&pod.metadata.resource_version));
        self.unconfirmed.remove(uid);
    }

    /// Takes in a pod as the answer to a write. If the watch is past that point, it has told all there is to know,
    /// perhaps that the pod is gone again.
    pub fn wrote(&mut self, pod: &facts::Pod) -> Option<Text> {
        if version(&pod.metadata.resource_version) <= self.watched {
            return None;
        }
        let uid: Text = pod.metadata.uid.as_str().into();
        if !self.by_uid.contains_key(&uid) {
            self.unconfirmed.insert(uid.clone(), Instant::now());
        }
        self.set(pod, uid)
    }

    /// Takes in that a pod's deletion has begun, or that the pod is gone. Neither is ever taken back.
    pub fn deleted(&mut self, uid: &str, gone: bool) -> Option<Text> {
        if gone {
            return self.remove(uid);
        }
        let (uid, _) = self.by_uid.get_key_value(uid)?;
        let uid = uid.clone();
        let pod = self.by_uid.get_mut(&uid)?;
        if std::mem::replace(&mut pod.deleting, true) {
            return None;
        }
        if let Some(facts) = &mut pod.facts {
            facts.deleting = true;
        }
        Some(uid)
    }

    fn set(&mut self, object: &facts::Pod, uid: Text) -> Option<Text> {
        let metadata = &object.metadata;
        let owner = match metadata.controller() {
            Some(owner) if owner.is_daemon_set() => Some(Text::from(owner.uid.as_str())),
            Some(_) => return self.remove(&uid),
            None => None,
        };
        let version = version(&metadata.resource_version);
        let mut facts = object.facts();
        let mut deleting = metadata.deletion_timestamp.is_some();
        if let Some(before) = self.by_uid.get(&uid) {
            if before.version > version {
                return None;
            }
            // A deletion that has begun may be known before the watch has come to it.
            deleting |= before.deleting;
            if let Some(facts) = &mut facts {
                facts.deleting = deleting;
            }
            if before.owner == owner && before.facts == facts && before.labels == metadata.labels {
                if let Some(before) = self.by_uid.get_mut(&uid) {
                    before.version = version;
                }
                return None;
            }
            self.unlink(&uid);
        }
        match &owner {
            Some(owner) => drop(
                self.by_owner
                    .entry(owner.clone())
                    .or_default()
                    .insert(uid.clone()),
            ),
            None => drop(self.orphans.insert(uid.clone())),
        }
        let pod = Pod {
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            labels: metadata.labels.clone(),
            deleting,
            version,
            owner,
            facts,
        };
        self.by_uid.insert(uid.clone(), pod);
        Some(uid)
    }

    fn remove(&mut self, uid: &str) -> Option<Text> {
        self.unlink(uid);
        self.unconfirmed.remove(uid);
        self.by_uid.remove_entry(uid).map(|(uid, _)| uid)
    }

    fn unlink(&mut self, uid: &str) {
        self.orphans.remove(uid);
        let Some(owner) = self.by_uid.get(uid).and_then(|pod| pod.owner.as_ref()) else {
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

    /// The pods that have to be looked up, because the watch should have told of them long ago.
    pub fn overdue(&self, now: Instant) -> Vec<Text> {
        let overdue = self
            .unconfirmed
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= CONFIRM_AFTER);
        overdue.map(|(uid, _)| uid.clone()).collect()
    }

    /// A pod has been looked up and is there.
    pub fn confirm(&mut self, uid: &str) {
        self.unconfirmed.remove(uid);
    }

    /// A pod.
    pub fn get(&self, uid: &str) -> Option<&Pod> {
        self.by_uid.get(uid)
    }

    /// The pods that a `DaemonSet` controls.
    pub fn of<'a>(&'a self, daemon_set: &str) -> impl Iterator<Item = (&'a Text, &'a Pod)> + use<'a> {
        let uids = self.by_owner.get(daemon_set).into_iter().flatten();
        uids.filter_map(|uid| self.by_uid.get_key_value(uid))
    }

    /// The pods that nothing controls.
    pub fn orphans(&self) -> impl Iterator<Item = (&Text, &Pod)> {
        self.orphans
            .iter()
            .filter_map(|uid| self.by_uid.get_key_value(uid))
    }

    /// All uids.
    pub fn uids(&self) -> impl Iterator<Item = &Text> {
        self.by_uid.keys()
    }

    /// The lists of the watch.
    pub(super) fn listing(&self) -> &Listing {
        &self.listing
    }
}
