//! Another controller that takes itself to be in charge of the same `DaemonSet`s.
//!
//! Both come to the same pods in the end, each undoing on the way what the other has done twice. It is nearly always a
//! kube-controller-manager that still runs its own controller, so this is said, with what to do about it: once for each
//! `DaemonSet`, until there has been peace for a while.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::Controller;
use crate::{cluster::Text, events::Kind, metrics::RivalWork, status::differs};

/// After so long without a trace of another controller, the next one is news again: as long as the API server keeps events.
pub(super) const PEACE: Duration = Duration::from_hours(1);

/// What it is called in events and conditions.
pub(super) const COMPETING: &str = "CompetingController";

/// Who does it, and what to do about it.
pub(super) const REMEDY: &str = "by another DaemonSet controller, which works against Everynode: run kube-controller-manager \
                                 with --controllers=*,-daemonset, or stop whatever else controls DaemonSets";

/// What another controller has left behind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trace<'t> {
    /// A pod, by name.
    Pod(&'t str),
    /// A status other than ours.
    Status,
}

impl Controller {
    /// Looks whether a status that has come in is somebody else's: its counters are none that were written here.
    pub(super) fn look_at_status(&mut self, uid: &Text) {
        let (Some(managed), Some(entry)) = (self.managed.get(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let written = &managed.status.written;
        let is_foreign = |status| written.iter().all(|written| differs(written, status));
        if !written.is_empty() && is_foreign(&entry.object.status) {
            self.rival(uid, Trace::Status);
        }
    }

    /// Says that another controller is at work on a `DaemonSet`, unless it has been said.
    pub(super) fn rival(&mut self, uid: &Text, trace: Trace<'_>) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let now = Instant::now();
        let before = managed.rival_seen.replace(now);
        let (work, what) = match trace {
            Trace::Pod(name) => (RivalWork::Pod, format!("the pod {name} was created")),
            Trace::Status => (RivalWork::Status, "the status was overwritten".to_owned()),
        };
        self.parts.metrics.rival(work);
        if before.is_some_and(|before| now.duration_since(before) < PEACE) {
            return;
        }
        let object = entry.object.clone();
        let note = format!("{what} {REMEDY}");
        let daemon_set = format!("{}/{}", object.metadata.namespace, object.metadata.name);
        warn!(daemon_set, "{note}");
        let events = &mut self.parts.events;
        events.say(&object, Kind::Warning, COMPETING, "Watch", note);
        self.write_status(uid);
    }
}
