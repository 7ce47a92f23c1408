//! What one node needs (contract N1 to N6): a pod created, kept or deleted. Mirrors `podsShouldBeOnNode`.

use super::{
    Rules,
    cell::{Cell, PodRecord},
};
use crate::model::{DeleteReason, Millis, Phase, Verdict};

/// What a node needs, and what it has left after that.
#[derive(Debug, Default)]
pub struct Settled<'a> {
    /// Whether a pod is to be created.
    pub create: bool,
    /// The pods to delete.
    pub delete: Vec<(&'a PodRecord, DeleteReason)>,
    /// The pods that stay, oldest first: neither over, nor being deleted, nor in `delete`.
    pub live: Vec<&'a PodRecord>,
    /// Failed pods that stay until their backoff is over.
    pub waiting: Vec<&'a PodRecord>,
    /// When the first of those may go.
    pub reconsider_at: Option<Millis>,
}

impl<'a> Settled<'a> {
    /// Decides for one node, reusing the buffers of an earlier one.
    pub fn decide(&mut self, rules: &Rules<'_>, cell: &Cell<'_, 'a>) {
        self.create = false;
        self.delete.clear();
        self.live.clear();
        self.waiting.clear();
        self.reconsider_at = None;
        let staying = cell.pods.iter().copied().filter(|pod| !pod.is_leaving());
        match cell.verdict {
            // Bound pods of a node that is gone are the pod garbage collector's; it doesn't see unbound ones (N6).
            None => self.delete_all(staying.filter(|pod| !pod.bound), DeleteReason::NodeGone),
            Some(Verdict::Exclude) => self.delete_all(staying, DeleteReason::Excluded),
            Some(verdict @ (Verdict::Run | Verdict::Keep)) => {
                staying.for_each(|pod| self.sort_in(rules, cell, pod));
                if rules.allows_surge() {
                    self.settle_surge(rules);
                } else {
                    self.keep_oldest();
                }
                self.create = verdict == Verdict::Run && !cell.creating && self.lacks_pod(rules, cell);
            }
        }
    }

    fn delete_all(&mut self, pods: impl Iterator<Item = &'a PodRecord>, reason: DeleteReason) {
        self.delete.extend(pods.map(|pod| (pod, reason)));
    }

    /// N3: pods that are over go, failed ones with a backoff, because whatever made them fail may do so again.
    fn sort_in(&mut self, rules: &Rules<'_>, cell: &Cell<'_, 'a>, pod: &'a PodRecord) {
        match pod.phase {
            Phase::Active => self.live.push(pod),
            Phase::Succeeded => self.delete.push((pod, DeleteReason::Succeeded)),
            Phase::Failed => match cell.failed_until.filter(|until| *until > rules.now) {
                None => self.delete.push((pod, DeleteReason::Failed)),
                Some(until) => {
                    self.waiting.push(pod);
                    self.reconsider_at = Some(until);
                }
            },
        }
    }

    /// N4: without surge one pod stays, the oldest.
    fn keep_oldest(&mut self) {
        self.delete.extend(
            self.live
                .drain(1.min(self.live.len())..)
                .map(|pod| (pod, DeleteReason::Excess)),
        );
    }

    /// N5: with surge the oldest current pod and the oldest old one stay, until one of them makes the other needless.
    fn settle_surge(&mut self, rules: &Rules<'_>) {
        if self.live.len() < 2 {
            return;
        }
        let current = self.live.iter().copied().find(|pod| rules.is_current(pod));
        let old = self.live.iter().copied().find(|pod| !rules.is_current(pod));
        let is = |kept: Option<&PodRecord>, pod: &PodRecord| kept.is_some_and(|kept| kept.uid == pod.uid);
        let excess = self
            .live
            .iter()
            .copied()
            .filter(|pod| !is(current, pod) && !is(old, pod));
        self.delete.extend(excess.map(|pod| (pod, DeleteReason::Excess)));
        if let (Some(current), Some(old)) = (current, old)
            && (old.ready_since.is_none() || rules.is_available(current))
        {
            self.delete.push((old, DeleteReason::Update));
        }
        let deleted = &self.delete;
        self.live
            .retain(|pod| !deleted.iter().any(|(gone, _)| gone.uid == pod.uid));
    }

    /// N1: a terminating pod still counts as there, unless it is over; with surge only a pod that stays does, but of two
    /// that are to go one has to be known to be terminating first, or there might be three (N5).
    fn lacks_pod(&self, rules: &Rules<'_>, cell: &Cell<'_, '_>) -> bool {
        if rules.allows_surge() {
            return self.live.is_empty() && self.waiting.is_empty() && cell.standing() < 2;
        }
        cell.pods.iter().all(|pod| pod.is_terminal() && pod.deleting)
    }

    /// The pods that stay, those that may yet do their work first.
    pub fn staying(&self) -> impl Iterator<Item = &'a PodRecord> {
        self.live.iter().chain(&self.waiting).copied()
    }
}

#[cfg(test)]
mod tests;
