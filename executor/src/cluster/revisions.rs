//! The cache of `ControllerRevision`s that a `DaemonSet` controls or that nothing controls. Its keys are uids.

use std::sync::Arc;

use super::{
    CachedRevision, Cluster, Owner, SharedStr, Version,
    cache::{Cache, Cached},
};
use crate::{apiserver::objects::Revision, pods::template};

impl Cached for Revision {
    type Value = CachedRevision;

    const REUSES_KEYS: bool = false;

    fn cache_key(&self) -> &str {
        &self.metadata.uid
    }

    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value> {
        &mut cluster.revisions
    }

    fn set(self, cluster: &mut Cluster, uid: SharedStr, version: Version) {
        cluster.set_revision(&self, uid, version);
    }

    fn forget(cluster: &mut Cluster, uid: &SharedStr) {
        cluster.forget_revision(uid);
    }
}

impl Cluster {
    /// Applies a `ControllerRevision` from the response to a read or a write. A watch past that version has already
    /// reported the revision, and perhaps its deletion, so the response is ignored.
    pub(crate) fn apply_written_revision(&mut self, object: &Revision) {
        let version = Version::parse(&object.metadata.resource_version);
        let known = self.revisions.version(&object.metadata.uid);
        let is_newer = known.is_none_or(|known| version >= *known);
        let listing = &self.revisions.listing;
        if is_newer && (version > *listing.latest_version() || listing.may_still_list(&object.metadata.uid)) {
            self.set_revision(object, object.metadata.uid.as_str().into(), version);
        }
    }

    fn set_revision(&mut self, object: &Revision, uid: SharedStr, version: Version) {
        let metadata = &object.metadata;
        let owner = metadata.controlling_daemon_set().map(Owner::from);
        if owner.is_none() && metadata.controller().is_some() {
            return self.forget_revision(&uid);
        }
        if metadata.deletion_timestamp.is_some() {
            return self.forget_revision(&uid);
        }
        let known = CachedRevision {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: uid.clone(),
            revision: object.revision,
            template: template::data_fingerprint(object),
            placement: Arc::new(template::data_facts(object)),
            labels: metadata.labels.clone(),
            owner,
        };
        match &known.owner {
            // A new revision: its creator may still be working with it, so upkeep waits.
            Some(owner) if self.revisions.get(&uid).is_none() => {
                if self.daemon_set_of(owner).is_some() {
                    self.unsettle_history(&owner.uid);
                }
            }
            Some(_) | None => self.touch_owners(&known),
        }
        self.revisions.insert(uid, known, version);
    }

    /// Removes a `ControllerRevision` that is gone.
    pub(crate) fn forget_revision(&mut self, uid: &str) {
        if let Some(known) = self.revisions.remove(uid) {
            self.touch_owners(&known);
        }
    }

    fn touch_owners(&mut self, revision: &CachedRevision) {
        let Some(owner) = &revision.owner else {
            let adopters = self.daemon_sets.iter().filter(|(_, entry)| {
                entry.object.metadata.namespace == revision.namespace && entry.selects(&revision.labels)
            });
            self.touched.upkeep.extend(adopters.map(|(uid, _)| uid.clone()));
            return;
        };
        if self.daemon_set_of(owner).is_some() {
            let uid = owner.uid.clone();
            if self.has_policies_or_rollouts() {
                self.touched.announcements.insert(uid.clone());
            }
            self.touched.upkeep.insert(uid);
        }
    }

    /// The `ControllerRevision`s in a namespace that a `DaemonSet` controls, or that nothing controls.
    pub(crate) fn revisions(&self, namespace: &str) -> impl Iterator<Item = &CachedRevision> {
        self.revisions
            .values()
            .filter(move |revision| revision.namespace == namespace)
    }
}
