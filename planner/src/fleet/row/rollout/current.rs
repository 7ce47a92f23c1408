//! The template of the revision that nodes have before a rollout releases them.

use std::sync::Arc;

use crate::{
    decide::{placement::Placement, taints::added_tolerations},
    model::{DaemonSet, Text, Toleration},
};

/// The template of the current revision.
#[derive(Debug)]
pub(super) struct CurrentTemplate {
    pub(super) hash: Text,
    /// `None` if the update template is the current one, or if its `ControllerRevision` is gone.
    pub(super) placement: Option<Placement>,
    pub(super) added_tolerations: Arc<[Toleration]>,
    /// Whether its `ControllerRevision` is gone.
    pub(super) is_lost: bool,
}

/// Whether the `ControllerRevision` with this hash is gone, so that no pod can be made from it (T8). A `DaemonSet` without any
/// revision comes from a caller that doesn't send them.
pub(super) fn is_lost(hash: &Text, daemon_set: &DaemonSet) -> bool {
    let revisions = &daemon_set.revisions;
    let is_known = hash.is_empty() || *hash == daemon_set.update_revision || revisions.is_empty();
    !is_known && !revisions.iter().any(|revision| revision.hash == *hash)
}

impl CurrentTemplate {
    /// The template with this hash, as the `DaemonSet`'s revisions have it.
    pub(super) fn new(hash: Text, daemon_set: &DaemonSet) -> Self {
        let is_other = hash != daemon_set.update_revision;
        let mut revisions = daemon_set.revisions.iter();
        let found = revisions.find(|revision| is_other && revision.hash == hash);
        let placement = found.map(|revision| {
            Placement::new(&DaemonSet {
                template: revision.template.clone(),
                ..daemon_set.clone()
            })
        });
        Self {
            is_lost: is_lost(&hash, daemon_set),
            hash,
            placement,
            added_tolerations: found
                .map(|revision| added_tolerations(&revision.template).into())
                .unwrap_or_default(),
        }
    }
}
