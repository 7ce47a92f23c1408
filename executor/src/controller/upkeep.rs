//! Starts upkeep and handles its end. The planner is told of a `DaemonSet` once its upkeep is in order.

use everynode_render::ErrorChain;
use std::{sync::Arc, time::Duration};

use tracing::{debug, warn};

use super::{Answer, Controller, Timer, managed::Announced};
use crate::{
    actions::apply::Lane,
    apiserver::{events::Kind, failure::ApiError, objects::DaemonSet},
    cluster::Text,
    ownership::upkeep::{Refusal, UpkeepError, Wrote, carry_out, next},
};

const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait after a refusal.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// After this long, what the server refused is retried: its decision may have changed.
const FORGIVEN_AFTER: Duration = Duration::from_mins(1);

/// The end of one piece of upkeep work.
#[derive(Debug)]
pub(super) struct UpkeepEnded {
    daemon_set: Text,
    object: Arc<DaemonSet>,
    failure_reason: &'static str,
    wrote: Wrote,
    result: Result<(), UpkeepError>,
}

impl Controller {
    /// Checks whether a `DaemonSet` needs upkeep, and starts the first piece of work if so.
    pub(super) fn keep_up(&mut self, uid: &Text) {
        let (Some(entry), Some(managed)) = (self.cluster.daemon_set(uid), self.managed.get_mut(uid)) else {
            return;
        };
        if managed.upkeep.is_running || managed.upkeep.is_waiting {
            return;
        }
        let next = next(&self.cluster, entry, &managed.upkeep.refused);
        managed.upkeep.is_held_up = next.is_held_up;
        let object = entry.object.clone();
        if let Some(work) = next.work {
            managed.upkeep.is_running = true;
            let (api, object, daemon_set) = (self.parts.api.clone(), object.clone(), uid.clone());
            debug!(daemon_set = object.key(), ?work, "upkeep");
            self.calls.spawn(async move {
                let failure_reason = work.failure_reason();
                let (wrote, result) = carry_out(api, object.clone(), work).await;
                Answer::Upkeep(Box::new(UpkeepEnded {
                    daemon_set,
                    object,
                    failure_reason,
                    wrote,
                    result,
                }))
            });
        }
        if let Some(revision) = next.revision {
            self.announce(uid, object, revision);
        }
    }

    fn announce(&mut self, uid: &Text, object: Arc<DaemonSet>, revision: String) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        let before = managed.announced.as_ref();
        if before.is_some_and(|before| before.revision == revision && same_spec(&before.object, &object)) {
            return;
        }
        managed.announced = Some(Announced::new(object, revision));
        self.outbox.add_daemon_set(uid.clone());
        // Actions refused for the old template may be accepted for the new one.
        for lane in [Lane::Create, Lane::Delete] {
            self.open_lane(uid, lane);
        }
    }

    pub(super) fn upkeep_ended(&mut self, ended: UpkeepEnded) {
        let UpkeepEnded {
            daemon_set: uid,
            object,
            failure_reason,
            mut wrote,
            result,
        } = ended;
        let is_gone = wrote.is_gone;
        let refused = std::mem::take(&mut wrote.refused);
        self.take_in_writes(wrote);
        self.leave_alone(&uid, &object, failure_reason, refused);
        let Some(managed) = self.managed.get_mut(&uid) else {
            return;
        };
        managed.upkeep.is_running = false;
        let wait = match result {
            Ok(()) if !is_gone => {
                managed.upkeep.failures = 0;
                if managed.upkeep.refused.is_empty() {
                    managed.upkeep.trouble = None;
                }
                self.keep_up(&uid);
                return;
            }
            // The `DaemonSet` is gone, and the watch is about to report it.
            Ok(()) => FIRST_WAIT,
            Err(error) => {
                let failures = managed.upkeep.failures;
                managed.upkeep.failures = failures.saturating_add(1);
                managed.upkeep.trouble = Some(ErrorChain(&error).to_string());
                warn!(daemon_set = object.key(), %error, "upkeep failed");
                let is_news = matches!(&error.source, ApiError::Refused(_)) && !error.source.is_conflict();
                if is_news && !error.source.is_namespace_terminating() {
                    self.parts.events.say(
                        &object,
                        Kind::Warning,
                        failure_reason,
                        "Upkeep",
                        ErrorChain(&error).to_string(),
                    );
                }
                error.source.wait(failures, FIRST_WAIT, LONGEST_WAIT)
            }
        };
        if let Some(managed) = self.managed.get_mut(&uid) {
            managed.upkeep.is_waiting = true;
        }
        self.write_status(&uid);
        self.set_timer(Timer::Upkeep(uid), wait);
    }

    /// Takes in the server's answers at once, before the watch reports the same.
    fn take_in_writes(&mut self, wrote: Wrote) {
        if let Some(object) = wrote.daemon_set {
            self.cluster.wrote_daemon_set(object);
        }
        wrote.pods.iter().for_each(|pod| self.cluster.wrote_pod(pod));
        wrote
            .gone_pods
            .iter()
            .for_each(|pod| self.cluster.deleted_pod(pod, true));
        wrote
            .revisions
            .iter()
            .for_each(|revision| self.cluster.wrote_revision(revision));
        wrote
            .deleted_revisions
            .iter()
            .for_each(|revision| self.cluster.forget_revision(revision));
    }

    /// Skips what the server refused for a while, so that it doesn't hold up the rest.
    fn leave_alone(&mut self, uid: &Text, object: &DaemonSet, reason: &str, refused: Vec<Refusal>) {
        let Some(managed) = self.managed.get_mut(uid).filter(|_| !refused.is_empty()) else {
            return;
        };
        managed
            .upkeep
            .refused
            .extend(refused.iter().map(|refusal| refusal.uid.clone()));
        managed.upkeep.trouble = refused
            .last()
            .map(|refusal| ErrorChain(&refusal.error).to_string());
        for Refusal { error, .. } in refused {
            warn!(daemon_set = object.key(), %error, "left alone for a while");
            // The server finds the owners invalid when somebody else's adoption or release was faster.
            if !error.source.is_invalid() {
                self.parts.events.say(
                    object,
                    Kind::Warning,
                    reason,
                    "Upkeep",
                    ErrorChain(&error).to_string(),
                );
            }
        }
        self.write_status(uid);
        self.set_timer(Timer::Forgive(uid.clone()), FORGIVEN_AFTER);
    }

    /// Retries what was refused.
    pub(super) fn forgive(&mut self, uid: &Text) {
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.upkeep.refused.clear();
            managed.upkeep.trouble = None;
            self.keep_up(uid);
        }
    }

    /// Rechecks the `DaemonSet`s whose old revisions wait for pods to go.
    pub(super) fn keep_up_held_up(&mut self) {
        let held_up = self
            .managed
            .iter()
            .filter(|(_, managed)| managed.upkeep.is_held_up);
        let held_up: Vec<_> = held_up.map(|(uid, _)| uid.clone()).collect();
        for uid in &held_up {
            self.keep_up(uid);
        }
    }

    /// Retries upkeep when the wait after a failure is over.
    pub(super) fn try_upkeep_again(&mut self, uid: &Text) {
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.upkeep.is_waiting = false;
            self.keep_up(uid);
        }
    }
}

/// Whether everything that facts are made from is the same.
fn same_spec(a: &DaemonSet, b: &DaemonSet) -> bool {
    a.metadata.generation == b.metadata.generation && a.metadata.annotations == b.metadata.annotations
}
