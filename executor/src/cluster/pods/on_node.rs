//! Which pods are on which node.

use std::collections::HashMap;

use super::Text;

/// The uids of the pods that are on each node or meant for it. Few pods share a node, so they are a plain list.
#[derive(Debug, Default)]
pub(super) struct OnNode(HashMap<Text, Vec<Text>>);

impl OnNode {
    pub(super) fn insert(&mut self, node: &Text, uid: &Text) {
        if node.is_empty() {
            return;
        }
        match self.0.get_mut(node) {
            Some(pods) => pods.push(uid.clone()),
            None => drop(self.0.insert(node.clone(), vec![uid.clone()])),
        }
    }

    pub(super) fn remove(&mut self, node: &Text, uid: &str) {
        let Some(pods) = self.0.get_mut(node) else { return };
        if let Some(place) = pods.iter().position(|pod| **pod == *uid) {
            pods.swap_remove(place);
        }
        if pods.is_empty() {
            self.0.remove(node);
        }
    }

    pub(super) fn get(&self, node: &str) -> &[Text] {
        self.0.get(node).map_or(&[], Vec::as_slice)
    }
}
