//! Cached data of a `DaemonSet` and of a `ControllerRevision`.

use std::sync::Arc;

use everynode_proto::{
    facts::{
        REVISION_LABEL, Selector,
        object::{LabelSelector, StringMap},
    },
    planner::v1::PodTemplateFacts,
};

use super::{Owner, SharedStr};
use crate::{
    apiserver::objects::DaemonSet,
    pods::{hash::Fingerprint, template},
};

/// A `DaemonSet`, and the data that is computed from it alone.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The object.
    pub object: Arc<DaemonSet>,
    /// Fingerprint of its template. Templates with the same meaning have the same fingerprint.
    pub template: Fingerprint,
    owner: Owner,
    selector: Option<Selector>,
}

impl Entry {
    pub(super) fn new(object: DaemonSet) -> Self {
        let template = template::fingerprint(&object);
        let selector = selector(&object.spec.selector);
        Self {
            owner: object.metadata.identity().into(),
            object: Arc::new(object),
            template,
            selector,
        }
    }

    /// The identity that must match the controller references of its pods and revisions.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether there is a usable selector. An empty or invalid selector neither selects nor releases pods.
    pub(crate) fn has_selector(&self) -> bool {
        self.selector.is_some()
    }

    /// Whether the `DaemonSet` selects something with these labels. An empty selector selects nothing (P6).
    pub(crate) fn selects(&self, labels: &StringMap) -> bool {
        self.selector
            .as_ref()
            .is_some_and(|selector| selector.matches(labels))
    }
}

fn selector(selector: &LabelSelector) -> Option<Selector> {
    if selector.is_empty() {
        return None;
    }
    // The API server rejects selectors that can't be parsed. If one is stored nevertheless, it selects nothing.
    Selector::new(selector).ok()
}

/// A `ControllerRevision`, without its data.
#[derive(Debug, Clone)]
pub(crate) struct CachedRevision {
    /// metadata.name.
    pub name: String,
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.uid.
    pub uid: SharedStr,
    /// Its revision number: higher is newer.
    pub revision: i64,
    /// Fingerprint of the template in its data.
    pub template: Fingerprint,
    /// The parts of that template that placement reads.
    pub placement: Arc<PodTemplateFacts>,
    /// Its own labels.
    pub labels: StringMap,
    /// The `DaemonSet` that controls it; `None` when nothing controls it.
    pub owner: Option<Owner>,
}

impl CachedRevision {
    /// The controller-revision-hash of this revision's pods, if it has one.
    pub(crate) fn hash(&self) -> Option<&str> {
        self.labels.get(REVISION_LABEL).map(String::as_str)
    }
}
