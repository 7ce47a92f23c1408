//! The planner that a session is open with, and when it is told what.

use std::time::Duration;

use anyhow::bail;
use everynode_proto::planner::v1::SessionRequest;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Controller;
use crate::{
    cluster::{Cluster, Text},
    outbox::Announcement,
};

/// The shortest time between two requests to the planner. The first news after a rest goes out at once; when thousands of pods
/// change in a second, some go together.
const PACE: Duration = Duration::from_millis(10);

/// The planner that a session is open with.
#[derive(Debug)]
pub(super) struct Planner {
    pub(super) requests: mpsc::Sender<SessionRequest>,
    /// Ends the session.
    pub(super) end: CancellationToken,
    pub(super) limit: usize,
    pub(super) version: String,
    pub(super) rules_version: String,
    /// When it was told something.
    pub(super) told: Option<Instant>,
}

impl Controller {
    /// A full sync is complete when what earlier plans began has ended and is among the facts: otherwise the new planner
    /// would ask again for what is just being done.
    pub(super) fn may_complete(&self) -> bool {
        self.managed.values().all(|managed| !managed.applier.is_busy())
    }

    /// When the planner may be told more: at once when it doesn't know everything yet, or when a whole request is waiting.
    pub(super) fn pace(&self) -> Option<Instant> {
        let planner = self.planner.as_ref()?;
        let waits = self.outbox.is_synced() && self.outbox.len() < planner.limit;
        planner.told.filter(|_| waits).map(|told| told + PACE)
    }

    pub(super) fn tell(&mut self, permit: mpsc::OwnedPermit<SessionRequest>, may_complete: bool) {
        let Some(planner) = &mut self.planner else { return };
        planner.told = Some(Instant::now());
        let managed = &self.managed;
        let announce = |cluster: &Cluster, uid: &Text| match (cluster.daemon_set(uid), managed.get(uid)) {
            (None, _) => Announcement::Gone,
            (Some(_), Some(managed)) => managed.announcement(),
            (Some(_), None) => Announcement::NotYet,
        };
        let was_synced = self.outbox.is_synced();
        if let Some(request) =
            self.outbox
                .next_request(&mut self.cluster, announce, planner.limit, may_complete)
        {
            self.parts.metrics.facts(request.facts.len());
            if was_synced {
                self.latency.told(request.sequence, !self.outbox.is_empty());
            }
            permit.send(request);
        }
        if self.outbox.is_synced() && !was_synced {
            self.parts.health.planner_synced();
            self.parts.metrics.full_sync();
            // What is told of from now on are changes.
            self.latency.forget();
            info!("the planner has been told everything");
            self.planner_changed();
        }
    }
}

/// Waits until the planner may be told more, and there is room for it.
///
/// # Errors
/// There is no session, or not any more.
pub(super) async fn reserve<T>(
    sender: Option<mpsc::Sender<T>>,
    pace: Option<Instant>,
) -> anyhow::Result<mpsc::OwnedPermit<T>> {
    match sender {
        Some(sender) => {
            if let Some(pace) = pace {
                tokio::time::sleep_until(pace).await;
            }
            Ok(sender.reserve_owned().await?)
        }
        None => bail!("no session"),
    }
}
