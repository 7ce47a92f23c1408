//! Detects another controller that manages the same `DaemonSet`s.
//!
//! Both arrive at the same pods in the end, but on the way each undoes the other's duplicate work. It is nearly always
//! a kube-controller-manager that still runs its own controller. So the executor reports it together with the remedy,
//! once for each `DaemonSet` until an hour (`PEACE`) has passed without a trace.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::Controller;
use crate::{apiserver::events::Kind, cluster::Text, status::differs, telemetry::metrics::RivalWork};

/// After this long without a trace of another controller, the next one is reported again. API servers keep events for
/// as long.
pub(super) const PEACE: Duration = Duration::from_hours(1);

/// The reason in events and conditions.
pub(super) const COMPETING: &str = "CompetingController";

/// Who interferes, and what to do about it.
pub(super) const REMEDY: &str = "by another DaemonSet controller, which works against Everynode: run kube-controller-manager \
                                 with --controllers=*,-daemonset, or stop whatever else controls DaemonSets";

/// A trace that another controller has left.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trace<'t> {
    /// A pod, by name.
    Pod(&'t str),
    /// A status that this executor didn't write.
    Status,
}

impl Controller {
    /// Checks whether a new status was written by somebody else: its counters match none that were written here.
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

    /// Reports that another controller works on a `DaemonSet`, unless that has been reported already.
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
