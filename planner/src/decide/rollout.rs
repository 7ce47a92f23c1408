//! How pods of an old template give way to new ones (contract R1 to R6). Mirrors `rollingUpdate`.
//!
//! Nodes are observed one after the other in the order of their names; what the budgets allow is then taken from the
//! front, so the same state always gives the same plan.

use super::{Cell, Rules, node::Settled, predecessor};
use crate::model::{Pod, Strategy, Text, Verdict};

/// What was seen of the nodes so far.
#[derive(Debug, Default)]
pub struct Rollout<'a> {
    /// Nodes that count as unavailable (without surge).
    unavailable: usize,
    /// Nodes with a pod that is available, old or new (with surge).
    available: usize,
    /// Nodes with a new pod that isn't available yet beside an old one, or about to get one (with surge).
    surging: usize,
    /// Old pods that go in any case.
    replace: Vec<(&'a Text, &'a Pod)>,
    /// Old available pods that go as far as the budget allows (without surge).
    candidates: Vec<(&'a Text, &'a Pod)>,
    /// Nodes that get a new pod beside an old one that isn't available, each with the uid that its pod succeeds (with
    /// surge).
    surge_freely: Vec<(&'a Text, &'a Text)>,
    /// Nodes that get a new pod beside an available old one as far as the budget allows, likewise (with surge).
    surge_candidates: Vec<(&'a Text, &'a Text)>,
    /// Old available pods on nodes that should no longer run one (with surge).
    sunset: Vec<(&'a Text, &'a Pod)>,
}

/// What the budgets allow.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Allowed<'a> {
    /// Old pods to delete.
    pub delete: Vec<(&'a Text, &'a Pod)>,
    /// Nodes that get a new pod beside an old one, each with the uid that the new one succeeds.
    pub create: Vec<(&'a Text, &'a Text)>,
}

impl<'a> Rollout<'a> {
    /// Takes one node into account, as `settled` leaves it.
    pub fn observe(&mut self, rules: &Rules<'_>, cell: &Cell<'_, 'a>, settled: &Settled<'a>) {
        let Some(verdict @ (Verdict::Run | Verdict::Keep)) = cell.verdict else {
            return;
        };
        if rules.allows_surge() {
            self.observe_surge(rules, cell, settled, verdict);
        } else {
            self.observe_replace(rules, cell, settled, verdict);
        }
    }

    /// R4: an old pod is deleted first, and its successor comes when it is gone.
    fn observe_replace(
        &mut self,
        rules: &Rules<'_>,
        cell: &Cell<'_, 'a>,
        settled: &Settled<'a>,
        verdict: Verdict,
    ) {
        let Some(pod) = settled.live.first().or(settled.waiting.first()).copied() else {
            // What goes on a node that only may keep a pod counts until it is gone, or the next look would spend the
            // same budget again.
            self.unavailable += usize::from(verdict == Verdict::Run || !cell.pods.is_empty());
            return;
        };
        let available = rules.is_available(pod);
        self.unavailable += usize::from(!available);
        if !rules.is_current(pod) {
            let list = if available {
                &mut self.candidates
            } else {
                &mut self.replace
            };
            list.push((cell.node, pod));
        }
    }

    /// R5: a new pod comes beside the old one, which goes when the new one is available. A failed pod that waits for
    /// its deletion holds its place, or another would be made beside it again and again (N3). So does a pod of yet
    /// another revision until it is known to be terminating, or three might be there at once (N5).
    fn observe_surge(
        &mut self,
        rules: &Rules<'_>,
        cell: &Cell<'_, 'a>,
        settled: &Settled<'a>,
        verdict: Verdict,
    ) {
        let staying = || settled.live.iter().chain(&settled.waiting).copied();
        let current = staying().find(|pod| rules.is_current(pod));
        let old = staying().find(|pod| !rules.is_current(pod));
        self.available += usize::from(staying().any(|pod| rules.is_available(pod)));
        let (Some(old), Some(youngest)) = (old, predecessor(cell)) else {
            return;
        };
        match (current, rules.is_available(old), verdict == Verdict::Run) {
            // The node's own rule (N5) deletes the old pod as soon as it can go.
            (Some(current), _, _) => self.surging += usize::from(!rules.is_available(current)),
            (None, _, _) if cell.creating || cell.standing() > 1 => self.surging += 1,
            (None, false, true) => self.surge_freely.push((cell.node, youngest)),
            (None, true, true) => self.surge_candidates.push((cell.node, youngest)),
            (None, false, false) => self.replace.push((cell.node, old)),
            (None, true, false) => self.sunset.push((cell.node, old)),
        }
    }

    /// What the budgets allow when `desired` nodes should run a pod.
    pub fn allowed(self, rules: &Rules<'_>, desired: usize) -> Allowed<'a> {
        let Strategy::RollingUpdate {
            max_unavailable,
            max_surge,
        } = rules.daemon_set.strategy
        else {
            return Allowed::default();
        };
        let (max_unavailable, max_surge) = (max_unavailable.of(desired), max_surge.of(desired));
        if rules.allows_surge() {
            let mut create = self.surge_freely;
            create.extend(
                self.surge_candidates
                    .into_iter()
                    .take(max_surge.saturating_sub(self.surging)),
            );
            let mut delete = self.replace;
            delete.extend(
                self.sunset
                    .into_iter()
                    .take(self.available.saturating_sub(desired)),
            );
            return Allowed { delete, create };
        }
        // Both budgets 0 would never make progress (R3); where no pod should run, none has to be made.
        let max_unavailable = max_unavailable.max(usize::from(desired > 0));
        let mut delete = self.replace;
        delete.extend(
            self.candidates
                .into_iter()
                .take(max_unavailable.saturating_sub(self.unavailable)),
        );
        Allowed {
            delete,
            create: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
