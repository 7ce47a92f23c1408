//! What has changed in the caches.

use indexmap::IndexSet;

use super::Text;

/// What has changed since it was last looked at.
#[derive(Debug, Default)]
pub struct Touched {
    /// Nodes, by name.
    pub nodes: IndexSet<Text>,
    /// Pods, by uid.
    pub pods: IndexSet<Text>,
    /// `DaemonSet`s, by uid.
    pub daemon_sets: IndexSet<Text>,
    /// `DaemonSet`s, by uid, whose status has been written, by whomever.
    pub statuses: IndexSet<Text>,
    /// Pods that somebody else has made for a `DaemonSet`, each with the `DaemonSet`'s uid and its own name.
    pub strangers: Vec<(Text, String)>,
    /// `DaemonSet`s, by uid, whose pods or revisions may have to be adopted, released or put in order.
    pub upkeep: IndexSet<Text>,
}

impl Touched {
    /// Whether there is something that planners are told of.
    pub fn has_facts(&self) -> bool {
        !(self.nodes.is_empty() && self.pods.is_empty() && self.daemon_sets.is_empty())
    }
}
