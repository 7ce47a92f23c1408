//! Finds the pods and revisions that a `DaemonSet` should adopt or release (contract A1 to A4), and builds the patches
//! that do so.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{
    apiserver::objects::DaemonSet,
    cluster::{Cluster, Entry, SharedStr},
    pods::pod::owner_reference,
};

/// An object to adopt or release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) uid: SharedStr,
}

/// The uids of objects that the server refused to let a `DaemonSet` adopt or release.
pub(crate) type RefusedUids = HashSet<SharedStr>;

/// The objects that a `DaemonSet` should adopt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Orphans {
    pub(crate) pods: Vec<Target>,
    pub(crate) revisions: Vec<Target>,
}

impl Orphans {
    pub(crate) fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.revisions.is_empty()
    }
}

/// Finds the pods and revisions in the `DaemonSet`'s namespace that it selects and that nothing controls (A1). Skips
/// objects that the server refused to let it adopt, and objects that are being deleted.
pub(crate) fn orphans(cluster: &Cluster, entry: &Entry, refused: &RefusedUids) -> Orphans {
    let namespace = &entry.object.metadata.namespace;
    let pods = cluster.pods().orphans().filter(|(uid, pod)| {
        *pod.namespace == **namespace
            && !pod.deleting
            && entry.selects(&pod.labels)
            && !refused.contains(*uid)
    });
    let revisions = cluster.revisions(namespace).filter(|revision| {
        revision.owner.is_none() && entry.selects(&revision.labels) && !refused.contains(&revision.uid)
    });
    let mut orphans = Orphans {
        pods: pods
            .map(|(uid, pod)| Target {
                name: pod.name.to_string(),
                uid: uid.clone(),
            })
            .collect(),
        revisions: revisions
            .map(|revision| Target {
                name: revision.name.clone(),
                uid: revision.uid.clone(),
            })
            .collect(),
    };
    orphans.pods.sort_by(|a, b| a.name.cmp(&b.name));
    orphans
}

/// Finds the `DaemonSet`'s pods that it no longer selects (A2).
pub(crate) fn unselected_pods(cluster: &Cluster, entry: &Entry, refused: &RefusedUids) -> Vec<Target> {
    if !entry.has_selector() {
        return Vec::new();
    }
    let pods = cluster.pods().owned_by(entry.owner());
    let unselected = pods.filter(|(uid, pod)| !entry.selects(&pod.labels) && !refused.contains(*uid));
    unselected
        .map(|(uid, pod)| Target {
            name: pod.name.to_string(),
            uid: uid.clone(),
        })
        .collect()
}

/// The strategic merge patch that makes the `DaemonSet` the object's controller. It applies only while the object has
/// the same uid.
pub(crate) fn adoption_patch(daemon_set: &DaemonSet, target: &Target) -> Value {
    json!({"metadata": {"uid": *target.uid, "ownerReferences": [owner_reference(daemon_set)]}})
}

/// The strategic merge patch that removes the `DaemonSet` from the object's owners. It applies only while the object
/// has the same uid.
pub(crate) fn release_patch(daemon_set: &DaemonSet, target: &Target) -> Value {
    let reference = json!({"$patch": "delete", "uid": daemon_set.metadata.uid});
    json!({"metadata": {"uid": *target.uid, "ownerReferences": [reference]}})
}
