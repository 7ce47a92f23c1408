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
    /// Rollout policies, by uid.
    pub policies: IndexSet<SharedStr>,
    /// Namespaces, by name.
    pub namespaces: IndexSet<SharedStr>,
    /// `DaemonSet`s, by uid, whose rollout's verbs or memory have changed.
    pub rollouts: IndexSet<SharedStr>,
    /// Whether it may have changed whether the policies are known.
    pub knowledge: bool,
    /// `DaemonSet`s, by uid, whose facts may differ because of policies, memory or revisions.
    pub announcements: IndexSet<SharedStr>,
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
        let has_objects = !(self.nodes.is_empty() && self.pods.is_empty() && self.daemon_sets.is_empty());
        let has_rollouts =
            !(self.policies.is_empty() && self.namespaces.is_empty() && self.rollouts.is_empty());
        has_objects || has_rollouts || self.knowledge
    }
}
