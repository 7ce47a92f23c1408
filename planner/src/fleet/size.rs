//! The size of a fleet.

use super::Fleet;

/// The size of a fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Nodes, including those that only pods or actions refer to.
    pub nodes: usize,
    /// `DaemonSet`s, including those that only pods refer to.
    pub daemon_sets: usize,
    /// Pods.
    pub pods: usize,
    /// Pairs of a node and a `DaemonSet`.
    pub cells: usize,
    /// Estimated bytes of all of them.
    pub bytes: usize,
}

impl Fleet {
    /// The size of this fleet.
    pub fn size(&self) -> Size {
        let (nodes, daemon_sets) = (self.nodes.in_order().len(), self.rows.count());
        Size {
            nodes,
            daemon_sets,
            pods: self.pods.count(),
            cells: nodes * daemon_sets,
            bytes: self.bytes(),
        }
    }
}
