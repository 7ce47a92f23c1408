//! The cache of `DaemonSet`s that are not being deleted. Its keys are uids.

use std::sync::Arc;

use super::{
    Cluster, Entry, Owner, SharedStr, Version,
    cache::{Cache, Cached},
};
use crate::{apiserver::objects::DaemonSet, status::conditions};

impl Cached for DaemonSet {
    type Value = Entry;

    const REUSES_KEYS: bool = false;

    fn cache_key(&self) -> &str {
        &self.metadata.uid
    }

    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value> {
        &mut cluster.daemon_sets
    }

    fn set(self, cluster: &mut Cluster, uid: SharedStr, version: Version) {
        if let Some(known) = cluster.daemon_sets.get_mut(&uid) {
            let before = &known.value.object;
            // Status writes are frequent, so the entry is recomputed only when a field that it depends on changes.
            if before.metadata.generation == self.metadata.generation
                && before.metadata.deletion_timestamp == self.metadata.deletion_timestamp
                && before.metadata.annotations == self.metadata.annotations
                && before.metadata.labels == self.metadata.labels
                && before.status.collision_count == self.status.collision_count
            {
                if before.status != self.status {
                    if conditions::is_rollout_held(&before.status)
                        != conditions::is_rollout_held(&self.status)
                    {
                        cluster.touched.announcements.insert(uid.clone());
                    }
                    cluster.touched.statuses.insert(uid);
                }
                let object = Arc::new(self);
                known.value.object = object.clone();
                known.version = version;
                cluster.touch_unsettled(object.metadata.identity());
                return;
            }
        }
        if self.metadata.deletion_timestamp.is_some() {
            // From now on, its pods are left to the garbage collector (A4), even if the next event shows an earlier
            // version.
            cluster.daemon_sets.listing.add_tombstone(uid.clone(), version);
            Self::forget(cluster, &uid);
            return;
        }
        let entry = Entry::new(self);
        if cluster.daemon_set(&uid).is_none() {
            // Until now its pods belonged to no known DaemonSet. The planner must receive them before the DaemonSet.
            let pods = cluster.pods.owned_by(entry.owner()).map(|(uid, _)| uid.clone());
            cluster.touched.pods.extend(pods);
            if cluster.rollout(&entry).is_some() {
                cluster.touched.rollouts.insert(uid.clone());
            }
        }
        cluster.daemon_sets.insert(uid.clone(), entry, version);
        cluster.touched.daemon_sets.insert(uid.clone());
        cluster.touched.upkeep.insert(uid);
    }

    fn forget(cluster: &mut Cluster, uid: &SharedStr) {
        cluster.settle_history(uid);
        if cluster.daemon_sets.remove(uid).is_some() {
            cluster.touched.daemon_sets.insert(uid.clone());
        }
    }
}

impl Cluster {
    /// Applies a `DaemonSet` from the response to a read or a write, unless a newer version is cached. Ignores a
    /// `DaemonSet` that isn't cached, because it has been deleted in the meantime.
    pub(crate) fn apply_written_daemon_set(&mut self, object: DaemonSet) {
        let uid: SharedStr = object.metadata.uid.as_str().into();
        let version = Version::parse(&object.metadata.resource_version);
        let known = self.daemon_sets.version(&uid);
        if known.is_some_and(|known| version >= *known) {
            object.set(self, uid, version);
        }
    }

    /// A `DaemonSet` that is not being deleted.
    pub(crate) fn daemon_set(&self, uid: &str) -> Option<&Entry> {
        self.daemon_sets.get(uid)
    }

    /// The `DaemonSet` that a controller reference names, if it is known and not being deleted. A `DaemonSet` that
    /// shares only the uid with the reference is a different one.
    pub(crate) fn daemon_set_of(&self, owner: &Owner) -> Option<&Entry> {
        self.daemon_sets
            .get(&owner.uid)
            .filter(|entry| entry.owner() == owner)
    }

    /// All `DaemonSet`s that are not being deleted, in no particular order.
    pub(crate) fn daemon_sets(&self) -> impl Iterator<Item = &Entry> {
        self.daemon_sets.values()
    }
}
