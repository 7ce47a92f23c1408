//! The loop that everything runs in.
//!
//! One task owns all state, so there are no locks to reason about, and events happen in one order. Calls to the API
//! server run beside the loop and hand their answers back to it.

mod actions;
mod digest;
mod latency;
mod managed;
mod news;
mod planner;
mod plans;
pub mod questions;
mod rivals;
mod spans;
mod status;
mod term;
mod upkeep;
mod violations;
mod waiting;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use futures::StreamExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::{
    sync::CancellationToken,
    time::{DelayQueue, delay_queue},
};
use tracing::info;

use self::{
    actions::ActionEnded,
    latency::Latency,
    managed::Managed,
    news::News,
    planner::{FullSync, Planner, SyncAnswer, reserve},
    questions::Question,
    rivals::Trace,
    status::StatusWritten,
    term::{Term, brought},
    upkeep::UpkeepEnded,
};
use crate::{
    api::Api,
    apply::Lane,
    cluster::{Cluster, Text, Touched},
    events::Events,
    failure::ApiError,
    health::{HEARTBEAT, Health},
    leadership::Leadership,
    metrics::Metrics,
    outbox::Outbox,
    session::{self, Opener},
    watch::Read,
};

/// Number of changes that are processed before anything else gets its turn.
const CHANGES_AT_ONCE: usize = 1_000;
/// The longest time that a timer can be set for.
const LONGEST_TIMER: Duration = Duration::from_hours(1);

/// Everything that the controller works with.
#[derive(Debug)]
pub struct Parts {
    /// The API server.
    pub api: Api,
    /// Where events go.
    pub events: Events,
    /// The health that the admin port reports.
    pub health: Arc<Health>,
    /// The metrics of the executor.
    pub metrics: Arc<Metrics>,
    /// Events from the watches.
    pub changes: mpsc::Receiver<Read>,
    /// The current leader. This executor has a session and writes anything only while it leads.
    pub leadership: watch::Receiver<Leadership>,
    /// Opens the sessions of a term.
    pub opener: Opener,
    /// Whether statuses get conditions. If not, existing ones are removed.
    pub status_conditions: bool,
    /// Questions about what the controller knows.
    pub questions: mpsc::Receiver<Question>,
}

/// The state of the loop.
#[derive(Debug)]
pub struct Controller {
    parts: Parts,
    cluster: Cluster,
    outbox: Outbox,
    term: Option<Term>,
    planner: Option<Planner>,
    /// Number of sessions that have ended. Actions belong to the session that asked for them.
    session: u64,
    managed: HashMap<Text, Managed>,
    calls: JoinSet<Answer>,
    timers: DelayQueue<Timer>,
    news: News,
    latency: Latency,
    /// Ends calls that are still retrying when the program stops or the term ends.
    stop: CancellationToken,
}

/// The result of a call.
#[derive(Debug)]
enum Answer {
    Action(Box<ActionEnded>),
    Upkeep(Box<UpkeepEnded>),
    Status(Box<StatusWritten>),
    /// A pod that the watch should have reported has been looked up.
    Looked(Text, Box<Result<everynode_proto::facts::Pod, ApiError>>),
}

/// The reason for a timer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Timer {
    /// The planner wants to know that time has passed.
    Reconsider(Text),
    /// A lane of a `DaemonSet`'s actions opens again.
    Open(Text, Lane),
    /// Actions of kinds that this executor doesn't know have been kept long enough.
    GiveBack(Text),
    /// Upkeep that failed is retried.
    Upkeep(Text),
    /// Adoptions and releases that the server refused to a `DaemonSet` may be retried.
    Forgive(Text),
    /// A status may be written again.
    Status(Text),
}

impl Controller {
    /// A controller that knows nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            cluster: Cluster::default(),
            outbox: Outbox::default(),
            term: None,
            planner: None,
            session: 0,
            managed: HashMap::new(),
            calls: JoinSet::new(),
            timers: DelayQueue::new(),
            news: News::default(),
            latency: Latency::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Runs until `shutdown` is cancelled, then lets the calls in progress end.
    ///
    /// # Errors
    /// Something that must never end has ended.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        self.follow_leadership();
        loop {
            let may_complete = self.may_complete();
            let requests = self.planner.as_ref().map(|planner| planner.requests.clone());
            let is_due = self.cluster.is_synced() && self.outbox.is_due(may_complete);
            let pace = self.pace();
            tokio::select! {
                () = shutdown.cancelled() => break,
                change = self.parts.changes.recv() => self.take_in(change.context("the watches have ended")?),
                changed = self.parts.leadership.changed() => changed.context("the election has ended")?,
                event = brought(&mut self.term) => self.hear(event.context("the session's task has ended")?),
                Some(answer) = self.calls.join_next() => self.hear_back(answer.context("a call failed")?),
                Some(question) = self.parts.questions.recv() => self.answer(question),
                Some(timer) = self.timers.next() => self.time(timer.into_inner()),
                Ok(permit) = reserve(requests, pace), if is_due => self.tell(permit, may_complete),
                _ = heartbeat.tick() => self.look_after(),
            }
            self.follow_leadership();
            self.settle();
        }
        self.stop.cancel();
        info!(
            calls = self.calls.len(),
            "executor stops when the calls in progress have ended"
        );
        while self.calls.join_next().await.is_some() {}
        Ok(())
    }

    fn take_in(&mut self, first: Read) {
        self.latency.took_in(first.at);
        self.cluster.apply(first.change);
        self.take_in_waiting(CHANGES_AT_ONCE - 1);
    }

    /// Processes changes that have already been read, up to this many.
    fn take_in_waiting(&mut self, most: usize) {
        for _ in 0..most {
            match self.parts.changes.try_recv() {
                Ok(next) => self.cluster.apply(next.change),
                Err(_) => break,
            }
        }
    }

    fn hear(&mut self, event: session::Event) {
        match event {
            session::Event::Opened {
                requests,
                limits,
                accepts_syncs,
                has_availability,
                planner_version,
                rules_version,
                end,
            } => {
                self.planner = Some(Planner {
                    requests,
                    limits,
                    end,
                    has_availability,
                    version: planner_version,
                    rules_version,
                    told: None,
                    sync: FullSync::new(accepts_syncs),
                });
                self.parts.metrics.planner_found();
                self.parts.health.planner_found();
                for managed in self.managed.values_mut() {
                    managed.available_at = None;
                }
                self.outbox.restart(session::HELLO_SEQUENCE);
                self.cluster.touch_all();
                self.latency.forget();
                self.planner_changed();
            }
            // Messages still on their way from a planner that was left are void.
            session::Event::Plan(_) | session::Event::Problem(_) | session::Event::SyncAccepted(_)
                if self.planner.is_none() => {}
            session::Event::SyncAccepted(sequence) => self.on_sync_answer(SyncAnswer::Accepted(sequence)),
            session::Event::Plan(plan) => {
                self.on_sync_answer(SyncAnswer::Plan(plan.based_on));
                self.take_plan(*plan);
            }
            session::Event::Problem(problem) => self.report(problem),
            session::Event::Lost => self.leave_planner(),
        }
    }

    /// Ends the session, if there is one. Whatever it asked for that has not begun is void.
    fn leave_planner(&mut self) {
        let Some(planner) = self.planner.take() else {
            return;
        };
        planner.end.cancel();
        self.session += 1;
        self.parts.metrics.planner_lost();
        self.parts.health.planner_lost();
        self.void_plans();
        self.planner_changed();
    }

    fn hear_back(&mut self, answer: Answer) {
        match answer {
            Answer::Action(ended) => self.action_ended(*ended),
            Answer::Upkeep(ended) => self.upkeep_ended(*ended),
            Answer::Status(written) => self.status_written(*written),
            Answer::Looked(uid, looked) => match *looked {
                Ok(pod) if pod.metadata.uid == *uid => self.cluster.pods_mut().confirm(&uid),
                Err(error) if !error.is_not_found() => {}
                Ok(_) | Err(_) => self.cluster.deleted_pod(&uid, true),
            },
        }
    }

    fn time(&mut self, timer: Timer) {
        match timer {
            Timer::Reconsider(uid) => {
                if let Some(managed) = self.managed.get_mut(&uid) {
                    managed.reconsider = None;
                    self.outbox.add_time();
                }
            }
            Timer::Open(uid, lane) => self.open_lane(&uid, lane),
            Timer::GiveBack(uid) => self.give_back(&uid),
            Timer::Upkeep(uid) => self.try_upkeep_again(&uid),
            Timer::Forgive(uid) => self.forgive(&uid),
            Timer::Status(uid) => self.rested(&uid),
        }
    }

    /// Acts on everything that has changed.
    fn settle(&mut self) {
        if !self.cluster.is_synced() {
            self.latency.forget();
            return;
        }
        self.parts.health.watches_synced();
        if self.term.is_none() {
            // An executor that begins to lead processes everything, so earlier changes can be dropped.
            self.cluster.touched = Touched::default();
            self.latency.forget();
            return;
        }
        let changed: Vec<_> = self.cluster.touched.daemon_sets.iter().cloned().collect();
        for uid in changed {
            if self.cluster.daemon_set(&uid).is_some() {
                // The server may grant for the new spec what it refused for the old one.
                let upkeep = &mut self.manage(&uid).upkeep;
                upkeep.refused.clear();
                upkeep.trouble = None;
            } else {
                self.forget(&uid);
            }
        }
        // A status that somebody else has overwritten is corrected. After this executor's own write there is nothing
        // to do.
        let written = std::mem::take(&mut self.cluster.touched.statuses);
        for uid in &written {
            self.look_at_status(uid);
            self.write_status(uid);
        }
        let strangers = std::mem::take(&mut self.cluster.touched.strangers);
        for (uid, pod) in &strangers {
            self.rival(uid, Trace::Pod(pod));
        }
        let due = std::mem::take(&mut self.cluster.touched.upkeep);
        due.iter().for_each(|uid| self.keep_up(uid));
        self.latency.settled(self.cluster.touched.has_facts());
        self.outbox.add(&mut self.cluster.touched);
    }

    fn manage(&mut self, uid: &Text) -> &mut Managed {
        let stop = &self.stop;
        self.managed
            .entry(uid.clone())
            .or_insert_with(|| Managed::new(stop.child_token()))
    }

    fn forget(&mut self, uid: &Text) {
        if let Some(managed) = self.managed.remove(uid) {
            if let Some(announced) = &managed.announced {
                self.parts.metrics.forget_daemon_set(announced.names());
            }
            // Its calls end: the garbage collector deletes whatever they would make.
            managed.stop.cancel();
            if let Some(key) = managed.reconsider {
                self.timers.try_remove(&key);
            }
        }
        self.parts.events.forget(uid);
    }

    /// Work that is done periodically, whatever happens.
    fn look_after(&mut self) {
        self.parts.health.beat();
        self.parts.metrics.waiting(&self.waiting());
        // The timers run by another clock than plans do. Even if the two drift apart, this keeps a plan from being
        // late for long.
        self.outbox.add_time();
        self.on_sync_answer(SyncAnswer::None);
        self.keep_up_held_up();
        self.look_at_troubles();
        for uid in self.cluster.pods().overdue(Instant::now()) {
            let Some(pod) = self.cluster.pods().get(&uid) else {
                continue;
            };
            let (api, namespace, name) = (self.parts.api.clone(), pod.namespace.clone(), pod.name.clone());
            self.calls.spawn(async move {
                let looked = api.get_pod(&namespace, &name).await;
                Answer::Looked(uid, Box::new(looked))
            });
        }
    }

    fn set_timer(&mut self, timer: Timer, after: Duration) -> delay_queue::Key {
        // The queue accepts no time that is years away. A handler that is called early checks again.
        self.timers.insert(timer, after.min(LONGEST_TIMER))
    }
}

#[cfg(test)]
pub(crate) mod tests;
