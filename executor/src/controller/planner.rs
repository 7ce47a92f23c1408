//! Sends facts in the open session with the planner, and tracks the full sync.

use std::time::Duration;

use everynode_proto::planner::v1::{Fact, SessionRequest, fact::Fact as Kind};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Controller, announcement::announcement};
use crate::{
    apiserver::events::EventType,
    cluster::{Cluster, SharedStr},
    live_view::view::phrases,
    planner::outbox::{Announcement, Object, RequestLimits, TooLarge},
};

/// Minimum time between two requests to the planner. The first change after a quiet period is sent immediately. When
/// thousands of pods change in a second, several changes share a request.
const MIN_SEND_INTERVAL: Duration = Duration::from_millis(10);
/// Reason in events and conditions when a `DaemonSet` is too large to be sent to the planner.
pub(super) const TOO_LARGE: &str = "ObjectTooLarge";

/// The open session with the planner.
#[derive(Debug)]
pub(super) struct PlannerSession {
    pub(super) requests: mpsc::Sender<SessionRequest>,
    /// Ends the session.
    pub(super) end: CancellationToken,
    pub(super) limits: RequestLimits,
    /// Whether the planner's plans report the availability of pods.
    pub(super) has_availability: bool,
    /// Whether the planner knows rollout policies.
    pub(super) knows_rollouts: bool,
    pub(super) version: String,
    pub(super) rules_version: String,
    /// When the last request was sent.
    pub(super) last_sent: Option<Instant>,
    /// State of the session's full sync.
    pub(super) sync: FullSync,
}

/// How long a session must last after the full sync was sent before the sync counts as accepted. This applies to
/// planners of releases that don't confirm the sync. A planner that refuses a request ends the session within a round
/// trip.
const MIN_SESSION_AFTER_SYNC: Duration = Duration::from_secs(10);

/// A session's full sync, from the first fact until the planner has accepted it.
#[derive(Debug)]
pub(super) struct FullSync {
    /// Whether the planner confirms the sync.
    has_confirmation: bool,
    /// Whether a `DaemonSet` has been sent. The planner answers each with a plan.
    has_daemon_set: bool,
    /// The sequence of the request that completed the sync, and when that request was sent.
    sent: Option<(u64, Instant)>,
    is_accepted: bool,
}

/// The planner's possible answers to a full sync.
#[derive(Debug, Clone, Copy)]
pub(super) enum SyncAnswer {
    /// The planner has accepted everything up to this request.
    Accepted(u64),
    /// A plan based on everything up to this request.
    Plan(u64),
    /// No answer yet.
    None,
}

impl FullSync {
    /// Creates a full sync that has not begun. `has_confirmation` says whether the planner confirms that it has
    /// accepted the sync.
    pub(super) fn new(has_confirmation: bool) -> Self {
        Self {
            has_confirmation,
            has_daemon_set: false,
            sent: None,
            is_accepted: false,
        }
    }

    /// Whether the planner has accepted the sync.
    pub(super) fn is_accepted(&self) -> bool {
        self.is_accepted
    }

    /// Records that these facts have been sent.
    fn on_sent(&mut self, facts: &[Fact]) {
        let is_daemon_set = |fact: &Fact| matches!(fact.fact, Some(Kind::DaemonSetChanged(_)));
        self.has_daemon_set = self.has_daemon_set || facts.iter().any(is_daemon_set);
    }

    /// Records that the request with this sequence completes the sync.
    fn on_complete(&mut self, sequence: u64) {
        self.sent = Some((sequence, Instant::now()));
    }

    /// Whether this answer means that the planner has accepted the full sync.
    ///
    /// Planners of earlier releases don't confirm the sync. They make a plan for each `DaemonSet` once the sync is
    /// complete, so their first plan means the same. A sync without a `DaemonSet` counts as accepted when it is sent.
    /// If the planner makes no plan because it can't use any `DaemonSet`, the sync counts as accepted after
    /// `MIN_SESSION_AFTER_SYNC`: a refusal would have ended the session.
    fn is_accepted_by(&self, answer: SyncAnswer) -> bool {
        let Some((complete, sent)) = self.sent.filter(|_| !self.is_accepted) else {
            return false;
        };
        match answer {
            SyncAnswer::Accepted(sequence) => sequence >= complete,
            SyncAnswer::Plan(based_on) => !self.has_confirmation && based_on >= complete,
            SyncAnswer::None => {
                !self.has_confirmation && (!self.has_daemon_set || sent.elapsed() >= MIN_SESSION_AFTER_SYNC)
            }
        }
    }
}

impl Controller {
    /// Whether a full sync may complete: only when every action that an earlier plan started has ended and its result
    /// is among the facts. Otherwise, the new planner would request actions that are already in progress.
    pub(super) fn may_complete_sync(&self) -> bool {
        self.managed.values().all(|managed| !managed.actions.is_busy())
    }

    /// The earliest time at which the next request may be sent. `None` means immediately: during a full sync, or when
    /// enough facts for a full request are waiting.
    pub(super) fn earliest_send(&self) -> Option<Instant> {
        let planner = self.planner.as_ref()?;
        let must_wait = self.outbox.is_synced() && self.outbox.len() < planner.limits.facts;
        planner
            .last_sent
            .filter(|_| must_wait)
            .map(|last_sent| last_sent + MIN_SEND_INTERVAL)
    }

    pub(super) fn send_facts(&mut self, permit: mpsc::OwnedPermit<SessionRequest>, may_complete: bool) {
        let Some(planner) = &mut self.planner else { return };
        planner.last_sent = Some(Instant::now());
        let (managed, knows_rollouts) = (&self.managed, planner.knows_rollouts);
        let announce = |cluster: &Cluster, uid: &SharedStr| match (cluster.daemon_set(uid), managed.get(uid))
        {
            (None, _) => Announcement::Gone,
            (Some(entry), Some(managed)) => announcement(cluster, entry, managed, knows_rollouts),
            (Some(_), None) => Announcement::NotYet,
        };
        let was_synced = self.outbox.is_synced();
        let next = self
            .outbox
            .next_request(&mut self.cluster, announce, planner.limits, may_complete);
        let mut changed = Vec::new();
        if let Some(request) = next.request {
            self.config.metrics.facts(request.facts.len());
            if was_synced {
                self.latency.on_sent(request.sequence, !self.outbox.is_empty());
            } else {
                planner.sync.on_sent(&request.facts);
                if self.outbox.is_synced() {
                    planner.sync.on_complete(request.sequence);
                    // From here on, the facts are changes.
                    self.latency.reset();
                    info!("full sync sent; waiting for the planner to accept it");
                }
            }
            changed = self.clear_too_large(&request.facts);
            self.continue_merges(&request.facts);
            permit.send(request);
        }
        changed.extend(self.report_too_large(next.too_large));
        for uid in &changed {
            self.write_status(uid);
        }
        self.on_sync_answer(SyncAnswer::None);
    }

    /// Handles a possible answer to the full sync. This executor becomes ready when the planner has accepted the sync.
    pub(super) fn on_sync_answer(&mut self, answer: SyncAnswer) {
        let Some(planner) = &mut self.planner else { return };
        if !planner.sync.is_accepted_by(answer) {
            return;
        }
        planner.sync.is_accepted = true;
        self.config.health.on_sync_accepted();
        self.config.metrics.full_sync();
        info!("planner accepted the full sync");
        self.publish_planner_change();
    }

    /// Records that the `DaemonSet`s among these facts are not too large. Returns those that were too large before.
    fn clear_too_large(&mut self, facts: &[Fact]) -> Vec<SharedStr> {
        let mut changed = Vec::new();
        for fact in facts {
            let Some(Kind::DaemonSetChanged(facts)) = &fact.fact else {
                continue;
            };
            let managed = self.managed.get_mut(facts.uid.as_str());
            if managed.is_some_and(|managed| managed.too_large.take().is_some()) {
                changed.push(facts.uid.as_str().into());
            }
        }
        changed
    }

    /// Reports objects that are too large to be sent to the planner. Returns the `DaemonSet`s among them.
    fn report_too_large(&mut self, too_large: Vec<TooLarge>) -> Vec<SharedStr> {
        let mut daemon_sets = Vec::new();
        for TooLarge {
            object,
            bytes,
            limit,
            is_new,
        } in too_large
        {
            let uid = match object {
                Object::Node(name) => {
                    if is_new {
                        warn!(node = %name, bytes, limit, "node is too large for the planner; left out");
                    }
                    continue;
                }
                Object::Pod(uid) => {
                    if is_new {
                        warn!(pod = %uid, bytes, limit, "pod is too large for the planner; left out");
                    }
                    continue;
                }
                Object::DaemonSet(uid) => uid,
                Object::Policy(uid) => {
                    warn!(policy = %uid, bytes, limit, "rollout policy is too large for the planner; left out");
                    continue;
                }
                Object::Namespace(name) => {
                    warn!(namespace = %name, bytes, limit, "namespace is too large for the planner; left out");
                    continue;
                }
                Object::Rollout(uid) => {
                    warn!(daemon_set_uid = %uid, bytes, limit, "rollout is too large for the planner; left out");
                    continue;
                }
            };
            let (Some(managed), Some(entry)) = (self.managed.get_mut(&uid), self.cluster.daemon_set(&uid))
            else {
                continue;
            };
            let message = phrases::too_large(bytes, limit);
            managed.too_large = Some(message.clone());
            if is_new {
                let object = entry.object.clone();
                warn!(
                    daemon_set = object.key(),
                    bytes, limit, "DaemonSet is too large for the planner; left out"
                );
                self.config
                    .events
                    .record(&object, EventType::Warning, TOO_LARGE, "Plan", message);
            }
            daemon_sets.push(uid);
        }
        daemon_sets
    }
}

/// Waits until the next request may be sent and the channel has capacity for it. Returns `None` if there is no session
/// or the session has ended.
pub(super) async fn reserve<T>(
    sender: Option<mpsc::Sender<T>>,
    earliest: Option<Instant>,
) -> Option<mpsc::OwnedPermit<T>> {
    let sender = sender?;
    if let Some(earliest) = earliest {
        tokio::time::sleep_until(earliest).await;
    }
    sender.reserve_owned().await.ok()
}
