//! The checker's model of the cluster, and the violations found in it. The model reports a violation at once, unless an
//! event that would justify it may not have arrived yet. Then it waits until that event would have arrived.
//!
//! - `deletions`: the valid reasons for a deletion.
//!
//! The events come from the checker's own watches. The events of one kind of object arrive in order, but there is no
//! order between kinds, and Everynode may act on a state that has just changed. So each reason to act stays valid for a
//! while after it has ended.

mod deletions;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;

pub(super) use self::deletions::Suspicion;
use super::objects::{PodView, SetView, State, Strategy};
use super::placement::{NodeView, Placement};

/// How long a reason to act stays valid after it has ended. The faults can't delay Everynode's watches for so long.
const LONG_GRACE: Duration = Duration::from_mins(1);
/// How far the checker's own watches may lag behind one another and behind the audit log, because they need to recover
/// after an outage of the API server.
pub(super) const LAG: Duration = Duration::from_secs(15);
/// How long Everynode may still treat a ready pod as unready, or a node that should have a pod again as one that
/// shouldn't. It is the longest fault of a connection plus a margin. A longer time would excuse too much: every pod
/// starts unready, and taints come and go.
const SHORT_GRACE: Duration = Duration::from_secs(10);
/// How long deleted pods and `DaemonSet`s are remembered.
const RETENTION: Duration = Duration::from_mins(3);

/// The last time at which something was true, if it ever was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastTime(Option<Instant>);

impl LastTime {
    fn set(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    fn is_recent(self, now: Instant) -> bool {
        self.is_within(LONG_GRACE, now)
    }

    fn is_within(self, time: Duration, now: Instant) -> bool {
        self.0.is_some_and(|then| now.duration_since(then) < time)
    }
}

/// The recent history of a `DaemonSet`.
#[derive(Debug, Default)]
struct SetHistory {
    /// When it was deleted.
    deleted: Option<Instant>,
    /// The last time at which it had another template version.
    other_version: LastTime,
    /// The last time at which its updates could surge.
    surging: LastTime,
    /// The last time at which its updates could delete an old pod before a new one was there.
    replacing: LastTime,
    /// Its recent budgets, each with the time from which it applied.
    budgets: VecDeque<(Instant, usize)>,
    /// The nodes that lack an available pod because Everynode deleted one for an update.
    removed_by_updates: BTreeSet<String>,
}

/// The recent history of a `DaemonSet` on a node.
#[derive(Debug, Default, Clone, Copy)]
struct CellHistory {
    /// The last time at which no pod was allowed there.
    forbidden: LastTime,
    /// The last time at which no pod was to be created there, whether or not an existing one could stay.
    unwanted: LastTime,
    /// The last time at which there was more than one live pod.
    duplicated: LastTime,
    /// The last time at which a pod was available there.
    available: LastTime,
}

impl CellHistory {
    fn record_placement(&mut self, placement: Placement, now: Instant) {
        if placement != Placement::Wanted {
            self.unwanted.set(now);
        }
        if placement == Placement::Forbidden {
            self.forbidden.set(now);
        }
    }
}

/// The cluster as the checker sees it.
#[derive(Debug, Default)]
pub(super) struct ClusterModel {
    pub(super) nodes: BTreeMap<String, NodeView>,
    pub(super) sets: BTreeMap<String, SetView>,
    pub(super) pods: HashMap<String, PodView>,
    history: HashMap<String, SetHistory>,
    cells: HashMap<(String, String), CellHistory>,
    /// Deleted pods by name: each as it was before its deletion, and when the checker saw the deletion.
    deleted_pods: HashMap<String, (PodView, Instant)>,
    /// Nodes with two live pods of a `DaemonSet` that doesn't surge as far as the checker knows: the time at which the
    /// checker saw the second pod, the `DaemonSet`'s uid, and the message of the violation.
    duplicates: Vec<(Instant, String, String)>,
    /// The last time at which pods were relisted. The checker may never have seen pods that were created and deleted
    /// before that.
    listed: LastTime,
    pub(super) violations: Vec<String>,
}

impl ClusterModel {
    pub(super) fn on_node_applied(&mut self, node: &Node) {
        self.set_node(&node.name_any(), Some(NodeView::of(node)));
    }

    pub(super) fn on_node_deleted(&mut self, name: &str) {
        self.set_node(name, None);
    }

    fn set_node(&mut self, name: &str, node: Option<NodeView>) {
        if self.nodes.get(name) == node.as_ref() {
            return;
        }
        self.record_placements(|_, node| node == name);
        if let Some(node) = node {
            self.nodes.insert(name.to_owned(), node);
        } else {
            self.nodes.remove(name);
            let now = Instant::now();
            for set in self.sets.keys() {
                let cell = self.cells.entry((set.clone(), name.to_owned())).or_default();
                cell.record_placement(Placement::Forbidden, now);
            }
        }
        self.record_placements(|_, node| node == name);
        self.record_budgets();
    }

    pub(super) fn on_set_applied(&mut self, set: &DaemonSet) {
        let Some(uid) = set.uid() else { return };
        let view = SetView::of(set);
        let known = self.sets.get(&uid);
        if known.is_some_and(|known| known.generation > view.generation) {
            return;
        }
        let now = Instant::now();
        self.record_placements(|set, _| set == uid);
        let history = self.history.entry(uid.clone()).or_default();
        if let Some(before) = self.sets.get(&uid) {
            if before.version != view.version {
                history.other_version.set(now);
            }
            history.record_strategy(before.strategy, now);
        }
        history.record_strategy(view.strategy, now);
        self.sets.insert(uid.clone(), view);
        self.record_placements(|set, _| set == uid);
        self.record_budgets();
    }

    /// Records the API server's answer to a change of a `DaemonSet`. It arrives before the watch's event, and Everynode
    /// may act on the change before the checker's watch delivers that event.
    pub(super) fn on_set_changed(&mut self, set: &DaemonSet) {
        let uid = set.uid().unwrap_or_default();
        let known = self.sets.get(&uid).map(|known| known.generation);
        // If the generation is known already, the watch may have delivered a newer status.
        if known < set.metadata.generation {
            self.on_set_applied(set);
        }
    }

    pub(super) fn on_set_deleted(&mut self, uid: &str) {
        self.sets.remove(uid);
        self.cells.retain(|(set, _), _| set != uid);
        // Keep its history, because the watch of pods may lag and still deliver earlier events.
        let now = Instant::now();
        self.history.retain(|_, history| {
            history
                .deleted
                .is_none_or(|deleted| now.duration_since(deleted) < RETENTION)
        });
        if let Some(history) = self.history.get_mut(uid) {
            history.deleted = Some(now);
        }
    }

    /// Records the current placement in the cells that `selector` selects.
    fn record_placements(&mut self, selector: impl Fn(&str, &str) -> bool) {
        let now = Instant::now();
        for (uid, set) in &self.sets {
            for (name, node) in self.nodes.iter().filter(|(name, _)| selector(uid, name)) {
                let cell = self.cells.entry((uid.clone(), name.clone())).or_default();
                cell.record_placement(set.rules.placement_on(node), now);
            }
        }
    }

    fn record_budgets(&mut self) {
        let now = Instant::now();
        for (uid, set) in &self.sets {
            let desired = self
                .nodes
                .values()
                .filter(|node| set.rules.placement_on(node) == Placement::Wanted);
            let budget = set.max_unavailable(desired.count());
            let history = self.history.entry(uid.clone()).or_default();
            // Keep the newest entry that is older than the window, because it applied when the window began.
            while history
                .budgets
                .get(1)
                .is_some_and(|(then, _)| now.duration_since(*then) > LONG_GRACE)
            {
                history.budgets.pop_front();
            }
            if history.budgets.back().is_none_or(|(_, last)| *last != budget) {
                history.budgets.push_back((now, budget));
            }
        }
    }

    pub(super) fn on_pod_applied(&mut self, pod: &Pod) {
        let (Some(uid), Some(mut view)) = (pod.uid(), PodView::of(pod)) else {
            return;
        };
        let now = Instant::now();
        if let Some(before) = self.pods.get(&uid) {
            view.unready = before.unready;
        }
        if view.state == State::Unready {
            view.unready.set(now);
        }
        let before = self.pods.insert(uid, view.clone());
        if let Some(before) = before.filter(|before| view.deleting && !before.deleting) {
            self.deleted_pods.insert(before.name.clone(), (before, now));
        }
        let live = self.live(&view.set, &view.node);
        let cell = self
            .cells
            .entry((view.set.clone(), view.node.clone()))
            .or_default();
        if live.len() > 1 {
            cell.duplicated.set(now);
        }
        if view.is_available() {
            cell.available.set(now);
            if let Some(history) = self.history.get_mut(&view.set) {
                history.removed_by_updates.remove(&view.node);
            }
        }
        if live.len() > 1 && view.is_live() {
            let message = format!(
                "{} live pods of the same DaemonSet on {}: {live:?}",
                live.len(),
                view.node
            );
            if live.len() > 2 {
                self.violations.push(message);
            } else if !self.surges(&view.set, now) {
                self.duplicates.push((now, view.set, message));
            }
        }
    }

    /// Whether a `DaemonSet` surges or recently did, so that it may have two pods on a node.
    fn surges(&self, set: &str, now: Instant) -> bool {
        let recently = self
            .history
            .get(set)
            .is_some_and(|history| history.surging.is_recent(now));
        let set = self.sets.get(set);
        recently || set.is_some_and(|set| set.strategy == Strategy::Surge)
    }

    /// Reports two live pods on a node as a violation if no event has shown within `LAG` that updates surge.
    pub(super) fn judge_duplicates(&mut self) {
        let now = Instant::now();
        let is_due = |(since, ..): &(Instant, String, String)| now.duration_since(*since) >= LAG;
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.duplicates).into_iter().partition(is_due);
        self.duplicates = waiting;
        for (_, set, message) in due {
            if !self.surges(&set, now) {
                self.violations.push(message);
            }
        }
    }

    /// Whether there are duplicates that haven't been judged yet.
    pub(super) fn has_pending_duplicates(&self) -> bool {
        !self.duplicates.is_empty()
    }

    pub(super) fn on_pod_deleted(&mut self, pod: &Pod) {
        let Some(uid) = pod.uid() else { return };
        let now = Instant::now();
        if let Some(view) = self.pods.remove(&uid)
            && !view.deleting
        {
            self.deleted_pods.insert(view.name.clone(), (view, now));
        }
        self.deleted_pods
            .retain(|_, (_, since)| now.duration_since(*since) < RETENTION);
    }

    /// Whether a pod may have been created and deleted unseen within this time, because the watch was interrupted.
    pub(super) fn may_have_missed_pod(&self, time: Duration) -> bool {
        self.listed.is_within(time, Instant::now())
    }

    /// Applies a new list of pods. Pods that aren't in the list are gone.
    pub(super) fn on_pods_listed(&mut self, pods: &[Pod]) {
        let now = Instant::now();
        self.listed.set(now);
        let there: BTreeSet<_> = pods.iter().filter_map(kube::ResourceExt::uid).collect();
        let gone: Vec<_> = self
            .pods
            .keys()
            .filter(|uid| !there.contains(*uid))
            .cloned()
            .collect();
        for uid in gone {
            if let Some(view) = self.pods.remove(&uid)
                && !view.deleting
            {
                self.deleted_pods.insert(view.name.clone(), (view, now));
            }
        }
        for pod in pods {
            self.on_pod_applied(pod);
        }
    }

    pub(super) fn on_nodes_listed(&mut self, nodes: &[Node]) {
        let there: BTreeSet<_> = nodes.iter().map(kube::ResourceExt::name_any).collect();
        let gone: Vec<_> = self
            .nodes
            .keys()
            .filter(|name| !there.contains(*name))
            .cloned()
            .collect();
        for name in &gone {
            self.on_node_deleted(name);
        }
        for node in nodes {
            self.on_node_applied(node);
        }
    }

    pub(super) fn on_sets_listed(&mut self, sets: &[DaemonSet]) {
        let there: BTreeSet<_> = sets.iter().filter_map(kube::ResourceExt::uid).collect();
        let gone: Vec<_> = self
            .sets
            .keys()
            .filter(|uid| !there.contains(*uid))
            .cloned()
            .collect();
        for uid in &gone {
            self.on_set_deleted(uid);
        }
        for set in sets {
            self.on_set_applied(set);
        }
    }

    fn live(&self, set: &str, node: &str) -> Vec<String> {
        let pods = self.pods.values();
        let live = pods.filter(|pod| pod.set == set && pod.node == node && pod.is_live());
        live.map(|pod| pod.name.clone()).collect()
    }
}

impl SetHistory {
    fn record_strategy(&mut self, strategy: Strategy, now: Instant) {
        match strategy {
            Strategy::Surge => self.surging.set(now),
            Strategy::Replace => self.replacing.set(now),
            Strategy::OnDelete => {}
        }
    }
}

#[cfg(test)]
mod tests;
