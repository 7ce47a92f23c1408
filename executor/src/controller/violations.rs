//! Enforces the limits on plans. Whatever exceeds them is removed or refused, or ends the session.

use everynode_proto::planner::v1::{ActionOutcome, CreatePod, DeletePod, Plan};
use tokio::time::Instant;
use tracing::warn;

use super::Controller;
use crate::{
    actions::queue::{Lane, ReadyAction},
    cluster::{Entry, SharedStr},
    planner::guard::{self, Verdict, Violation},
};

impl Controller {
    /// Whether a plan, together with what is already outstanding, requests no more than a sane planner would.
    pub(super) fn is_within_bounds(&mut self, uid: &SharedStr, plan: &Plan) -> bool {
        let cluster = &self.cluster;
        let result = match self.managed.get_mut(uid).zip(cluster.daemon_set(uid)) {
            Some((managed, entry)) => managed.outstanding.add_plan(cluster, entry, plan),
            None => Ok(()),
        };
        let result = result.and_then(|()| guard::check_size(cluster, plan, self.outbox.pending_outcomes()));
        let Err(violation) = result else {
            return true;
        };
        self.record_violation(uid, violation);
        false
    }

    /// Cuts problems and messages to their limits, and removes availability, conditions and tolerations that a plan may
    /// not contain.
    pub(super) fn sanitize_plan(&mut self, uid: &SharedStr, plan: &mut Plan) {
        guard::truncate_problems(&mut plan.problems);
        guard::truncate_message(&mut plan.progress_message);
        let owner = self.cluster.daemon_set(uid).map(Entry::owner);
        guard::retain_own_availability(&self.cluster, owner, &mut plan.pod_availability);
        if guard::remove_invalid_conditions(&mut plan.conditions) > 0 {
            self.record_violation(uid, Violation::Condition);
        }
        let removed = guard::remove_invalid_tolerations(&mut plan.added_tolerations)
            + guard::remove_invalid_tolerations(&mut plan.current_added_tolerations);
        if removed > 0 {
            self.record_violation(uid, Violation::Toleration);
        }
        let is_sane = |report| guard::rollouts::is_sane_report(uid, report);
        if !plan.rollout.as_mut().is_none_or(is_sane) {
            plan.rollout = None;
            self.record_violation(uid, Violation::Bounds);
        }
    }

    /// Judges a creation that could start now.
    pub(super) fn judge_creation(&mut self, uid: &SharedStr, action: &CreatePod) -> Verdict {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return Verdict::Obsolete;
        };
        let Some(announced) = &managed.announced else {
            return Verdict::Obsolete;
        };
        managed
            .outstanding
            .judge_creation(&self.cluster, entry.owner(), &announced.object, &action.node)
    }

    pub(super) fn judge_deletion(&self, uid: &str, action: &DeletePod) -> Verdict {
        match self.cluster.daemon_set(uid) {
            Some(entry) => guard::judge_deletion(&self.cluster, entry.owner(), action),
            None => Verdict::Obsolete,
        }
    }

    /// Ends an action that no plan may request. The action counts as refused by the server, so that the planner doesn't
    /// request it again immediately.
    pub(super) fn reject_action<T>(
        &mut self,
        uid: &SharedStr,
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
    fn record_violation(&mut self, uid: &SharedStr, violation: Violation) {
        self.config.metrics.plan_violation(violation.into());
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            warn!(daemon_set_uid = %uid, %violation, "plan exceeds limits");
            return;
        };
        if let Some(suppressed) = managed.outstanding.record_violation(Instant::now()) {
            let daemon_set = entry.object.key();
            warn!(daemon_set, %violation, suppressed, "plan exceeds limits");
        }
    }

    /// Ends an action of this session, and queues the outcome for the planner.
    pub(super) fn end_action(&mut self, uid: &SharedStr, id: u64, outcome: ActionOutcome) {
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.outstanding.on_action_ended(id);
        }
        self.outbox.add_outcome(id, outcome);
    }
}
