//! The cache of nodes. Its keys are names, because pods and plans refer to nodes by name. A node that is recreated
//! has the same name.

use std::sync::Arc;

use everynode_proto::{facts::Node, planner::v1::NodeFacts};

use super::{
    Cluster, SharedStr, Version,
    cache::{Cache, Cached},
};

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
                cluster.nodes.insert(name.clone(), Arc::new(facts), version);
                cluster.touched.nodes.insert(name);
                cluster.touch_all_unsettled();
            }
        }
    }

    fn forget(cluster: &mut Cluster, name: &SharedStr) {
        if cluster.nodes.remove(name).is_some() {
            cluster.touched.nodes.insert(name.clone());
        }
    }
}

impl Cluster {
    /// A node's facts.
    pub(crate) fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.get(name).map(|facts| &**facts)
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
