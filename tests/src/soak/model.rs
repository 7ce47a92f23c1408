//! The checker's picture of the cluster, and the violations that it finds in it. It reports a violation at once, unless
//! one depends on events that may still be under way. Then it waits until they must have arrived.
//!
//! - `deletions`: the valid reasons for a deletion.
//!
//! The checker gets its events from its own watches. The events of one kind arrive in the order in which they happened,
//! but there is no order between kinds, and Everynode may act on what was true a moment ago. So each reason to act
//! counts for a while after it has ended.

mod deletions;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;

pub(super) use self::deletions::Doubt;
use super::placement::{Place, Site};
use super::views::{PodView, SetView, State, Strategy};

/// How long a reason to act counts after it has ended. This is longer than Everynode can be kept from hearing of it.
const LINGERS: Duration = Duration::from_mins(1);
/// How far the checker's own watches may lag behind one another and behind the audit log, because they need to recover
/// after the API server was away.
pub(super) const LAG: Duration = Duration::from_secs(15);
/// How long Everynode may still take a pod for unready after it has become ready, or a node for unwanted after a pod is
/// wanted there again. This is the longest that connections are disturbed, plus a margin. A longer time would excuse
/// too much: every pod starts unready, and taints come and go.
const LINGERS_BRIEFLY: Duration = Duration::from_secs(10);
/// How long deleted pods and `DaemonSet`s are remembered.
const REMEMBERED: Duration = Duration::from_mins(3);

/// A past moment that counts for a while.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lately(Option<Instant>);

impl Lately {
    fn note(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    fn counts(self, now: Instant) -> bool {
        self.is_within(LINGERS, now)
    }

    fn is_within(self, time: Duration, now: Instant) -> bool {
        self.0.is_some_and(|then| now.duration_since(then) < time)
    }
}

/// What was true of a `DaemonSet` in the recent past.
#[derive(Debug, Default)]
struct Past {
    /// When it was deleted.
    gone: Option<Instant>,
    /// The last time at which it had another template version.
    other_version: Lately,
    /// The last time at which its updates could surge.
    surging: Lately,
    /// The last time at which its updates could delete an old pod before a new one was there.
    replacing: Lately,
    /// Its recent budgets, each with the time from which it applied.
    budgets: VecDeque<(Instant, usize)>,
    /// The nodes that lack an available pod because Everynode deleted one for an update.
    taken_out: BTreeSet<String>,
}

/// What was true of a `DaemonSet` on a node in the recent past.
#[derive(Debug, Default, Clone, Copy)]
struct CellPast {
    /// The last time at which no pod was allowed there.
    forbidden: Lately,
    /// The last time at which no pod was to be created there, whether or not an existing one could stay.
    unwanted: Lately,
    /// The last time at which there was more than one live pod.
    crowded: Lately,
    /// The last time at which a pod was available there.
    served: Lately,
}

impl CellPast {
    fn note_place(&mut self, place: Place, now: Instant) {
        if place != Place::Wanted {
            self.unwanted.note(now);
        }
        if place == Place::Forbidden {
            self.forbidden.note(now);
        }
    }
}

/// The cluster as the checker sees it.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) nodes: BTreeMap<String, Site>,
    pub(super) sets: BTreeMap<String, SetView>,
    pub(super) pods: HashMap<String, PodView>,
    past: HashMap<String, Past>,
    cells: HashMap<(String, String), CellPast>,
    /// Deleted pods by name as they were before their deletion, and when the checker saw it.
    graves: HashMap<String, (PodView, Instant)>,
    /// Nodes with two live pods of a `DaemonSet` that doesn't surge as far as the checker knows, each with the time at
    /// which it saw that.
    crowds: Vec<(Instant, String, String)>,
    /// The last time at which pods were relisted. The checker may never have seen pods that were created and deleted
    /// before that.
    listed: Lately,
    pub(super) violations: Vec<String>,
}

impl Picture {
    pub(super) fn saw_node(&mut self, node: &Node) {
        self.place(&node.name_any(), Some(Site::of(node)));
    }

    pub(super) fn lost_node(&mut self, name: &str) {
        self.place(name, None);
    }

    fn place(&mut self, name: &str, site: Option<Site>) {
        if self.nodes.get(name) == site.as_ref() {
            return;
        }
        self.note_places(|_, node| node == name);
        if let Some(site) = site {
            self.nodes.insert(name.to_owned(), site);
        } else {
            self.nodes.remove(name);
            let now = Instant::now();
            for set in self.sets.keys() {
                let cell = self.cells.entry((set.clone(), name.to_owned())).or_default();
                cell.note_place(Place::Forbidden, now);
            }
        }
        self.note_places(|_, node| node == name);
        self.note_budgets();
    }

    pub(super) fn saw_set(&mut self, set: &DaemonSet) {
        let Some(uid) = set.uid() else { return };
        let view = SetView::of(set);
        let known = self.sets.get(&uid);
        if known.is_some_and(|known| known.generation > view.generation) {
            return;
        }
        let now = Instant::now();
        self.note_places(|set, _| set == uid);
        let past = self.past.entry(uid.clone()).or_default();
        if let Some(before) = self.sets.get(&uid) {
            if before.version != view.version {
                past.other_version.note(now);
            }
            past.note_strategy(before.strategy, now);
        }
        past.note_strategy(view.strategy, now);
        self.sets.insert(uid.clone(), view);
        self.note_places(|set, _| set == uid);
        self.note_budgets();
    }

    /// Records the answer to a change of a `DaemonSet`. It arrives before the watch's event, and Everynode may be
    /// faster than the checker's watch.
    pub(super) fn changed_set(&mut self, set: &DaemonSet) {
        let uid = set.uid().unwrap_or_default();
        let known = self.sets.get(&uid).map(|known| known.generation);
        // If the generation is known already, the watch may have delivered a newer status.
        if known < set.metadata.generation {
            self.saw_set(set);
        }
    }

    pub(super) fn lost_set(&mut self, uid: &str) {
        self.sets.remove(uid);
        self.cells.retain(|(set, _), _| set != uid);
        // Keep what is known of its past: the watch of pods may lag and still show earlier events.
        let now = Instant::now();
        self.past
            .retain(|_, past| past.gone.is_none_or(|gone| now.duration_since(gone) < REMEMBERED));
        if let Some(past) = self.past.get_mut(uid) {
            past.gone = Some(now);
        }
    }

    /// For the cells that `meant` selects, records where currently no pod is allowed and where none is to be created.
    fn note_places(&mut self, meant: impl Fn(&str, &str) -> bool) {
        let now = Instant::now();
        for (uid, set) in &self.sets {
            for (name, site) in self.nodes.iter().filter(|(name, _)| meant(uid, name)) {
                let cell = self.cells.entry((uid.clone(), name.clone())).or_default();
                cell.note_place(set.wish.on(site), now);
            }
        }
    }

    fn note_budgets(&mut self) {
        let now = Instant::now();
        for (uid, set) in &self.sets {
            let desired = self
                .nodes
                .values()
                .filter(|site| set.wish.on(site) == Place::Wanted);
            let budget = set.may_miss(desired.count());
            let past = self.past.entry(uid.clone()).or_default();
            // Keep the newest entry that is older than the window, because it applied when the window began.
            while past
                .budgets
                .get(1)
                .is_some_and(|(then, _)| now.duration_since(*then) > LINGERS)
            {
                past.budgets.pop_front();
            }
            if past.budgets.back().is_none_or(|(_, last)| *last != budget) {
                past.budgets.push_back((now, budget));
            }
        }
    }

    pub(super) fn saw_pod(&mut self, pod: &Pod) {
        let (Some(uid), Some(mut view)) = (pod.uid(), PodView::of(pod)) else {
            return;
        };
        let now = Instant::now();
        if let Some(before) = self.pods.get(&uid) {
            view.unready = before.unready;
        }
        if view.state == State::Unready {
            view.unready.note(now);
        }
        let before = self.pods.insert(uid, view.clone());
        if let Some(before) = before.filter(|before| view.deleting && !before.deleting) {
            self.graves.insert(before.name.clone(), (before, now));
        }
        let live = self.live(&view.set, &view.node);
        let cell = self
            .cells
            .entry((view.set.clone(), view.node.clone()))
            .or_default();
        if live.len() > 1 {
            cell.crowded.note(now);
        }
        if view.is_available() {
            cell.served.note(now);
            if let Some(past) = self.past.get_mut(&view.set) {
                past.taken_out.remove(&view.node);
            }
        }
        if live.len() > 1 && view.is_live() {
            let words = format!(
                "{} live pods of one DaemonSet on {}: {live:?}",
                live.len(),
                view.node
            );
            if live.len() > 2 {
                self.violations.push(words);
            } else if !self.surges(&view.set, now) {
                self.crowds.push((now, view.set, words));
            }
        }
    }

    /// Whether a `DaemonSet` may have had two pods on a node a moment ago.
    fn surges(&self, set: &str, now: Instant) -> bool {
        let lately = self.past.get(set).is_some_and(|past| past.surging.counts(now));
        let set = self.sets.get(set);
        lately || set.is_some_and(|set| set.strategy == Strategy::Surge)
    }

    /// Reports two live pods on a node as a violation if the checker hasn't heard of a surge within `LAG`.
    pub(super) fn judge_crowds(&mut self) {
        let now = Instant::now();
        let is_due = |(since, ..): &(Instant, String, String)| now.duration_since(*since) >= LAG;
        let (due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.crowds).into_iter().partition(is_due);
        self.crowds = waiting;
        for (_, set, words) in due {
            if !self.surges(&set, now) {
                self.violations.push(words);
            }
        }
    }

    /// Whether something is still to be judged.
    pub(super) fn has_doubts(&self) -> bool {
        !self.crowds.is_empty()
    }

    pub(super) fn lost_pod(&mut self, pod: &Pod) {
        let Some(uid) = pod.uid() else { return };
        let now = Instant::now();
        if let Some(view) = self.pods.remove(&uid)
            && !view.deleting
        {
            self.graves.insert(view.name.clone(), (view, now));
        }
        self.graves
            .retain(|_, (_, since)| now.duration_since(*since) < REMEMBERED);
    }

    /// Whether a pod may have been created and deleted unseen within this time, because the watch was interrupted.
    pub(super) fn may_have_missed_a_pod(&self, time: Duration) -> bool {
        self.listed.is_within(time, Instant::now())
    }

    /// Applies a new list of pods: a pod that isn't on it is gone.
    pub(super) fn keep_pods(&mut self, pods: &[Pod]) {
        let now = Instant::now();
        self.listed.note(now);
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
                self.graves.insert(view.name.clone(), (view, now));
            }
        }
        for pod in pods {
            self.saw_pod(pod);
        }
    }

    pub(super) fn keep_nodes(&mut self, nodes: &[Node]) {
        let there: BTreeSet<_> = nodes.iter().map(kube::ResourceExt::name_any).collect();
        let gone: Vec<_> = self
            .nodes
            .keys()
            .filter(|name| !there.contains(*name))
            .cloned()
            .collect();
        for name in &gone {
            self.lost_node(name);
        }
        for node in nodes {
            self.saw_node(node);
        }
    }

    pub(super) fn keep_sets(&mut self, sets: &[DaemonSet]) {
        let there: BTreeSet<_> = sets.iter().filter_map(kube::ResourceExt::uid).collect();
        let gone: Vec<_> = self
            .sets
            .keys()
            .filter(|uid| !there.contains(*uid))
            .cloned()
            .collect();
        for uid in &gone {
            self.lost_set(uid);
        }
        for set in sets {
            self.saw_set(set);
        }
    }

    fn live(&self, set: &str, node: &str) -> Vec<String> {
        let pods = self.pods.values();
        let live = pods.filter(|pod| pod.set == set && pod.node == node && pod.is_live());
        live.map(|pod| pod.name.clone()).collect()
    }
}

impl Past {
    fn note_strategy(&mut self, strategy: Strategy, now: Instant) {
        match strategy {
            Strategy::Surge => self.surging.note(now),
            Strategy::Replace => self.replacing.note(now),
            Strategy::OnDelete => {}
        }
    }
}

#[cfg(test)]
mod tests;
