//! Writes statuses. Each `DaemonSet` has at most one write in progress, and a pause after each write. The pause grows
//! while the status keeps changing. So only some of a rollout's many changes are written, but the last one is always
//! written soon.

use std::{sync::Arc, time::Duration};

use everynode_render::ErrorChain;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{CallResult, Controller, Timer};
use crate::{
    apiserver::{failure::ApiError, objects::DaemonSet},
    cluster::SharedStr,
    status::{conditions::is_degraded, write},
};

/// Minimum pause between two writes of the same status: shorter than anyone notices, longer than a burst of creations.
const PAUSE: Duration = Duration::from_millis(100);
/// Maximum pause while the status keeps changing, in units of `PAUSE`.
const MAX_PAUSE_UNITS: u32 = 10;
/// After this long without a write, the pause starts again at its minimum.
const QUIET_PERIOD: Duration = Duration::from_secs(2);
/// Maximum number of unconfirmed writes that are remembered.
const MAX_UNCONFIRMED: usize = 16;
/// Maximum wait before a failed write is retried.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(30);

/// A status write that has ended.
#[derive(Debug)]
pub(super) struct FinishedStatusWrite {
    daemon_set: SharedStr,
    /// The object whose status was written; it may be gone by now.
    object: Arc<DaemonSet>,
    result: Result<DaemonSet, ApiError>,
}

impl Controller {
    /// Writes a `DaemonSet`'s status if it differs from the desired status and no write or pause is in progress. While
    /// actions of the `DaemonSet` are in progress, a brief pause comes first, because the status is about to be
    /// outdated.
    pub(super) fn write_status(&mut self, uid: &SharedStr) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let with_conditions = self.config.status_conditions;
        if managed.status.is_paused || managed.status_to_write(&entry.object, with_conditions).is_none() {
            return;
        }
        let status = &mut managed.status;
        if managed.actions.is_busy() {
            status.is_paused = true;
            status.pause_units_left = 1;
            self.set_timer(Timer::WriteStatus(uid.clone()), PAUSE);
        } else {
            self.put_status(uid);
        }
    }

    fn put_status(&mut self, uid: &SharedStr) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let Some(wanted) = managed.status_to_write(&entry.object, self.config.status_conditions) else {
            return;
        };
        let status = &mut managed.status;
        let now = Instant::now();
        let last = status.last_write.replace(now);
        status.pause_units = match last {
            Some(last) if now.duration_since(last) < QUIET_PERIOD => {
                (status.pause_units * 2).clamp(1, MAX_PAUSE_UNITS)
            }
            Some(_) | None => 1,
        };
        status.is_paused = true;
        status.was_busy = managed.actions.is_busy();
        status.written.retain(|before| *before != wanted.counters);
        status.written.push(wanted.counters);
        let forgotten = status.written.len().saturating_sub(MAX_UNCONFIRMED);
        status.written.drain(..forgotten);
        self.config.metrics.status_write();
        let (api, object, daemon_set) = (self.config.api.clone(), entry.object.clone(), uid.clone());
        self.calls.spawn(async move {
            let result = write(api, object.clone(), wanted).await;
            CallResult::Status(Box::new(FinishedStatusWrite {
                daemon_set,
                object,
                result,
            }))
        });
    }

    pub(super) fn on_status_written(&mut self, written: FinishedStatusWrite) {
        let FinishedStatusWrite {
            daemon_set: uid,
            object,
            result,
        } = written;
        let Some(managed) = self.managed.get_mut(&uid) else {
            return;
        };
        let pause = match result {
            Ok(current) => {
                managed.status.failures = 0;
                let written = &mut managed.status.written;
                written.drain(..written.len().saturating_sub(1));
                managed.status.pause_units_left = managed.status.pause_units;
                self.cluster.apply_written_daemon_set(current);
                PAUSE
            }
            Err(error) => {
                let failures = managed.status.failures;
                managed.status.failures = failures.saturating_add(1);
                managed.status.pause_units_left = 1;
                if error.is_not_found() {
                    debug!(
                        daemon_set = object.key(),
                        "DaemonSet was deleted before its status was written"
                    );
                } else {
                    warn!(daemon_set = object.key(), error = %ErrorChain(&error), "status write failed; retrying");
                }
                error.wait(failures, PAUSE, MAX_RETRY_WAIT)
            }
        };
        self.set_timer(Timer::WriteStatus(uid), pause);
    }

    /// Handles the end of a pause unit. While the status keeps changing, the pause goes on until its last unit. A
    /// status that has stopped changing for now is written immediately, because someone may be waiting for it.
    pub(super) fn on_status_timer(&mut self, uid: &SharedStr) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let has_become_idle = managed.status.was_busy && !managed.actions.is_busy();
        let due = managed.status_to_write(&entry.object, self.config.status_conditions);
        let is_complete = managed.progress(&entry.object).is_complete();
        let status = &mut managed.status;
        status.pause_units_left = status.pause_units_left.saturating_sub(1);
        match due {
            None if status.pause_units_left == 0 => status.is_paused = false,
            Some(_) if status.pause_units_left == 0 || is_complete || has_become_idle => {
                self.put_status(uid);
            }
            None | Some(_) => {
                self.set_timer(Timer::WriteStatus(uid.clone()), PAUSE);
            }
        }
    }

    /// Rechecks the `DaemonSet`s whose status reports an obstacle: some obstacles end without an event.
    pub(super) fn recheck_degraded(&mut self) {
        let degraded = self.managed.keys().filter(|uid| {
            self.cluster
                .daemon_set(uid)
                .is_some_and(|entry| is_degraded(&entry.object.status))
        });
        let degraded: Vec<_> = degraded.cloned().collect();
        for uid in &degraded {
            self.write_status(uid);
        }
    }
}
