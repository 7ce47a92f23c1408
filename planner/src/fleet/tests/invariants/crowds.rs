//! How many pods of a `DaemonSet` a node may have at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::{Simulation, Verdict, created, surges};
use crate::{fleet::Text, model::Pod};

/// Nodes with more pods than their `DaemonSet`'s strategy makes, each after its `DaemonSet`'s uid.
#[derive(Debug, Default)]
pub(in super::super) struct Crowds {
    /// A pod came there that somebody else has made.
    pub(in super::super) adopted: BTreeSet<(Text, Text)>,
    /// There were two when the strategy changed.
    surged: BTreeSet<(Text, Text)>,
}

impl Simulation {
    /// At no time do two pods of a `DaemonSet` run on a node without surge, terminating ones included, nor three
    /// that aren't terminating with surge. A change of strategy may leave two, and others may add some: those are
    /// excused until they are gone.
    pub(in super::super) fn check_crowds(&mut self) {
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
        let news = self.pods_with_news();
        let news: BTreeSet<_> = self
            .cluster
            .pods
            .iter()
            .filter(|(uid, _)| news.contains(uid))
            .map(|(_, (owner, pod))| (owner.clone(), pod.node.clone()))
            .collect();
        self.crowds
            .adopted
            .retain(|place| crowded(place) || news.contains(place));
        self.crowds.surged.retain(crowded);
        for (place, pods) in &nodes {
            let Some(daemon_set) = self.told.daemon_sets.get(&place.0) else {
                continue;
            };
            if surges(daemon_set) && crowded(place) {
                self.crowds.surged.insert(place.clone());
            }
            if self.crowds.adopted.contains(place) {
                continue;
            }
            let standing = pods.iter().filter(|pod| !pod.deleting).count();
            assert!(
                standing <= 2 && (pods.len() <= 1 || self.crowds.surged.contains(place)),
                "too many pods at {place:?}: {pods:#?}"
            );
        }
        assert!(self.cluster.pods.len() < 200, "pods heap up");
    }

    /// What the strategy doesn't allow to stay is asked to go at once: without surge all but one, with surge all but
    /// one current and one old, each counted among those that live on.
    pub(super) fn check_told_crowds(&self) {
        for (uid, daemon_set) in &self.told.daemon_sets {
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
