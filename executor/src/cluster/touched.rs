//! Changes in the caches.

use indexmap::IndexSet;

use super::Text;

/// Changes since the controller last processed them.
#[derive(Debug, Default)]
pub struct Touched {
    /// Nodes, by name.
    pub nodes: IndexSet<Text>,
    /// Pods, by uid.
    pub pods: IndexSet<Text>,
    /// `DaemonSet`s, by uid.
    pub daemon_sets: IndexSet<Text>,
    /// `DaemonSet`s, by uid, whose status has been written, no matter by whom.
    pub statuses: IndexSet<Text>,
    /// Pods that another controller has made for a `DaemonSet`: the `DaemonSet`'s uid and the pod's name.
    pub strangers: Vec<(Text, String)>,
    /// `DaemonSet`s, by uid, whose pods or revisions may need to be adopted, released or put in order.
    pub upkeep: IndexSet<Text>,
}

impl Touched {
    /// Whether there is anything to send to the planner.
    pub fn has_facts(&self) -> bool {
        !(self.nodes.is_empty() && self.pods.is_empty() && self.daemon_sets.is_empty())
    }
}
