//! Enforces the limits on plans. Whatever exceeds them is removed or refused, or ends the session.

use everynode_proto::planner::v1::{ActionOutcome, CreatePod, DeletePod, Plan};
use tokio::time::Instant;
use tracing::warn;

use super::Controller;
use crate::{
    actions::queue::{Lane, ReadyAction},
    cluster::{Entry, Text},
    planner::guard::{self, Verdict, Violation},
};

impl Controller {
    /// Whether a plan, together with what is already outstanding, requests no more than a sane planner would.
    pub(super) fn is_within_bounds(&mut self, uid: &Text, plan: &Plan) -> bool {
        let cluster = &self.cluster;
        let result = match self.managed.get_mut(uid).zip(cluster.daemon_set(uid)) {
            Some((managed, entry)) => managed.outstanding.take(cluster, entry, plan),
            None => Ok(()),
        };
        let result = result.and_then(|()| guard::unread(cluster, plan, self.outbox.outcomes()));
        let Err(violation) = result else {
            return true;
        };
        self.record_violation(uid, violation);
        false
    }

    /// Removes problems, conditions and tolerations that a plan may not contain.
    pub(super) fn sanitize_plan(&mut self, uid: &Text, plan: &mut Plan) {
        guard::problems(&mut plan.problems);
        guard::message(&mut plan.progress_message);
        let owner = self.cluster.daemon_set(uid).map(Entry::owner);
        guard::availability(&self.cluster, owner, &mut plan.pod_availability);
        if guard::conditions(&mut plan.conditions) > 0 {
            self.record_violation(uid, Violation::Condition);
        }
        if guard::tolerations(&mut plan.added_tolerations) > 0 {
            self.record_violation(uid, Violation::Toleration);
        }
    }

    /// Judges a creation that could start now.
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

    /// Ends an action that no plan may request as if the server had refused it, so that the planner doesn't request it
    /// again immediately.
    pub(super) fn reject_action<T>(
        &mut self,
        uid: &Text,
        lane: Lane,
        ready: &ReadyAction<T>,
        node: &str,
        violation: Violation,
    ) {
        self.record_violation(uid, violation);
        if let Some(managed) = self.managed.get_mut(uid) {
            managed
                .refusals
                .record(lane, format!("the executor rejects the plan: {violation}"));
        }
        self.refuse_action(uid, lane, ready.id, node);
    }

    /// Counts a violation. Logs it unless another violation for the same `DaemonSet` was logged recently.
    fn record_violation(&mut self, uid: &Text, violation: Violation) {
        self.config.metrics.plan_violation(violation.into());
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
