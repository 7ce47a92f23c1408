//! Statuses as they are written: one write of a `DaemonSet` at a time, with a short rest after each, so that of many
//! changes in a rollout only some are written and always the last.

use std::time::Duration;

use tracing::{debug, warn};

use super::{Answer, Controller, Timer};
use crate::{
    api::ApiError,
    cluster::Text,
    status::{differs, write},
    watch::DaemonSet,
};

/// The rest between two writes of the same status. Faster than anyone reads, slower than a burst of creations.
const REST: Duration = Duration::from_millis(100);
/// How many writes without an answer are remembered.
const MAX_UNCONFIRMED: usize = 16;
/// The longest wait after failures.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// A write's end.
#[derive(Debug)]
pub(super) struct StatusWritten {
    daemon_set: Text,
    result: Result<DaemonSet, ApiError>,
}

impl Controller {
    /// Writes a `DaemonSet`'s status, if it differs and nothing is being written.
    pub(super) fn write_status(&mut self, uid: &Text) {
        let Some(managed) = self
            .managed
            .get_mut(uid)
            .filter(|managed| !managed.status.is_resting)
        else {
            return;
        };
        let Some(entry) = self.cluster.daemon_set(uid) else {
            return;
        };
        let Some(wanted) = managed
            .status
            .wanted
            .filter(|wanted| differs(wanted, &entry.object.status))
        else {
            return;
        };
        managed.status.is_resting = true;
        let written = &mut managed.status.written;
        written.retain(|before| *before != wanted);
        written.push(wanted);
        let forgotten = written.len().saturating_sub(MAX_UNCONFIRMED);
        written.drain(..forgotten);
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
                self.cluster.wrote_daemon_set(object);
                REST
            }
            Err(error) => {
                let failures = managed.status.failures;
                managed.status.failures = failures.saturating_add(1);
                if error.is_not_found() {
                    debug!(%uid, "a DaemonSet was gone before its status could be written");
                } else {
                    warn!(%uid, %error, "a status could not be written");
                }
                REST.saturating_mul(1 << failures.min(16)).min(LONGEST_REST)
            }
        };
        self.set_timer(Timer::Status(uid), rest);
    }

    /// The rest after a write is over.
    pub(super) fn rested(&mut self, uid: &Text) {
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.status.is_resting = false;
            self.write_status(uid);
        }
    }
}
