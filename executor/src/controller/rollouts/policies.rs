//! Writes whether rollout policies apply to the policies' own statuses.

use std::time::Duration;

use everynode_proto::planner::v1::RolloutPolicyStatus;
use everynode_render::ErrorChain;
use tracing::warn;

use crate::{
    apiserver::failure::ApiError,
    cluster::SharedStr,
    controller::{CallResult, Controller, Timer},
    planner::guard,
    rollouts::{status, write},
};

/// The shortest and the longest wait before a failed write is retried.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What the planner says of a policy, and the state of its write.
#[derive(Debug)]
pub(in crate::controller) struct PolicyState {
    found: RolloutPolicyStatus,
    /// Whether a write is in progress, or the wait after it isn't over.
    is_busy: bool,
    /// Number of failed writes in a row.
    failures: u32,
}

/// A write of a policy's status that has ended.
#[derive(Debug)]
pub(in crate::controller) struct FinishedPolicyWrite {
    policy: SharedStr,
    result: Result<(), ApiError>,
}

impl Controller {
    /// Applies what the planner says of a policy.
    pub(in crate::controller) fn accept_policy_status(&mut self, mut found: RolloutPolicyStatus) {
        guard::rollouts::truncate_policy_status(&mut found);
        let uid: SharedStr = found.uid.as_str().into();
        if self.cluster.policy(&uid).is_none() {
            return;
        }
        if let Some(state) = self.policies.get_mut(&uid) {
            state.found = found;
        } else {
            let state = PolicyState {
                found,
                is_busy: false,
                failures: 0,
            };
            self.policies.insert(uid.clone(), state);
        }
        self.write_policy_status(&uid);
    }

    /// Writes a policy's status if it differs from what the planner says of the current generation.
    fn write_policy_status(&mut self, uid: &SharedStr) {
        let Some(policy) = self.cluster.policy(uid) else {
            self.policies.remove(uid);
            return;
        };
        let now = self.now();
        let Some(state) = self.policies.get_mut(uid).filter(|state| !state.is_busy) else {
            return;
        };
        let wanted = status::status(&state.found, &policy.status, &now);
        if wanted == policy.status || state.found.generation != policy.facts.generation {
            return;
        }
        state.is_busy = true;
        let (api, uid) = (self.config.api.clone(), uid.clone());
        let facts = policy.facts.clone();
        let version = policy.resource_version.clone();
        self.calls.spawn(async move {
            let result = write::policy_status(&api, &facts, &version, &wanted).await;
            CallResult::Policy(Box::new(FinishedPolicyWrite { policy: uid, result }))
        });
    }

    pub(in crate::controller) fn on_policy_written(&mut self, written: FinishedPolicyWrite) {
        let FinishedPolicyWrite { policy: uid, result } = written;
        let Some(state) = self.policies.get_mut(&uid) else {
            return;
        };
        // The watch reports the written status during this wait.
        let wait = match result {
            Ok(()) => {
                state.failures = 0;
                FIRST_WAIT
            }
            Err(error) => {
                let failures = state.failures;
                state.failures = failures.saturating_add(1);
                if !error.is_conflict() && !error.is_not_found() {
                    warn!(policy = %uid, error = %ErrorChain(&error), "policy status write failed; retrying");
                }
                error.wait(failures, FIRST_WAIT, LONGEST_WAIT)
            }
        };
        self.set_timer(Timer::WritePolicy(uid), wait);
    }

    /// Writes a policy's status whose pause is over.
    pub(in crate::controller) fn on_policy_timer(&mut self, uid: &SharedStr) {
        if let Some(state) = self.policies.get_mut(uid) {
            state.is_busy = false;
            self.write_policy_status(uid);
        }
    }
}
