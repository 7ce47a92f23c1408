//! Writes statuses. Each `DaemonSet` has one write in progress at a time, with a rest after each write. The rest grows
//! while there is always more to write. So only some of a rollout's many changes are written, but the last one always
//! is, and soon.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Answer, Controller, Timer};
use crate::{cluster::Text, conditions::is_degraded, failure::ApiError, objects::DaemonSet, status::write};

/// The shortest rest between two writes of the same status: faster than anyone reads, slower than a burst of creations.
const REST: Duration = Duration::from_millis(100);
/// The longest rest while the status keeps changing, in units of `REST`.
const MOST_RESTS: u32 = 10;
/// After this long without a write, the rests start again at the shortest.
const QUIET: Duration = Duration::from_secs(2);
/// How many writes without an answer are remembered.
const MAX_UNCONFIRMED: usize = 16;
/// The longest wait after refusals.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// The end of a status write.
#[derive(Debug)]
pub(super) struct StatusWritten {
    daemon_set: Text,
    result: Result<DaemonSet, ApiError>,
}

impl Controller {
    /// Writes a `DaemonSet`'s status if it differs and no write or rest is in progress. While actions of the
    /// `DaemonSet` are in progress it rests briefly first, because the current status is about to be outdated.
    pub(super) fn write_status(&mut self, uid: &Text) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let with_conditions = self.parts.status_conditions;
        if managed.status.is_resting || managed.due(&entry.object, with_conditions).is_none() {
            return;
        }
        let status = &mut managed.status;
        if managed.applier.is_busy() {
            status.is_resting = true;
            status.rests_left = 1;
            self.set_timer(Timer::Status(uid.clone()), REST);
        } else {
            self.put_status(uid);
        }
    }

    fn put_status(&mut self, uid: &Text) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let Some(wanted) = managed.due(&entry.object, self.parts.status_conditions) else {
            return;
        };
        let status = &mut managed.status;
        let now = Instant::now();
        let last = status.last_write.replace(now);
        status.rests = match last {
            Some(last) if now.duration_since(last) < QUIET => (status.rests * 2).clamp(1, MOST_RESTS),
            Some(_) | None => 1,
        };
        status.is_resting = true;
        status.moves = managed.applier.is_busy();
        status.written.retain(|before| *before != wanted.counters);
        status.written.push(wanted.counters);
        let forgotten = status.written.len().saturating_sub(MAX_UNCONFIRMED);
        status.written.drain(..forgotten);
        self.parts.metrics.status_write();
        let (api, object, daemon_set) = (self.parts.api.clone(), entry.object.clone(), uid.clone());
        self.calls.spawn(async move {
            let result = write(api, object, wanted).await;
            Answer::Status(Box::new(StatusWritten { daemon_set, result }))
        });
    }

    pub(super) fn status_written(&mut self, written: StatusWritten) {
        let StatusWritten {
            daemon_set: uid,
            result,
        } = written;
        let Some(managed) = self.managed.get_mut(&uid) else {
            return;
        };
        let rest = match result {
            Ok(object) => {
                managed.status.failures = 0;
                let written = &mut managed.status.written;
                written.drain(..written.len().saturating_sub(1));
                managed.status.rests_left = managed.status.rests;
                self.cluster.wrote_daemon_set(object);
                REST
            }
            Err(error) => {
                let failures = managed.status.failures;
                managed.status.failures = failures.saturating_add(1);
                managed.status.rests_left = 1;
                if error.is_not_found() {
                    debug!(%uid, "a DaemonSet was gone before its status could be written");
                } else {
                    warn!(%uid, %error, "a status could not be written");
                }
                error.wait(failures, REST, LONGEST_REST)
            }
        };
        self.set_timer(Timer::Status(uid), rest);
    }

    /// Called when a rest after a write is over. A status that is still changing gets further rests. A status that has
    /// settled for now is written at once, because someone may be waiting for it.
    pub(super) fn rested(&mut self, uid: &Text) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let has_come_to_rest = managed.status.moves && !managed.applier.is_busy();
        let due = managed.due(&entry.object, self.parts.status_conditions);
        let is_complete = managed.progress(&entry.object).is_complete();
        let status = &mut managed.status;
        status.rests_left = status.rests_left.saturating_sub(1);
        match due {
            None if status.rests_left == 0 => status.is_resting = false,
            Some(_) if status.rests_left == 0 || is_complete || has_come_to_rest => {
                self.put_status(uid);
            }
            None | Some(_) => {
                self.set_timer(Timer::Status(uid.clone()), REST);
            }
        }
    }

    /// Rechecks the `DaemonSet`s whose status reports an obstacle: some obstacles end without an event.
    pub(super) fn look_at_troubles(&mut self) {
        let troubled = self.managed.keys().filter(|uid| {
            self.cluster
                .daemon_set(uid)
                .is_some_and(|entry| is_degraded(&entry.object.status))
        });
        let troubled: Vec<_> = troubled.cloned().collect();
        for uid in &troubled {
            self.write_status(uid);
        }
    }
}
