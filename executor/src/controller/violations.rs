//! Holds plans to their limits: whatever exceeds them is left out, refused, or ends the session.

use everynode_proto::planner::v1::{ActionOutcome, CreatePod, DeletePod, Plan};
use tokio::time::Instant;
use tracing::warn;

use super::Controller;
use crate::{
    apply::{Lane, Ready},
    cluster::{Entry, Text},
    guard::{self, Verdict, Violation},
};

impl Controller {
    /// Whether a plan, together with what is already outstanding, asks for no more than a sane planner would.
    pub(super) fn is_within_bounds(&mut self, uid: &Text, plan: &Plan) -> bool {
        let cluster = &self.cluster;
        let known = self.managed.get_mut(uid).zip(cluster.daemon_set(uid));
        let taken = match known {
            Some((managed, entry)) => managed.outstanding.take(cluster, entry, plan),
            None => Ok(()),
        };
        let taken = taken.and_then(|()| guard::unread(cluster, plan, self.outbox.outcomes()));
        let Err(violation) = taken else { return true };
        self.note_violation(uid, violation);
        false
    }

    /// Removes everything from a plan, apart from its actions, that the plan may not contain.
    pub(super) fn confine(&mut self, uid: &Text, plan: &mut Plan) {
        guard::problems(&mut plan.problems);
        guard::message(&mut plan.progress_message);
        let owner = self.cluster.daemon_set(uid).map(Entry::owner);
        guard::availability(&self.cluster, owner, &mut plan.pod_availability);
        if guard::conditions(&mut plan.conditions) > 0 {
            self.note_violation(uid, Violation::Condition);
        }
        if guard::tolerations(&mut plan.added_tolerations) > 0 {
            self.note_violation(uid, Violation::Toleration);
        }
    }

    /// Judges a creation that could begin now.
    pub(super) fn judge_creation(&mut self, uid: &Text, action: &CreatePod) -> Verdict {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return Verdict::Needless;
        };
        let Some(announced) = &managed.announced else {
            return Verdict::Needless;
        };
        managed
            .outstanding
            .creation(&self.cluster, entry.owner(), &announced.object, &action.node)
    }

    /// Judges a deletion.
    pub(super) fn judge_deletion(&self, uid: &str, action: &DeletePod) -> Verdict {
        match self.cluster.daemon_set(uid) {
            Some(entry) => guard::deletion(&self.cluster, entry.owner(), action),
            None => Verdict::Needless,
        }
    }

    /// Ends an action that no plan may ask for as if the server had refused it, so that the planner doesn't ask for
    /// it again at once.
    pub(super) fn reject<T>(
        &mut self,
        uid: &Text,
        lane: Lane,
        ready: &Ready<T>,
        node: &str,
        violation: Violation,
    ) {
        self.note_violation(uid, violation);
        if let Some(managed) = self.managed.get_mut(uid) {
            managed
                .refusals
                .note(lane, format!("the plan is not carried out: {violation}"));
        }
        self.refuse(uid, lane, ready.id, node);
    }

    /// Counts a violation. Logs it unless another violation of the same `DaemonSet` was logged just before.
    fn note_violation(&mut self, uid: &Text, violation: Violation) {
        self.parts.metrics.plan_violation(violation.into());
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            warn!(daemon_set_uid = %uid, %violation, "plan exceeds what a plan may ask for");
            return;
        };
        if let Some(suppressed) = managed.outstanding.note(Instant::now()) {
            let daemon_set = entry.object.key();
            warn!(daemon_set, %violation, suppressed, "plan exceeds what a plan may ask for");
        }
    }

    /// Ends an action of this session, and queues the outcome for the planner.
    pub(super) fn end_action(&mut self, uid: &Text, id: u64, outcome: ActionOutcome) {
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.outstanding.ended(id);
        }
        self.outbox.add_done(id, outcome);
    }
}
