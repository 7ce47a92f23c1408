//! Decides what one node needs (contract N1 to N6): which pods to create, keep or delete. Mirrors
//! `podsShouldBeOnNode`.

use super::{
    Rules,
    cell::{Cell, PodRecord},
};
use crate::model::{DeleteReason, Millis, Phase, Verdict};

/// The actions that a node needs, and the pods that stay.
#[derive(Debug, Default)]
pub(crate) struct NodeDecision<'a> {
    /// Whether to create a pod.
    pub(crate) create: bool,
    /// The pods to delete.
    pub(crate) delete: Vec<(&'a PodRecord, DeleteReason)>,
    /// The pods that stay, oldest first: neither finished, nor being deleted, nor in `delete`.
    pub(crate) live: Vec<&'a PodRecord>,
    /// Failed pods that stay until their backoff ends.
    pub(crate) waiting: Vec<&'a PodRecord>,
    /// When the first of these backoffs ends.
    pub(crate) reconsider_at: Option<Millis>,
}

impl<'a> NodeDecision<'a> {
    /// Decides for one node. Reuses the buffers of an earlier decision.
    pub(crate) fn recompute(&mut self, rules: &Rules<'_>, cell: &Cell<'_, 'a>) {
        self.create = false;
        self.delete.clear();
        self.live.clear();
        self.waiting.clear();
        self.reconsider_at = None;
        let staying = cell
            .pods
            .iter()
            .copied()
            .filter(|pod| !pod.is_deletion_requested());
        match cell.verdict {
            // The pod garbage collector deletes the bound pods of a node that is gone, but not the unbound ones (N6).
            None => self.delete_all(staying.filter(|pod| !pod.bound), DeleteReason::NodeGone),
            // The pods of the other template stay until the rollout of a policy deletes them, within its budget.
            Some(Verdict::Exclude) if cell.is_narrowed() => {
                staying.for_each(|pod| {
                    if rules.is_target(cell, pod) {
                        self.delete.push((pod, DeleteReason::Excluded));
                    } else {
                        self.classify(rules, cell, pod);
                    }
                });
                self.keep_oldest();
            }
            Some(Verdict::Exclude) => self.delete_all(staying, DeleteReason::Excluded),
            Some(verdict @ (Verdict::Run | Verdict::Keep)) => {
                staying.for_each(|pod| self.classify(rules, cell, pod));
                if rules.allows_surge() {
                    self.keep_oldest_of_each_revision(rules, cell);
                } else {
                    self.keep_oldest();
                }
                let may_create = verdict == Verdict::Run && !cell.create_in_flight && rules.can_create(cell);
                self.create = may_create && self.lacks_pod(rules, cell);
            }
        }
    }

    fn delete_all(&mut self, pods: impl Iterator<Item = &'a PodRecord>, reason: DeleteReason) {
        self.delete.extend(pods.map(|pod| (pod, reason)));
    }

    /// N3: finished pods are deleted. Failed pods are deleted after a backoff, because the cause of the failure may
    /// recur.
    fn classify(&mut self, rules: &Rules<'_>, cell: &Cell<'_, 'a>, pod: &'a PodRecord) {
        match pod.phase {
            Phase::Active => self.live.push(pod),
            Phase::Succeeded => self.delete.push((pod, DeleteReason::Succeeded)),
            Phase::Failed => match cell.backoff_until.filter(|until| *until > rules.now) {
                None => self.delete.push((pod, DeleteReason::Failed)),
                Some(until) => {
                    self.waiting.push(pod);
                    self.reconsider_at = Some(until);
                }
            },
        }
    }

    /// N4: without surge, only the oldest pod stays.
    fn keep_oldest(&mut self) {
        self.delete.extend(
            self.live
                .drain(1.min(self.live.len())..)
                .map(|pod| (pod, DeleteReason::Excess)),
        );
    }

    /// N5: with surge, the oldest current pod and the oldest old one stay. The old one is deleted when it isn't ready,
    /// or when the current one is available.
    fn keep_oldest_of_each_revision(&mut self, rules: &Rules<'_>, cell: &Cell<'_, 'a>) {
        if self.live.len() < 2 {
            return;
        }
        let current = self.live.iter().copied().find(|pod| rules.is_target(cell, pod));
        let old = self.live.iter().copied().find(|pod| !rules.is_target(cell, pod));
        let is = |kept: Option<&PodRecord>, pod: &PodRecord| kept.is_some_and(|kept| kept.uid == pod.uid);
        let excess = self
            .live
            .iter()
            .copied()
            .filter(|pod| !is(current, pod) && !is(old, pod));
        self.delete.extend(excess.map(|pod| (pod, DeleteReason::Excess)));
        if let (Some(current), Some(old)) = (current, old)
            && (old.ready_since().is_none() || rules.is_available(current))
        {
            self.delete.push((old, DeleteReason::Update));
        }
        let deleted = &self.delete;
        self.live
            .retain(|pod| !deleted.iter().any(|(gone, _)| gone.uid == pod.uid));
    }

    /// N1: whether the node lacks a pod. Without surge, every pod counts as present until it is terminating and has
    /// finished. With surge, only a pod that stays counts. If two pods are being deleted, one of them must be known
    /// to be terminating first; otherwise the node might have three (N5).
    fn lacks_pod(&self, rules: &Rules<'_>, cell: &Cell<'_, '_>) -> bool {
        if rules.allows_surge() {
            return self.live.is_empty() && self.waiting.is_empty() && cell.nonterminating() < 2;
        }
        cell.pods.iter().all(|pod| pod.is_terminal() && pod.deleting)
    }

    /// The pods that stay: the live ones first, then the failed ones that wait.
    pub(crate) fn staying(&self) -> impl Iterator<Item = &'a PodRecord> {
        self.live.iter().chain(&self.waiting).copied()
    }
}

#[cfg(test)]
mod tests;
