//! Checks how many pods of a `DaemonSet` a node has at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::{Simulation, Verdict, created, surges};
use crate::{fleet::Text, model::Pod};

/// Nodes that may have more pods than their `DaemonSet`'s strategy allows. Each entry is the `DaemonSet`'s uid and
/// the node.
#[derive(Debug, Default)]
pub(in super::super) struct CrowdedNodes {
    /// Nodes where the `DaemonSet` gained a pod that somebody else created.
    pub(in super::super) adopted: BTreeSet<(Text, Text)>,
    /// Nodes that had more than one pod while the strategy allowed surge, until the extra pods are gone.
    surged: BTreeSet<(Text, Text)>,
}

impl Simulation {
    /// Without surge, two pods of a `DaemonSet` never run on a node at the same time, terminating ones
    /// included. With surge, there are never three that aren't terminating. A node may still have two after a
    /// change of strategy, or more if somebody else created pods. Such nodes are excused until the extra pods are
    /// gone.
    pub(in super::super) fn check_pod_counts(&mut self) {
        let creating: BTreeSet<_> = self
            .pending
            .values()
            .filter_map(|(owner, action)| Some((owner.clone(), created(action)?)))
            .collect();
        let mut nodes: BTreeMap<(Text, Text), Vec<&Pod>> =
            creating.iter().map(|place| (place.clone(), Vec::new())).collect();
        for (owner, pod) in self.cluster.pods.values().filter(|(_, pod)| !pod.is_terminal()) {
            nodes
                .entry((owner.clone(), pod.node.clone()))
                .or_default()
                .push(pod);
        }
        let crowded = |place: &(Text, Text)| {
            let pods = nodes.get(place).map_or(0, Vec::len);
            pods + usize::from(creating.contains(place)) > 1
        };
        let undelivered = self.pods_with_undelivered_events();
        let undelivered: BTreeSet<_> = self
            .cluster
            .pods
            .iter()
            .filter(|(uid, _)| undelivered.contains(uid))
            .map(|(_, (owner, pod))| (owner.clone(), pod.node.clone()))
            .collect();
        self.crowded_nodes
            .adopted
            .retain(|place| crowded(place) || undelivered.contains(place));
        self.crowded_nodes.surged.retain(crowded);
        for (place, pods) in &nodes {
            let Some(daemon_set) = self.received.daemon_sets.get(&place.0) else {
                continue;
            };
            if surges(daemon_set) && crowded(place) {
                self.crowded_nodes.surged.insert(place.clone());
            }
            if self.crowded_nodes.adopted.contains(place) {
                continue;
            }
            let count = pods.iter().filter(|pod| !pod.deleting).count();
            assert!(
                count <= 2 && (pods.len() <= 1 || self.crowded_nodes.surged.contains(place)),
                "too many pods at {place:?}: {pods:#?}"
            );
        }
        assert!(self.cluster.pods.len() < 200, "pods accumulate");
    }

    /// The plan deletes all pods that the strategy doesn't allow to stay. Without surge, one pod of a node stays;
    /// with surge, one current and one old pod. Only live pods count.
    pub(super) fn check_received_pod_counts(&self) {
        for (uid, daemon_set) in &self.received.daemon_sets {
            let view = self.view(uid);
            for (node, verdict) in &view.verdicts {
                let (current, old): (Vec<_>, Vec<_>) = view.live(node).partition(|pod| view.is_current(pod));
                let fits = match (verdict, surges(daemon_set)) {
                    (Verdict::Exclude, _) => current.len() + old.len() == 0,
                    (_, true) => current.len() <= 1 && old.len() <= 1,
                    (_, false) => current.len() + old.len() <= 1,
                };
                assert!(fits, "too many pods stay on {node}: {current:#?} {old:#?}");
            }
        }
    }
}
