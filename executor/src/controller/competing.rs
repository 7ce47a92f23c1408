//! Detects another controller that manages the same `DaemonSet`s.
//!
//! Both controllers converge to the same pods, but on the way each undoes duplicate work of the other. The other
//! controller is nearly always a kube-controller-manager that still runs its own `DaemonSet` controller. The executor
//! reports it together with the remedy, once for each `DaemonSet` until an hour (`QUIET_PERIOD`) has passed without a
//! trace.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::Controller;
use crate::{
    apiserver::events::EventType, cluster::SharedStr, status::counters_differ,
    telemetry::metrics::CompetitorWork,
};

/// After this long without a trace of another controller, the next trace is reported again. API servers keep events for
/// the same time by default.
pub(super) const QUIET_PERIOD: Duration = Duration::from_hours(1);

/// The reason in events and conditions.
pub(super) const COMPETING_CONTROLLER: &str = "CompetingController";

/// The end of a message: who interferes, and what to do about it.
pub(super) const REMEDY: &str = "by another DaemonSet controller, which conflicts with Everynode; run kube-controller-manager \
                                 with --controllers=*,-daemonset, or stop the other controller";

/// A trace that another controller has left.
#[derive(Debug, Clone, Copy)]
pub(super) enum CompetitorTrace<'t> {
    /// A pod, by name.
    Pod(&'t str),
    /// A status that this executor didn't write.
    Status,
}

impl Controller {
    /// Checks whether another controller has written a status: its counters match none that this executor wrote.
    pub(super) fn check_status_writer(&mut self, uid: &SharedStr) {
        let (Some(managed), Some(entry)) = (self.managed.get(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let written = &managed.status.written;
        let is_foreign = |status| written.iter().all(|written| counters_differ(written, status));
        if !written.is_empty() && is_foreign(&entry.object.status) {
            self.report_competitor(uid, CompetitorTrace::Status);
        }
    }

    /// Reports that another controller works on a `DaemonSet`, unless that has been reported already.
    pub(super) fn report_competitor(&mut self, uid: &SharedStr, trace: CompetitorTrace<'_>) {
        let (Some(managed), Some(entry)) = (self.managed.get_mut(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        let now = Instant::now();
        let before = managed.competitor_seen.replace(now);
        let (work, what) = match trace {
            CompetitorTrace::Pod(name) => (CompetitorWork::Pod, format!("the pod {name} was created")),
            CompetitorTrace::Status => (CompetitorWork::Status, "the status was overwritten".to_owned()),
        };
        self.config.metrics.competitor_seen(work);
        if before.is_some_and(|before| now.duration_since(before) < QUIET_PERIOD) {
            return;
        }
        let object = entry.object.clone();
        let note = format!("{what} {REMEDY}");
        let daemon_set = format!("{}/{}", object.metadata.namespace, object.metadata.name);
        warn!(daemon_set, note, "another controller manages this DaemonSet");
        let events = &mut self.config.events;
        events.record(&object, EventType::Warning, COMPETING_CONTROLLER, "Watch", note);
        self.write_status(uid);
    }
}
