//! Which pods are on which node.

use std::collections::HashMap;

use super::SharedStr;

/// The uids of the pods that are on each node or meant for it. A node has few pods, so a plain list is enough.
#[derive(Debug, Default)]
pub(super) struct PodsByNode(HashMap<SharedStr, Vec<SharedStr>>);

impl PodsByNode {
    pub(super) fn insert(&mut self, node: &SharedStr, uid: &SharedStr) {
        if node.is_empty() {
            return;
        }
        match self.0.get_mut(node) {
            Some(pods) => pods.push(uid.clone()),
            None => drop(self.0.insert(node.clone(), vec![uid.clone()])),
        }
    }

    pub(super) fn remove(&mut self, node: &SharedStr, uid: &str) {
        let Some(pods) = self.0.get_mut(node) else { return };
        if let Some(index) = pods.iter().position(|pod| **pod == *uid) {
            pods.swap_remove(index);
        }
        if pods.is_empty() {
            self.0.remove(node);
        }
    }

    pub(super) fn get(&self, node: &str) -> &[SharedStr] {
        self.0.get(node).map_or(&[], Vec::as_slice)
    }
}
