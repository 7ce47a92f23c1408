//! What the checker knows of the cluster, and what it finds wrong in it: at once, or, as far as it depends on what it may not have
//! heard of yet, when it must have heard.
//!
//! - `deletions`: the reasons there are for one.
//!
//! It hears of everything by watches of its own and of each kind in the order in which it happened. Between kinds there is no
//! order, and Everynode may act on what was true a moment ago; so whatever gives a reason to act counts for a while after it is over.

mod deletions;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;

pub(super) use self::deletions::Doubt;
use super::placement::{Place, Site};
use super::views::{PodView, SetView, State, Strategy};

/// For how long a reason to act counts after it is over: longer than Everynode may be kept from hearing of it.
const LINGERS: Duration = Duration::from_mins(1);
/// How long the checker's own watches may be behind one another, and behind the audit log: they find their way back when the API server
/// was away.
pub(super) const LAG: Duration = Duration::from_secs(15);
/// For how long a pod that has become ready, or a node where one is wanted again, may still be taken for one that isn't: the longest
/// that connections are spoilt, and a little more. A longer time would excuse too much: every pod begins so, and taints come and go.
const LINGERS_BRIEFLY: Duration = Duration::from_secs(10);
/// For how long pods that are gone are remembered.
const REMEMBERED: Duration = Duration::from_mins(3);

/// A moment in the past that counts for a while.
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

/// What was true of a `DaemonSet` a while ago.
#[derive(Debug, Default)]
struct Past {
    /// When it was deleted.
    gone: Option<Instant>,
    /// When its template was another one.
    other_version: Lately,
    /// When it might surge.
    surging: Lately,
    /// When its updates replaced no pods before the new one was there, or none at all.
    replacing: Lately,
    /// What its budget has been.
    budgets: VecDeque<(Instant, usize)>,
    /// The nodes that lack an available pod because Everynode has deleted one for an update.
    taken_out: BTreeSet<String>,
}

/// What was true of a `DaemonSet` on a node a while ago.
#[derive(Debug, Default, Clone, Copy)]
struct CellPast {
    /// When no pod belonged there.
    forbidden: Lately,
    /// When none was to be made there, whether one that is there may stay or not.
    unwanted: Lately,
    /// When there was more than one pod.
    crowded: Lately,
    /// When a pod was available there.
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
    /// Pods by name as they were before they were deleted, and when that was seen.
    graves: HashMap<String, (PodView, Instant)>,
    /// Nodes with two live pods of a `DaemonSet` that doesn't surge as far as is known, and when that was seen.
    crowds: Vec<(Instant, String, String)>,
    /// When pods were listed anew: some that were made and deleted before that may never have been seen.
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

    /// Who changes a `DaemonSet` is told what it has become before the watch tells, and Everynode may be faster than that watch.
    pub(super) fn changed_set(&mut self, set: &DaemonSet) {
        let uid = set.uid().unwrap_or_default();
        let known = self.sets.get(&uid).map(|known| known.generation);
        // Of a generation that is known, the watch may have told a later status.
        if known < set.metadata.generation {
            self.saw_set(set);
        }
    }

    pub(super) fn lost_set(&mut self, uid: &str) {
        self.sets.remove(uid);
        self.cells.retain(|(set, _), _| set != uid);
        // The watch of pods may be behind, and show what happened before.
        let now = Instant::now();
        self.past
            .retain(|_, past| past.gone.is_none_or(|gone| now.duration_since(gone) < REMEMBERED));
        if let Some(past) = self.past.get_mut(uid) {
            past.gone = Some(now);
        }
    }

    /// Notes where no pod belongs now, and where none is to be made, of the cells that are meant.
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
            // The last one that is old enough was in force when the window began.
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

    /// Two live pods on a node are wrong if nothing has been heard of a surge `LAG` later.
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

    /// Whether a pod may have come and gone in so long without having been seen, because the watch was interrupted.
    pub(super) fn may_have_missed_a_pod(&self, time: Duration) -> bool {
        self.listed.is_within(time, Instant::now())
    }

    /// A list has begun anew: what isn't on it is gone.
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
