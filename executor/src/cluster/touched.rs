//! Changes in the caches.

use indexmap::IndexSet;

use super::SharedStr;

/// Changes since the controller last processed them.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Nodes, by name.
    pub nodes: IndexSet<SharedStr>,
    /// Pods, by uid.
    pub pods: IndexSet<SharedStr>,
    /// `DaemonSet`s, by uid.
    pub daemon_sets: IndexSet<SharedStr>,
    /// `DaemonSet`s, by uid, whose status has been written, no matter by whom.
    pub statuses: IndexSet<SharedStr>,
    /// Pods that another controller has created for a `DaemonSet`: the `DaemonSet`'s uid and the pod's name.
    pub competitor_pods: Vec<(SharedStr, String)>,
    /// `DaemonSet`s, by uid, whose pods or revisions may need to be adopted, released or relabeled.
    pub upkeep: IndexSet<SharedStr>,
}

impl Touched {
    /// Whether there is anything to send to the planner.
    pub(crate) fn has_facts(&self) -> bool {
        !(self.nodes.is_empty() && self.pods.is_empty() && self.daemon_sets.is_empty())
    }
}
