//! The cache of `ControllerRevision`s that a `DaemonSet` controls or that nothing controls. Its keys are uids.

use super::{
    Cluster, Known, Owner, Text, Version,
    cache::{Cache, Cached},
};
use crate::{apiserver::objects::Revision, pods::template};

impl Cached for Revision {
    type Value = Known;

    const REUSES_KEYS: bool = false;

    fn cache_key(&self) -> &str {
        &self.metadata.uid
    }

    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value> {
        &mut cluster.revisions
    }

    fn set(self, cluster: &mut Cluster, uid: Text, version: Version) {
        cluster.set_revision(&self, uid, version);
    }

    fn forget(cluster: &mut Cluster, uid: &Text) {
        cluster.forget_revision(uid);
    }
}

impl Cluster {
    /// Applies a `ControllerRevision` from the answer to a read or a write. If the watch is past that version, it has
    /// already reported everything, perhaps even that the revision is gone again.
    pub fn wrote_revision(&mut self, object: &Revision) {
        let version = Version::of(&object.metadata.resource_version);
        let known = self.revisions.version(&object.metadata.uid);
        let is_newer = known.is_none_or(|known| version >= *known);
        let listing = &self.revisions.listing;
        if is_newer && (version > *listing.watched() || listing.awaits(&object.metadata.uid)) {
            self.set_revision(object, object.metadata.uid.as_str().into(), version);
        }
    }

    fn set_revision(&mut self, object: &Revision, uid: Text, version: Version) {
        let metadata = &object.metadata;
        let owner = metadata.controlling_daemon_set().map(Owner::from);
        if owner.is_none() && metadata.controller().is_some() {
            return self.forget_revision(&uid);
        }
        if metadata.deletion_timestamp.is_some() {
            return self.forget_revision(&uid);
        }
        let known = Known {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: uid.clone(),
            revision: object.revision,
            template: template::data_fingerprint(object),
            labels: metadata.labels.clone(),
            owner,
        };
        let before = self.revisions.get(&uid);
        // The creator of a revision for a `DaemonSet` may still be working with it. As in kube-controller-manager
        // (mirrors addHistory), the new revision alone starts no upkeep: it is put in order when something else
        // happens. So a duplicate isn't deleted before its creator can read it.
        if before.is_some() || known.owner.is_none() {
            self.touch_owners(&known);
        }
        self.revisions.insert(uid, known, version);
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

    /// The `ControllerRevision`s in a namespace that a `DaemonSet` controls, or that nothing controls.
    pub fn revisions(&self, namespace: &str) -> impl Iterator<Item = &Known> {
        self.revisions
            .values()
            .filter(move |revision| revision.namespace == namespace)
    }
}
