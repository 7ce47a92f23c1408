//! The event loop that owns all state.
//!
//! One task owns all state, so there are no locks to reason about, and events happen in one order. Calls to the API
//! server run in tasks of their own and hand their results back to the loop.

mod actions;
mod announcement;
mod competing;
mod config;
mod digest;
mod latency;
mod managed;
mod planner;
mod plans;
mod queries;
mod queue_lengths;
mod rollouts;
mod spans;
mod status;
mod term;
mod upkeep;
mod violations;

use std::{collections::HashMap, time::Duration};

use futures::StreamExt;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::{
    sync::CancellationToken,
    time::{DelayQueue, delay_queue},
};
use tracing::info;

pub(crate) use self::config::{ControllerConfig, ControllerError};
use self::{
    actions::FinishedAction,
    competing::CompetitorTrace,
    latency::Latency,
    managed::ManagedDaemonSet,
    planner::{FullSync, PlannerSession, SyncAnswer, reserve},
    rollouts::{
        FinishedRolloutWrite,
        policies::{FinishedPolicyWrite, PolicyState},
    },
    status::FinishedStatusWrite,
    term::{Term, next_session_event},
    upkeep::FinishedUpkeep,
};
use crate::{
    actions::queue::Lane,
    apiserver::{failure::ApiError, watch::ReceivedChange},
    cluster::{Cluster, SharedStr, Touched},
    live_view::event_bus::EventBus,
    planner::{outbox::Outbox, session},
    telemetry::health::HEARTBEAT,
};

/// Maximum number of changes that the loop applies before it handles another kind of event.
const CHANGES_PER_TURN: usize = 1_000;
/// Maximum duration of a timer.
const LONGEST_TIMER: Duration = Duration::from_hours(1);

/// The state of the loop.
#[derive(Debug)]
pub(crate) struct Controller {
    config: ControllerConfig,
    cluster: Cluster,
    outbox: Outbox,
    term: Option<Term>,
    planner: Option<PlannerSession>,
    /// Number of sessions that have ended. An action belongs to the session whose plan requested it.
    session: u64,
    managed: HashMap<SharedStr, ManagedDaemonSet>,
    /// What the planner says of rollout policies, by their uids.
    policies: HashMap<SharedStr, PolicyState>,
    calls: JoinSet<CallResult>,
    timers: DelayQueue<Timer>,
    event_bus: EventBus,
    latency: Latency,
    /// Cancels calls that are still retrying when the program stops or the term ends.
    stop: CancellationToken,
}

/// The result of a call.
#[derive(Debug)]
enum CallResult {
    Action(Box<FinishedAction>),
    Upkeep(Box<FinishedUpkeep>),
    Status(Box<FinishedStatusWrite>),
    Rollout(Box<FinishedRolloutWrite>),
    Policy(Box<FinishedPolicyWrite>),
    /// The lookup of a pod that the watch should have reported.
    PodLookup(SharedStr, Box<Result<everynode_proto::facts::Pod, ApiError>>),
}

/// What to do when a timer fires.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Timer {
    /// Tell the planner that time has passed.
    Reconsider(SharedStr),
    /// Open a lane of a `DaemonSet`'s actions again.
    OpenLane(SharedStr, Lane),
    /// Report actions of unknown kinds as failed.
    FailUnknownActions(SharedStr),
    /// Retry upkeep that failed.
    RetryUpkeep(SharedStr),
    /// Retry adoptions and releases that the server refused.
    RetryRefused(SharedStr),
    /// Write a status whose pause is over.
    WriteStatus(SharedStr),
    /// Write the status of a `DaemonSet`'s rollout whose pause is over.
    WriteRollout(SharedStr),
    /// Write the status of a rollout policy whose pause is over.
    WritePolicy(SharedStr),
}

impl Controller {
    /// Creates a controller with empty caches.
    pub(crate) fn new(config: ControllerConfig) -> Self {
        Self {
            outbox: Outbox::new(config.clock.clone()),
            config,
            cluster: Cluster::default(),
            term: None,
            planner: None,
            session: 0,
            managed: HashMap::new(),
            policies: HashMap::new(),
            calls: JoinSet::new(),
            timers: DelayQueue::new(),
            event_bus: EventBus::default(),
            latency: Latency::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Runs until `shutdown` is cancelled, then lets the calls in progress end.
    ///
    /// # Errors
    /// Something that must never end has ended.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), ControllerError> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        self.follow_leadership();
        loop {
            let may_complete = self.may_complete_sync();
            let requests = self.planner.as_ref().map(|planner| planner.requests.clone());
            let is_due = self.cluster.is_synced() && self.outbox.is_due(may_complete);
            let earliest_send = self.earliest_send();
            tokio::select! {
                () = shutdown.cancelled() => break,
                change = self.config.changes.recv() => self.apply_changes(change.ok_or(ControllerError::WatchesEnded)?),
                changed = self.config.leadership.changed() => changed.map_err(|_| ControllerError::ElectionEnded)?,
                event = next_session_event(&mut self.term) => self.on_session_event(event.ok_or(ControllerError::SessionsEnded)?),
                Some(result) = self.calls.join_next() => self.on_call_finished(result.map_err(ControllerError::Call)?),
                Some(query) = self.config.queries.recv() => self.answer(query),
                Some(timer) = self.timers.next() => self.on_timer(timer.into_inner()),
                Some(permit) = reserve(requests, earliest_send), if is_due => self.send_facts(permit, may_complete),
                _ = heartbeat.tick() => self.on_heartbeat(),
            }
            self.follow_leadership();
            self.process_changes();
        }
        self.stop.cancel();
        info!(
            calls = self.calls.len(),
            "stopping; waiting for calls in progress"
        );
        while self.calls.join_next().await.is_some() {}
        Ok(())
    }

    fn apply_changes(&mut self, first: ReceivedChange) {
        self.latency.on_applied(first.at);
        self.cluster.apply(first.change);
        self.apply_pending_changes(CHANGES_PER_TURN - 1);
    }

    /// Applies changes that have already been read, at most `most` of them.
    fn apply_pending_changes(&mut self, most: usize) {
        for _ in 0..most {
            match self.config.changes.try_recv() {
                Ok(next) => self.cluster.apply(next.change),
                Err(_) => break,
            }
        }
    }

    fn on_session_event(&mut self, event: session::Event) {
        match event {
            session::Event::Opened {
                requests,
                limits,
                accepts_syncs,
                has_availability,
                knows_rollouts,
                planner_version,
                rules_version,
                end,
            } => {
                self.planner = Some(PlannerSession {
                    requests,
                    limits,
                    end,
                    has_availability,
                    knows_rollouts,
                    version: planner_version,
                    rules_version,
                    last_sent: None,
                    sync: FullSync::new(accepts_syncs),
                });
                self.config.metrics.on_session_opened();
                self.config.health.on_session_opened();
                for managed in self.managed.values_mut() {
                    managed.available_at = None;
                }
                self.outbox.restart(session::HELLO_SEQUENCE, knows_rollouts);
                self.cluster.touch_all();
                self.latency.reset();
                self.publish_planner_change();
            }
            // Messages that were still on their way when the session was closed are ignored.
            session::Event::Plan(_)
            | session::Event::PolicyStatus(_)
            | session::Event::Problem(_)
            | session::Event::SyncAccepted(_)
                if self.planner.is_none() => {}
            session::Event::SyncAccepted(sequence) => self.on_sync_answer(SyncAnswer::Accepted(sequence)),
            session::Event::Plan(plan) => {
                self.on_sync_answer(SyncAnswer::Plan(plan.based_on));
                self.accept_plan(*plan);
            }
            session::Event::PolicyStatus(status) => self.accept_policy_status(*status),
            session::Event::Problem(problem) => self.log_problem(problem),
            session::Event::Lost => self.close_session(),
        }
    }

    /// Closes the session, if there is one. Actions of its plans that haven't started are dropped.
    fn close_session(&mut self) {
        let Some(planner) = self.planner.take() else {
            return;
        };
        planner.end.cancel();
        self.session += 1;
        self.config.metrics.on_session_ended();
        self.config.health.on_session_ended();
        self.drop_plans();
        self.publish_planner_change();
    }

    fn on_call_finished(&mut self, result: CallResult) {
        match result {
            CallResult::Action(ended) => self.on_action_finished(*ended),
            CallResult::Upkeep(ended) => self.on_upkeep_finished(*ended),
            CallResult::Status(written) => self.on_status_written(*written),
            CallResult::Rollout(written) => self.on_rollout_written(*written),
            CallResult::Policy(written) => self.on_policy_written(*written),
            CallResult::PodLookup(uid, lookup) => match *lookup {
                Ok(pod) if pod.metadata.uid == *uid => self.cluster.pods_mut().confirm(&uid),
                Err(error) if !error.is_not_found() => {}
                Ok(_) | Err(_) => self.cluster.apply_pod_deletion(&uid, true),
            },
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Reconsider(uid) => {
                if let Some(managed) = self.managed.get_mut(&uid) {
                    managed.reconsider = None;
                    self.outbox.add_time_update();
                }
            }
            Timer::OpenLane(uid, lane) => self.open_lane(&uid, lane),
            Timer::FailUnknownActions(uid) => self.fail_unknown_actions(&uid),
            Timer::RetryUpkeep(uid) => self.retry_upkeep(&uid),
            Timer::RetryRefused(uid) => self.retry_refused(&uid),
            Timer::WriteStatus(uid) => self.on_status_timer(&uid),
            Timer::WriteRollout(uid) => self.on_rollout_timer(&uid),
            Timer::WritePolicy(uid) => self.on_policy_timer(&uid),
        }
    }

    /// Acts on all changes since the last call.
    fn process_changes(&mut self) {
        if !self.cluster.is_synced() {
            self.latency.reset();
            return;
        }
        self.config.health.on_watches_synced();
        if self.term.is_none() {
            // At the start of a term everything is processed, so earlier changes can be dropped.
            self.cluster.touched = Touched::default();
            self.latency.reset();
            return;
        }
        let changed: Vec<_> = self.cluster.touched.daemon_sets.iter().cloned().collect();
        for uid in changed {
            if self.cluster.daemon_set(&uid).is_some() {
                // The server may accept for the new spec what it refused for the old one.
                let upkeep = &mut self.managed_mut(&uid).upkeep;
                upkeep.refused.clear();
                upkeep.last_error = None;
            } else {
                self.forget_daemon_set(&uid);
            }
        }
        // This corrects statuses that somebody else has overwritten. After this executor's own write it does nothing.
        let written = std::mem::take(&mut self.cluster.touched.statuses);
        for uid in &written {
            self.check_status_writer(uid);
            self.write_status(uid);
        }
        let competitor_pods = std::mem::take(&mut self.cluster.touched.competitor_pods);
        for (uid, pod) in &competitor_pods {
            self.report_competitor(uid, CompetitorTrace::Pod(pod));
        }
        let due = std::mem::take(&mut self.cluster.touched.upkeep);
        due.iter().for_each(|uid| self.reconcile_ownership(uid));
        self.on_rollouts_changed();
        self.latency.on_processed(self.cluster.touched.has_facts());
        self.outbox.add(&mut self.cluster.touched);
    }

    fn managed_mut(&mut self, uid: &SharedStr) -> &mut ManagedDaemonSet {
        let stop = &self.stop;
        self.managed
            .entry(uid.clone())
            .or_insert_with(|| ManagedDaemonSet::new(stop.child_token()))
    }

    fn forget_daemon_set(&mut self, uid: &SharedStr) {
        if let Some(managed) = self.managed.remove(uid) {
            if let Some(announced) = &managed.announced {
                self.config.metrics.forget_daemon_set(announced.names());
            }
            // Cancel its calls: the garbage collector would delete what they create.
            managed.stop.cancel();
            if let Some(key) = managed.reconsider {
                self.timers.try_remove(&key);
            }
        }
        self.config.events.forget(uid);
    }

    /// Does periodic work.
    fn on_heartbeat(&mut self) {
        self.config.health.on_heartbeat();
        self.config.metrics.set_queue_lengths(&self.queue_lengths());
        // Timers and plans use different clocks. Even if the clocks drift apart, this bounds how late a plan can be.
        self.outbox.add_time_update();
        self.on_sync_answer(SyncAnswer::None);
        self.recheck_blocked_upkeep();
        self.recheck_unsettled_histories();
        self.recheck_degraded();
        self.review_rollouts();
        for uid in self.cluster.pods().overdue(Instant::now()) {
            let Some(pod) = self.cluster.pods().get(&uid) else {
                continue;
            };
            let (api, namespace, name) = (self.config.api.clone(), pod.namespace.clone(), pod.name.clone());
            self.calls.spawn(async move {
                let lookup = api.get_pod(&namespace, &name).await;
                CallResult::PodLookup(uid, Box::new(lookup))
            });
        }
    }

    fn set_timer(&mut self, timer: Timer, after: Duration) -> delay_queue::Key {
        // The queue rejects durations of years. A handler that runs early checks again.
        self.timers.insert(timer, after.min(LONGEST_TIMER))
    }
}

#[cfg(test)]
pub(crate) mod tests;
