//! Judges whether Everynode had a valid reason to delete a pod.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{ClusterModel, LAG, SHORT_GRACE};
use crate::soak::objects::{PodView, State};
use crate::soak::placement::Placement;

/// Why a deletion seems wrong. The event that justifies it may not have arrived yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::soak) struct Suspicion {
    pub(in crate::soak) message: String,
    /// The `DaemonSet`, and the nodes where updates have deleted its pods, including this deletion. The deletion is
    /// valid only if that many pods may be unavailable. Later replacements don't count.
    nodes_taken: Option<(String, BTreeSet<String>)>,
}

impl Suspicion {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            nodes_taken: None,
        }
    }
}

impl ClusterModel {
    /// Judges one of Everynode's deletions, or judges it again if there was a suspicion. Returns why the deletion was
    /// valid or why it seems wrong, or `None` if the checker hasn't seen the pod yet.
    pub(in crate::soak) fn judge_deletion(
        &mut self,
        name: &str,
        suspicion: Option<&Suspicion>,
    ) -> Option<Result<&'static str, Suspicion>> {
        if let Some(suspicion) = suspicion
            && let Some((set, nodes)) = &suspicion.nodes_taken
        {
            let missing = nodes
                .iter()
                .filter(|node| self.counts_as_missing(set, node, LAG + SHORT_GRACE));
            return Some(if self.budget(set) >= missing.count() {
                Ok("old, within the budget (R4)")
            } else if self.may_have_missed_pod(LAG) {
                // The checker can't know which nodes had an available pod again at the time of the deletion.
                Ok("old, while the checker's own watch was interrupted")
            } else {
                Err(suspicion.clone())
            });
        }
        let deleted = self.deleted_pods.get(name).map(|(pod, _)| pod.clone());
        let pod = deleted.or_else(|| self.pods.values().find(|pod| pod.name == name).cloned())?;
        let reason = self.reason(&pod).or_else(|suspicion| {
            let was_unready = pod.unready.is_within(SHORT_GRACE, Instant::now());
            let excuse = "old, and unavailable a moment ago (R4, R5)";
            (self.is_old(&pod) && was_unready)
                .then_some(excuse)
                .ok_or(suspicion)
        });
        Some(reason.map_err(|suspicion| Suspicion {
            message: format!("{name} on {}: {}", pod.node, suspicion.message),
            ..suspicion
        }))
    }

    /// A `DaemonSet`'s largest recent budget: the number of its pods that may be unavailable.
    fn budget(&self, set: &str) -> usize {
        let budgets = self.history.get(set).map(|history| history.budgets.iter());
        budgets
            .and_then(|budgets| budgets.map(|(_, budget)| *budget).max())
            .unwrap_or(1)
    }

    /// Whether a node without a pod counts as missing one. The node doesn't count if no pod is wanted there, or if none
    /// was wanted recently (R3).
    fn counts_as_missing(&self, set: &str, node: &str, grace: Duration) -> bool {
        let cell = self.cells.get(&(set.to_owned(), node.to_owned()));
        let was_unwanted = cell.is_some_and(|cell| cell.unwanted.is_within(grace, Instant::now()));
        let rules = self.sets.get(set).map(|set| &set.rules);
        let placement = rules.and_then(|rules| self.nodes.get(node).map(|node| rules.placement_on(node)));
        !was_unwanted && placement.is_none_or(|placement| placement == Placement::Wanted)
    }

    fn is_old(&self, pod: &PodView) -> bool {
        let now = Instant::now();
        let is_other = self
            .sets
            .get(&pod.set)
            .is_some_and(|set| set.version != pod.version);
        let history = self.history.get(&pod.set);
        is_other || history.is_some_and(|history| history.other_version.is_recent(now))
    }

    fn reason(&mut self, pod: &PodView) -> Result<&'static str, Suspicion> {
        let now = Instant::now();
        let key = (pod.set.clone(), pod.node.clone());
        let cell = self.cells.get(&key).copied().unwrap_or_default();
        let Some(set) = self.sets.get(&pod.set).filter(|set| !set.deleting) else {
            return Ok("its DaemonSet is gone");
        };
        if pod.state == State::Over {
            return Ok("finished (N3)");
        }
        let placement = self.nodes.get(&pod.node).map(|node| set.rules.placement_on(node));
        if cell.forbidden.is_recent(now) || placement == Some(Placement::Forbidden) {
            return Ok("excluded (N2)");
        }
        if placement.is_none() {
            return if pod.bound {
                Err(Suspicion::new(
                    "bound to a node that is gone, so only the garbage collector may delete it",
                ))
            } else {
                Ok("its node is gone (N6)")
            };
        }
        if !self.is_old(pod) {
            return if cell.duplicated.is_recent(now) {
                Ok("one too many (N4)")
            } else {
                let version = &pod.version;
                Err(Suspicion::new(format!(
                    "of the current version {version}, alone on its node, and where it belongs"
                )))
            };
        }
        if !pod.is_available() {
            return Ok("old and unavailable (R4, R5)");
        }
        let strategy = set.strategy;
        let budget = self.budget(&pod.set);
        let Some(history) = self.history.get_mut(&pod.set) else {
            return Err(Suspicion::new("its DaemonSet is unknown"));
        };
        history.record_strategy(strategy, now);
        let (surging, replacing) = (history.surging.is_recent(now), history.replacing.is_recent(now));
        if !surging && !replacing {
            return Err(Suspicion::new("the update strategy is OnDelete"));
        }
        if replacing {
            let available = self.pods.values().any(|other| {
                other.name != pod.name
                    && (&other.set, &other.node) == (&pod.set, &pod.node)
                    && other.is_available()
            });
            if !available && placement == Some(Placement::Wanted) {
                history.removed_by_updates.insert(pod.node.clone());
            }
            history
                .removed_by_updates
                .retain(|node| self.nodes.contains_key(node));
            let mut nodes = history.removed_by_updates.clone();
            nodes.retain(|node| self.counts_as_missing(&pod.set, node, SHORT_GRACE));
            if nodes.len() > budget && !surging {
                // Don't count this deletion against the next one, whatever its final verdict is.
                if let Some(history) = self.history.get_mut(&pod.set) {
                    history.removed_by_updates.remove(&pod.node);
                }
                return Err(Suspicion {
                    message: format!(
                        "updates have now deleted the pods on {nodes:?}, and at most {budget} may be unavailable"
                    ),
                    nodes_taken: Some((pod.set.clone(), nodes)),
                });
            }
            return Ok("old, within the budget (R4)");
        }
        if cell.duplicated.is_recent(now) && cell.available.is_recent(now)
            || placement != Some(Placement::Wanted)
        {
            return Ok("old, beside a new one (R5)");
        }
        Err(Suspicion::new(
            "old and available, without an available new one beside it, although updates surge",
        ))
    }
}
