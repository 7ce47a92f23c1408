//! Starts upkeep and handles its results. A `DaemonSet` is sent to the planner once its upkeep is done.

use std::{sync::Arc, time::Duration};

use everynode_proto::planner::v1::{Fact, fact::Fact as Kind};
use everynode_render::ErrorChain;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    CallResult, Controller, Timer,
    managed::{AnnouncedDaemonSet, UpkeepPhase, UpkeepState},
};
use crate::{
    actions::queue::Lane,
    apiserver::{events::EventType, failure::ApiError, objects::DaemonSet},
    cluster::SharedStr,
    ownership::upkeep::{Refusal, TemplateRevision, UpkeepError, Work, WrittenObjects, execute, next},
};

const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait after a refusal.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How long until a refused adoption or release is retried: the server's decision may have changed.
const REFUSAL_BACKOFF: Duration = Duration::from_mins(1);

/// A piece of upkeep that has ended.
#[derive(Debug)]
pub(super) struct FinishedUpkeep {
    daemon_set: SharedStr,
    object: Arc<DaemonSet>,
    failure_reason: &'static str,
    written: WrittenObjects,
    result: Result<(), UpkeepError>,
}

impl Controller {
    /// Checks whether a `DaemonSet` needs upkeep, and starts the first piece of work if so.
    pub(super) fn reconcile_ownership(&mut self, uid: &SharedStr) {
        let (Some(entry), Some(managed)) = (self.cluster.daemon_set(uid), self.managed.get_mut(uid)) else {
            return;
        };
        if managed.upkeep.phase != UpkeepPhase::Idle {
            return;
        }
        let next = next(&self.cluster, entry, &managed.upkeep.refused);
        managed.upkeep.is_cleanup_blocked = next.is_cleanup_blocked;
        let object = entry.object.clone();
        let merges = next.work.as_ref().is_some_and(Work::merges_revisions);
        if let Some(revision) = next.revision {
            self.announce(uid, object.clone(), revision);
        }
        self.cluster.settle_history(uid);
        let is_postponed = merges && self.must_postpone_merge(uid);
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.upkeep.is_merge_postponed = is_postponed;
        }
        if let Some(work) = next.work.filter(|_| !is_postponed) {
            self.start_upkeep(uid, object, work);
        }
    }

    /// Whether the pods of a duplicate revision must not be relabeled yet. The planner would replace these pods if it
    /// didn't know that the revisions are equal. And a pod that is being created may get the hash of a duplicate, but
    /// can't be relabeled before it exists. `continue_merges`, `resume_merge` and heartbeats retry a postponed merge.
    fn must_postpone_merge(&self, uid: &SharedStr) -> bool {
        let is_unknown = self.planner.is_some() && self.outbox.has_daemon_set(uid);
        is_unknown || self.is_creating(uid)
    }

    fn is_creating(&self, uid: &SharedStr) -> bool {
        let managed = self.managed.get(uid);
        managed.is_some_and(|managed| managed.actions.load(Lane::Create).in_progress > 0)
    }

    fn start_upkeep(&mut self, uid: &SharedStr, object: Arc<DaemonSet>, work: Work) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        managed.upkeep.phase = UpkeepPhase::Running;
        let (api, daemon_set) = (self.config.api.clone(), uid.clone());
        debug!(daemon_set = object.key(), ?work, "upkeep started");
        self.calls.spawn(async move {
            let failure_reason = work.failure_reason();
            let (written, result) = execute(api, object.clone(), work).await;
            CallResult::Upkeep(Box::new(FinishedUpkeep {
                daemon_set,
                object,
                failure_reason,
                written,
                result,
            }))
        });
    }

    /// Starts the merge that has waited for creations, if there is one and the last creation has ended.
    pub(super) fn resume_merge(&mut self, uid: &SharedStr) {
        let managed = self.managed.get(uid);
        let is_postponed = managed.is_some_and(|managed| managed.upkeep.is_merge_postponed);
        if is_postponed && !self.is_creating(uid) {
            self.reconcile_ownership(uid);
        }
    }

    /// Marks the `DaemonSet`s for upkeep whose merges have waited for these facts to be sent.
    pub(super) fn continue_merges(&mut self, facts: &[Fact]) {
        for fact in facts {
            if let Some(Kind::DaemonSetChanged(facts)) = &fact.fact
                && !facts.equal_revisions.is_empty()
            {
                self.cluster.touched.upkeep.insert(facts.uid.as_str().into());
            }
        }
    }

    fn announce(&mut self, uid: &SharedStr, object: Arc<DaemonSet>, revision: TemplateRevision) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        let before = managed.announced.as_ref();
        if before.is_some_and(|before| before.has_revision(&revision) && same_spec(&before.object, &object)) {
            return;
        }
        managed.announced = Some(AnnouncedDaemonSet::new(object, revision));
        self.outbox.add_daemon_set(uid.clone());
        // Actions refused for the old template may be accepted for the new one.
        for lane in [Lane::Create, Lane::Delete] {
            self.open_lane(uid, lane);
        }
    }

    pub(super) fn on_upkeep_finished(&mut self, ended: FinishedUpkeep) {
        let FinishedUpkeep {
            daemon_set: uid,
            object,
            failure_reason,
            mut written,
            result,
        } = ended;
        let is_gone = written.is_gone;
        let refused = std::mem::take(&mut written.refused);
        self.apply_writes(written);
        self.back_off_refused(&uid, &object, failure_reason, refused);
        let Some(managed) = self.managed.get_mut(&uid) else {
            return;
        };
        managed.upkeep.phase = UpkeepPhase::Idle;
        let wait = match result {
            Ok(()) if !is_gone => {
                managed.upkeep.failures = 0;
                if managed.upkeep.refused.is_empty() {
                    managed.upkeep.last_error = None;
                }
                self.reconcile_ownership(&uid);
                return;
            }
            // The `DaemonSet` is gone, and the watch is about to report it.
            Ok(()) => FIRST_WAIT,
            Err(error) => {
                let failures = managed.upkeep.failures;
                managed.upkeep.failures = failures.saturating_add(1);
                managed.upkeep.last_error = Some(ErrorChain(&error).to_string());
                warn!(daemon_set = object.key(), error = %ErrorChain(&error), "upkeep failed; retrying");
                let is_refusal = matches!(&error.source, ApiError::Refused(_)) && !error.source.is_conflict();
                if is_refusal && !error.source.is_namespace_terminating() {
                    self.config.events.record(
                        &object,
                        EventType::Warning,
                        failure_reason,
                        "Upkeep",
                        ErrorChain(&error).to_string(),
                    );
                }
                error.source.wait(failures, FIRST_WAIT, LONGEST_WAIT)
            }
        };
        if let Some(managed) = self.managed.get_mut(&uid) {
            managed.upkeep.phase = UpkeepPhase::BackingOff;
        }
        self.write_status(&uid);
        self.set_timer(Timer::RetryUpkeep(uid), wait);
    }

    /// Applies the server's answers immediately, before the watch reports the same objects.
    fn apply_writes(&mut self, written: WrittenObjects) {
        if let Some(object) = written.daemon_set {
            self.cluster.apply_written_daemon_set(object);
        }
        written
            .pods
            .iter()
            .for_each(|pod| self.cluster.apply_written_pod(pod));
        written
            .gone_pods
            .iter()
            .for_each(|pod| self.cluster.apply_pod_deletion(pod, true));
        written
            .revisions
            .iter()
            .for_each(|revision| self.cluster.apply_written_revision(revision));
        written
            .deleted_revisions
            .iter()
            .for_each(|revision| self.cluster.forget_revision(revision));
    }

    /// Skips refused objects for a while, so that they don't block the rest.
    fn back_off_refused(&mut self, uid: &SharedStr, object: &DaemonSet, reason: &str, refused: Vec<Refusal>) {
        let Some(managed) = self.managed.get_mut(uid).filter(|_| !refused.is_empty()) else {
            return;
        };
        managed
            .upkeep
            .refused
            .extend(refused.iter().map(|refusal| refusal.uid.clone()));
        managed.upkeep.last_error = refused
            .last()
            .map(|refusal| ErrorChain(&refusal.error).to_string());
        for Refusal { error, .. } in refused {
            warn!(daemon_set = object.key(), error = %ErrorChain(&error), "adoption or release refused; retrying in 60 s");
            // The server reports invalid owners when somebody else's adoption or release was faster.
            if !error.source.is_invalid() {
                self.config.events.record(
                    object,
                    EventType::Warning,
                    reason,
                    "Upkeep",
                    ErrorChain(&error).to_string(),
                );
            }
        }
        self.write_status(uid);
        self.set_timer(Timer::RetryRefused(uid.clone()), REFUSAL_BACKOFF);
    }

    /// Retries refused adoptions and releases.
    pub(super) fn retry_refused(&mut self, uid: &SharedStr) {
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.upkeep.refused.clear();
            managed.upkeep.last_error = None;
            self.reconcile_ownership(uid);
        }
    }

    /// Rechecks the `DaemonSet`s whose revisions can't be deleted until pods are gone, or can't be merged yet.
    pub(super) fn recheck_blocked_upkeep(&mut self) {
        let is_blocked = |upkeep: &UpkeepState| upkeep.is_cleanup_blocked || upkeep.is_merge_postponed;
        let blocked = self
            .managed
            .iter()
            .filter(|(_, managed)| is_blocked(&managed.upkeep));
        let blocked: Vec<_> = blocked.map(|(uid, _)| uid.clone()).collect();
        for uid in &blocked {
            self.reconcile_ownership(uid);
        }
    }

    /// Starts upkeep of the `DaemonSet`s whose history has had a new revision for too long.
    pub(super) fn recheck_unsettled_histories(&mut self) {
        for uid in self.cluster.overdue_histories(Instant::now()) {
            self.reconcile_ownership(&uid);
        }
    }

    /// Retries upkeep after its backoff.
    pub(super) fn retry_upkeep(&mut self, uid: &SharedStr) {
        if let Some(managed) = self.managed.get_mut(uid)
            && managed.upkeep.phase == UpkeepPhase::BackingOff
        {
            managed.upkeep.phase = UpkeepPhase::Idle;
            self.reconcile_ownership(uid);
        }
    }
}

/// Whether everything that facts are made from is the same.
fn same_spec(a: &DaemonSet, b: &DaemonSet) -> bool {
    a.metadata.generation == b.metadata.generation
        && a.metadata.annotations == b.metadata.annotations
        && a.metadata.labels == b.metadata.labels
}
