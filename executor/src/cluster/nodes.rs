//! The cache of nodes. Its keys are names, because pods and plans refer to nodes by name. A node that is recreated
//! has the same name.

use std::{collections::BTreeMap, sync::Arc};

use everynode_proto::{facts::Node, planner::v1::NodeFacts};

use super::{
    Cluster, SharedStr, Version,
    cache::{Cache, Cached},
};

/// The end of the label with which operators of device drivers, such as the GPU operator, track their upgrade of a node:
/// `nvidia.com/gpu-driver-upgrade-state`.
const DRIVER_UPGRADE_LABEL: &str = "-driver-upgrade-state";

/// The labels with which operators track their upgrades of nodes, and the number of nodes that have each.
#[derive(Debug, Default)]
pub(super) struct DriverUpgrades(BTreeMap<String, usize>);

impl DriverUpgrades {
    /// Replaces a node's facts. Returns whether a label has appeared or disappeared.
    fn replace(&mut self, before: Option<&NodeFacts>, now: Option<&NodeFacts>) -> bool {
        let (before, now) = (before.and_then(label), now.and_then(label));
        if before == now {
            return false;
        }
        let mut has_changed = false;
        if let Some(label) = now {
            let count = self.0.entry(label.clone()).or_default();
            has_changed |= *count == 0;
            *count += 1;
        }
        if let Some(count) = before.and_then(|label| self.0.get_mut(label)) {
            *count = count.saturating_sub(1);
            has_changed |= *count == 0;
        }
        self.0.retain(|_, count| *count > 0);
        has_changed
    }
}

fn label(facts: &NodeFacts) -> Option<&String> {
    facts
        .labels
        .keys()
        .find(|key| key.ends_with(DRIVER_UPGRADE_LABEL))
}

impl Cached for Node {
    type Value = Arc<NodeFacts>;

    const REUSES_KEYS: bool = true;

    fn cache_key(&self) -> &str {
        &self.metadata.name
    }

    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value> {
        &mut cluster.nodes
    }

    fn set(self, cluster: &mut Cluster, name: SharedStr, version: Version) {
        let facts = self.into_facts();
        match cluster.nodes.get_mut(&name) {
            Some(known) if *known.value == facts => known.version = version,
            Some(_) | None => {
                let before = cluster.nodes.get(&name).cloned();
                cluster.replace_driver_upgrade(before.as_deref(), Some(&facts));
                cluster.nodes.insert(name.clone(), Arc::new(facts), version);
                cluster.touched.nodes.insert(name);
                cluster.touch_all_unsettled();
            }
        }
    }

    fn forget(cluster: &mut Cluster, name: &SharedStr) {
        if let Some(before) = cluster.nodes.remove(name) {
            cluster.replace_driver_upgrade(Some(&before), None);
            cluster.touched.nodes.insert(name.clone());
        }
    }
}

impl Cluster {
    /// A node's facts.
    pub(crate) fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.get(name).map(|facts| &**facts)
    }

    /// The labels with which operators of device drivers track their upgrades of nodes.
    pub(crate) fn driver_upgrade_labels(&self) -> impl Iterator<Item = &String> {
        self.driver_upgrades.0.keys()
    }

    fn replace_driver_upgrade(&mut self, before: Option<&NodeFacts>, now: Option<&NodeFacts>) {
        if self.driver_upgrades.replace(before, now) {
            self.touch_announcements();
        }
    }

    /// Number of nodes.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The facts of all nodes, in no particular order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<NodeFacts>> {
        self.nodes.values()
    }
}
