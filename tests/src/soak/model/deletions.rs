//! Judges why Everynode may have deleted a pod.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{LAG, LINGERS_BRIEFLY, Picture};
use crate::soak::placement::Place;
use crate::soak::views::{PodView, State};

/// Why a deletion seems wrong. The event that justifies it may not have arrived yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::soak) struct Doubt {
    pub(in crate::soak) words: String,
    /// The `DaemonSet`, and the nodes from which its updates have taken pods, including this deletion. The deletion is
    /// right only if that many pods may be missing. Replacements that came later don't count.
    taken: Option<(String, BTreeSet<String>)>,
}

impl Doubt {
    fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            taken: None,
        }
    }
}

impl Picture {
    /// Judges one of Everynode's deletions, or judges it again if there was a doubt. Returns why it was right, or
    /// `None` while the checker hasn't seen the pod yet.
    pub(in crate::soak) fn judge_deletion(
        &mut self,
        name: &str,
        doubt: Option<&Doubt>,
    ) -> Option<Result<&'static str, Doubt>> {
        if let Some(doubt) = doubt
            && let Some((set, taken)) = &doubt.taken
        {
            let missed = taken
                .iter()
                .filter(|node| self.is_missed(set, node, LAG + LINGERS_BRIEFLY));
            return Some(if self.budget(set) >= missed.count() {
                Ok("old, within the budget (R4)")
            } else if self.may_have_missed_a_pod(LAG) {
                // Nobody can tell which nodes had an available pod again by then.
                Ok("old, while the checker's own watch was interrupted")
            } else {
                Err(doubt.clone())
            });
        }
        let grave = self.graves.get(name).map(|(pod, _)| pod.clone());
        let pod = grave.or_else(|| self.pods.values().find(|pod| pod.name == name).cloned())?;
        let reason = self.reason(&pod).or_else(|doubt| {
            let lately = pod.unready.is_within(LINGERS_BRIEFLY, Instant::now());
            let excuse = "old, and unavailable a moment ago (R4, R5)";
            (self.is_old(&pod) && lately).then_some(excuse).ok_or(doubt)
        });
        Some(reason.map_err(|doubt| Doubt {
            words: format!("{name} on {}: {}", pod.node, doubt.words),
            ..doubt
        }))
    }

    /// The largest number of pods of a `DaemonSet` that could be missing a moment ago.
    fn budget(&self, set: &str) -> usize {
        let budgets = self.past.get(set).map(|past| past.budgets.iter());
        budgets
            .and_then(|budgets| budgets.map(|(_, budget)| *budget).max())
            .unwrap_or(1)
    }

    /// Whether a pod counts as missing if the node has none. It doesn't where no pod is wanted, or where none was a
    /// moment ago (R3).
    fn is_missed(&self, set: &str, node: &str, moment: Duration) -> bool {
        let cell = self.cells.get(&(set.to_owned(), node.to_owned()));
        let was_unwanted = cell.is_some_and(|cell| cell.unwanted.is_within(moment, Instant::now()));
        let wish = self.sets.get(set).map(|set| &set.wish);
        let place = wish.and_then(|wish| self.nodes.get(node).map(|site| wish.on(site)));
        !was_unwanted && place.is_none_or(|place| place == Place::Wanted)
    }

    fn is_old(&self, pod: &PodView) -> bool {
        let now = Instant::now();
        let is_other = self
            .sets
            .get(&pod.set)
            .is_some_and(|set| set.version != pod.version);
        let past = self.past.get(&pod.set);
        is_other || past.is_some_and(|past| past.other_version.counts(now))
    }

    fn reason(&mut self, pod: &PodView) -> Result<&'static str, Doubt> {
        let now = Instant::now();
        let key = (pod.set.clone(), pod.node.clone());
        let cell = self.cells.get(&key).copied().unwrap_or_default();
        let Some(set) = self.sets.get(&pod.set).filter(|set| !set.deleting) else {
            return Ok("its DaemonSet is gone");
        };
        if pod.state == State::Over {
            return Ok("finished (N3)");
        }
        let place = self.nodes.get(&pod.node).map(|site| set.wish.on(site));
        if cell.forbidden.counts(now) || place == Some(Place::Forbidden) {
            return Ok("excluded (N2)");
        }
        if place.is_none() {
            return if pod.bound {
                Err(Doubt::new(
                    "bound to a node that is gone, which is the garbage collector's",
                ))
            } else {
                Ok("its node is gone (N6)")
            };
        }
        if !self.is_old(pod) {
            return if cell.crowded.counts(now) {
                Ok("one too many (N4)")
            } else {
                let version = &pod.version;
                Err(Doubt::new(format!(
                    "it is of the current version {version}, alone, and where it belongs"
                )))
            };
        }
        if !pod.is_available() {
            return Ok("old and unavailable (R4, R5)");
        }
        let strategy = set.strategy;
        let budget = self.budget(&pod.set);
        let Some(past) = self.past.get_mut(&pod.set) else {
            return Err(Doubt::new("nothing is known of its DaemonSet"));
        };
        past.note_strategy(strategy, now);
        let (surging, replacing) = (past.surging.counts(now), past.replacing.counts(now));
        if !surging && !replacing {
            return Err(Doubt::new("updates are only on deletion"));
        }
        if replacing {
            let available = self.pods.values().any(|other| {
                other.name != pod.name
                    && (&other.set, &other.node) == (&pod.set, &pod.node)
                    && other.is_available()
            });
            if !available && place == Some(Place::Wanted) {
                past.taken_out.insert(pod.node.clone());
            }
            past.taken_out.retain(|node| self.nodes.contains_key(node));
            let mut nodes = past.taken_out.clone();
            nodes.retain(|node| self.is_missed(&pod.set, node, LINGERS_BRIEFLY));
            if nodes.len() > budget && !surging {
                // Don't blame the next deletion for this one, however it is judged in the end.
                if let Some(past) = self.past.get_mut(&pod.set) {
                    past.taken_out.remove(&pod.node);
                }
                return Err(Doubt {
                    words: format!(
                        "with it, updates have taken pods from {nodes:?}, and at most {budget} may be missing"
                    ),
                    taken: Some((pod.set.clone(), nodes)),
                });
            }
            return Ok("old, within the budget (R4)");
        }
        if cell.crowded.counts(now) && cell.served.counts(now) || place != Some(Place::Wanted) {
            return Ok("old, beside a new one (R5)");
        }
        Err(Doubt::new(
            "old, and available, with no new one beside it, though updates surge",
        ))
    }
}
