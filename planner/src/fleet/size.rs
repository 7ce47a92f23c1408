//! How much a fleet holds.

use super::Fleet;

/// How much a fleet holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Nodes, with those that only pods or actions refer to.
    pub nodes: usize,
    /// `DaemonSet`s, with those that only pods refer to.
    pub daemon_sets: usize,
    /// Pods.
    pub pods: usize,
    /// Pairs of the two.
    pub cells: usize,
    /// About how many bytes all of it takes.
    pub bytes: usize,
}

impl Fleet {
    /// How much it holds.
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
