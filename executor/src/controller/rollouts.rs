//! Writes what plans say of rollouts to the status of `DaemonSetRollout`s.
//!
//! Memory is written at once, and only if the plan is based on what is written already: the planner acts on it when it is
//! reported back as a fact (T13). What only people read is written at most every 2 s.

mod overview;
pub(super) mod policies;

use std::{sync::Arc, time::Duration};

use everynode_proto::planner::v1::{RolloutReport, RolloutState as WireState};
use everynode_render::ErrorChain;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use tokio::time::Instant;
use tracing::warn;

use super::{CallResult, Controller, Timer, announcement::revision_of};
use crate::{
    apiserver::{
        events::EventType,
        failure::ApiError,
        objects::{DaemonSet, Rollout},
    },
    cluster::SharedStr,
    pods::revision_pods::RevisionPods,
    rollouts::{
        changes::changes,
        kinds::{DaemonSetRolloutStatus, PolicyRef},
        memory,
        report::{self, Circumstances},
        write,
    },
    status::conditions::is_rollout_held,
};

/// Minimum pause before a write of what only people read.
const DISPLAY_PAUSE: Duration = Duration::from_secs(2);
/// The shortest and the longest wait before a failed write is retried.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After so many checks, about 6 s, the garbage collector should have deleted the rollout of an earlier `DaemonSet`.
const MAX_QUIET_CHECKS: u32 = 5;

/// State of a `DaemonSet`'s rollout.
#[derive(Debug, Default)]
pub(super) struct RolloutState {
    /// What the session's last plan says.
    report: Option<PlannedReport>,
    /// The last report whose changes were written as events. It outlives the session with the planner.
    noted: Option<RolloutReport>,
    /// Whether a write is in progress.
    is_writing: bool,
    /// Whether the wait after a failed write isn't over.
    is_backing_off: bool,
    /// Whether a timer for the next write is set.
    has_timer: bool,
    last_write: Option<Instant>,
    /// What was written last, unless the write failed.
    written: Option<Box<DaemonSetRolloutStatus>>,
    /// Number of failed writes in a row.
    failures: u32,
    /// The last failure, until a write succeeds.
    pub(super) last_error: Option<String>,
    /// Whether a rollout has begun and isn't completed. `None` if nothing is remembered.
    pub(super) is_held: Option<bool>,
    /// For how many days the rollout had been paused or waiting when people were last reminded of it.
    reminded_days: u64,
}

/// A report, and the plan that it comes from.
#[derive(Debug)]
struct PlannedReport {
    report: RolloutReport,
    /// The sequence of the last request that the plan takes into account.
    based_on: u64,
    /// metadata.generation of the `DaemonSet` that the plan acts on.
    generation: i64,
}

impl RolloutState {
    /// The state of the rollout, according to the session's last plan.
    pub(super) fn report(&self) -> Option<&RolloutReport> {
        self.report.as_ref().map(|planned| &planned.report)
    }

    /// Forgets what the planner has said, because its session has ended.
    pub(super) fn forget_planner(&mut self) {
        self.report = None;
    }
}

/// A write of a rollout that has ended.
#[derive(Debug)]
pub(super) struct FinishedRolloutWrite {
    daemon_set: SharedStr,
    object: Arc<DaemonSet>,
    result: Result<Rollout, ApiError>,
}

impl Controller {
    /// Applies what a plan says of a rollout.
    pub(super) fn accept_rollout(
        &mut self,
        uid: &SharedStr,
        report: Option<RolloutReport>,
        based_on: u64,
        generation: i64,
    ) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let Some(report) = report else {
            // Nothing has to be written any more.
            managed.rollout.forget_planner();
            if managed.rollout.last_error.take().is_some() {
                managed.rollout.failures = 0;
                self.write_status(uid);
            }
            return;
        };
        let object = entry.object.clone();
        // The first report after a start says nothing about what has changed.
        let before = managed.rollout.noted.replace(report.clone());
        for change in before.iter().flat_map(|before| changes(before, &report)) {
            self.config
                .events
                .record(&object, change.kind, change.reason, "Rollout", change.note);
        }
        managed.rollout.report = Some(PlannedReport {
            report,
            based_on,
            generation,
        });
        self.write_rollout(uid);
    }

    /// Writes the status of a `DaemonSetRollout` if it differs from what the last plan says.
    pub(super) fn write_rollout(&mut self, uid: &SharedStr) {
        let Some(status) = self.rollout_to_write(uid) else {
            return;
        };
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let before = self.cluster.rollout(entry);
        if before.is_some_and(|before| before.is_of_other(uid)) {
            self.wait_for_deletion(uid);
            return;
        }
        let is_written = before.is_some_and(|before| memory::is_same(&status, &before.status));
        // An API server with older definitions of the kinds drops fields, and would be asked again and again.
        let is_repeated = managed
            .rollout
            .written
            .as_ref()
            .is_some_and(|written| memory::is_same(&status, written));
        if is_written || is_repeated {
            let last = managed.rollout.last_write.map(|last| last.elapsed());
            let left = last.map_or(Duration::ZERO, |elapsed| DISPLAY_PAUSE.saturating_sub(elapsed));
            if !left.is_zero() {
                if !std::mem::replace(&mut managed.rollout.has_timer, true) {
                    self.set_timer(Timer::WriteRollout(uid.clone()), left);
                }
                return;
            }
        }
        managed.rollout.is_writing = true;
        managed.rollout.last_write = Some(Instant::now());
        managed.rollout.written = Some(Box::new(status.clone()));
        let before = before.map(|before| (before.uid.clone(), before.resource_version.clone()));
        let (api, object, daemon_set) = (self.config.api.clone(), entry.object.clone(), uid.clone());
        self.calls.spawn(async move {
            let result = write::rollout(&api, &object, before, status).await;
            CallResult::Rollout(Box::new(FinishedRolloutWrite {
                daemon_set,
                object,
                result,
            }))
        });
    }

    /// Waits until the rollout of an earlier `DaemonSet` of the same name is gone. The verbs in it are for other rollouts
    /// (T9), so nothing is written to it.
    fn wait_for_deletion(&mut self, uid: &SharedStr) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let state = &mut managed.rollout;
        let checks = state.failures;
        state.failures = checks.saturating_add(1);
        state.is_backing_off = true;
        state.has_timer = true;
        let is_late = checks == MAX_QUIET_CHECKS;
        if is_late {
            let name = &entry.object.metadata.name;
            let message = format!(
                "the DaemonSetRollout {name} is that of an earlier DaemonSet {name}; delete it, and the rollout starts anew"
            );
            warn!(
                daemon_set = entry.object.key(),
                "rollout of an earlier DaemonSet wasn't deleted"
            );
            state.last_error = Some(message.clone());
            self.config.events.record(
                &entry.object,
                EventType::Warning,
                "RolloutHeld",
                "Rollout",
                message,
            );
        }
        let wait = FIRST_WAIT.saturating_mul(1 << checks.min(16)).min(LONGEST_WAIT);
        self.set_timer(Timer::WriteRollout(uid.clone()), wait);
        if is_late {
            self.write_status(uid);
        }
    }

    /// The status to write. `None` if it is written already, or if the plan isn't based on what is written.
    fn rollout_to_write(&self, uid: &SharedStr) -> Option<DaemonSetRolloutStatus> {
        let managed = self.managed.get(uid)?;
        if managed.rollout.is_writing || managed.rollout.is_backing_off {
            return None;
        }
        let entry = self.cluster.daemon_set(uid)?;
        let planned = managed.rollout.report.as_ref()?;
        if !self
            .outbox
            .is_rollout_based_on(&self.cluster, uid, planned.based_on)
        {
            return None;
        }
        let policy = self.cluster.policy(&planned.report.policy_uid).map(|policy| {
            let is_of_cluster = policy.facts.namespace.is_empty();
            let kind = if is_of_cluster {
                "ClusterDaemonSetRolloutPolicy"
            } else {
                "DaemonSetRolloutPolicy"
            };
            PolicyRef {
                kind: kind.to_owned(),
                name: policy.facts.name.clone(),
            }
        });
        let before = self.cluster.rollout(entry);
        let circumstances = Circumstances {
            daemon_set_generation: planned.generation,
            policy,
            now: self.now(),
        };
        report::status(&planned.report, before, circumstances)
            .filter(|status| before.is_none_or(|before| before.status != *status))
    }

    pub(super) fn on_rollout_written(&mut self, written: FinishedRolloutWrite) {
        let FinishedRolloutWrite {
            daemon_set: uid,
            object,
            result,
        } = written;
        let failure = match result {
            Ok(rollout) => {
                self.cluster.apply_written_rollout(rollout);
                None
            }
            Err(error) => Some(error),
        };
        let Some(managed) = self.managed.get_mut(&uid) else {
            return;
        };
        let state = &mut managed.rollout;
        state.is_writing = false;
        let Some(error) = failure else {
            state.failures = 0;
            let was_failing = state.last_error.take().is_some();
            self.write_rollout(&uid);
            if was_failing {
                self.write_status(&uid);
            }
            return;
        };
        state.written = None;
        let failures = state.failures;
        state.failures = failures.saturating_add(1);
        state.is_backing_off = true;
        state.has_timer = true;
        let message = ErrorChain(&error).to_string();
        state.last_error = Some(message.clone());
        warn!(daemon_set = object.key(), error = %ErrorChain(&error), "rollout status write failed; retrying");
        if failures == 0 && !error.is_namespace_terminating() {
            let note =
                format!("can't write the status of the DaemonSetRollout, so the rollout waits: {message}");
            self.config
                .events
                .record(&object, EventType::Warning, "RolloutHeld", "Rollout", note);
        }
        let wait = error.wait(failures, FIRST_WAIT, LONGEST_WAIT);
        self.set_timer(Timer::WriteRollout(uid.clone()), wait);
        self.write_status(&uid);
    }

    /// The API server's time in whole seconds, as objects have it.
    fn now(&self) -> Time {
        let now = self.config.clock.now();
        Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
    }

    /// Writes a rollout whose pause is over.
    pub(super) fn on_rollout_timer(&mut self, uid: &SharedStr) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        managed.rollout.has_timer = false;
        managed.rollout.is_backing_off = false;
        self.write_rollout(uid);
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        let state = &mut managed.rollout;
        let is_idle = !state.is_writing && !state.is_backing_off && !state.has_timer;
        // A write without a clear answer was carried out, or it isn't wanted any more.
        if is_idle && state.last_error.take().is_some() {
            self.write_status(uid);
        }
    }

    /// Applies changes of rollouts and policies that concern `DaemonSet`s.
    pub(super) fn on_rollouts_changed(&mut self) {
        let changed: Vec<_> = self.cluster.touched.rollouts.iter().cloned().collect();
        for uid in &changed {
            let facts = self.cluster.rollout_facts(uid);
            let memory = facts.and_then(|facts| facts.memory);
            let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid))
            else {
                continue;
            };
            // Without an update revision, nothing is remembered.
            if let Some(memory) = memory.filter(|memory| !memory.update_revision.is_empty()) {
                managed.rollout.is_held = Some(memory.state() != WireState::Completed);
                self.write_status(uid);
            } else if is_rollout_held(&entry.object.status) {
                // From now on the condition says it alone. So a person who removes it ends the hold.
                managed.rollout.is_held = None;
            }
        }
        let announcements = std::mem::take(&mut self.cluster.touched.announcements);
        for uid in announcements {
            if self
                .managed
                .get(&uid)
                .is_some_and(|managed| managed.announced.is_some())
            {
                self.outbox.add_daemon_set(uid);
            }
        }
    }

    /// Prepares the pods of the revision that isn't the current template's, if a plan creates any. `added` are the
    /// tolerations that these pods get.
    pub(super) fn update_revision_pods(
        &mut self,
        uid: &SharedStr,
        revision: &str,
        added: Vec<everynode_proto::planner::v1::Toleration>,
    ) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let object = managed
            .announced
            .as_ref()
            .map(|announced| announced.object.clone());
        // A plan that was on its way when the template changed names the revision of the template before. Its pods aren't
        // wanted any more, unless memory says that this revision is current.
        let memory = self.cluster.rollout(entry).map(|rollout| rollout.facts(uid));
        let memory = memory.and_then(|facts| facts.memory);
        let found = memory
            .filter(|memory| memory.current_revision == revision)
            .and_then(|_| revision_of(&self.cluster, entry, revision));
        let (Some(object), Some(found)) = (object, found) else {
            managed.revision_pods = None;
            return;
        };
        let pods = RevisionPods::new(object, found.name.clone(), revision.to_owned(), added);
        let before = managed.revision_pods.as_ref();
        if !before.is_some_and(|before| before.is_same(&pods)) {
            managed.revision_pods = Some(Arc::new(pods));
        }
    }
}
