//! Decides which actions of a `DaemonSet`'s plans may start now: adaptive concurrency, without IO and without a clock.
//!
//! Creations and deletions have a lane each. A lane starts with one action at a time. Each round of successes doubles
//! its limit. An action that had to be retried, or that the server refused, halves the limit. A refusal also closes the
//! lane for a while. So a full quota or a webhook that denies requests costs one call at a time, and doesn't delay
//! other `DaemonSet`s.

use std::{collections::VecDeque, time::Duration};

use everynode_proto::planner::v1::{CreatePod, DeletePod, Plan, action::Action};
use tokio::time::Instant;
use tracing::Span;

/// Maximum number of calls in progress in one lane of one `DaemonSet`. More would only queue in the API server.
const MAX_WINDOW: usize = 32;
/// How long the first of several consecutive refusals closes a lane.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest time for which a refusal closes a lane.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long actions of an unknown kind are held before they are reported as failed. They aren't reported immediately,
/// because the planner might then request them again immediately.
const UNKNOWN_PAUSE: Duration = LONGEST_PAUSE;

/// A lane of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Creations.
    Create,
    /// Deletions.
    Delete,
}

/// The load of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLoad {
    /// Actions that haven't started.
    pub waiting: usize,
    /// Actions in progress.
    pub in_progress: usize,
    /// Refused actions that are reported to the planner when the lane opens again.
    pub held: usize,
    /// Whether the lane is closed and starts nothing for now.
    pub is_closed: bool,
}

/// An action that may be started.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyAction<T> {
    /// Identifies the action to the planner.
    pub id: u64,
    /// The action.
    pub action: T,
    /// When the executor read the event that led to the action. `None` if no event led to it.
    pub event_read: Option<Instant>,
    /// The span of the action's plan. It lasts as long as the plan's actions.
    pub plan_span: Span,
}

/// The outcome of an action, as far as its lane is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It succeeded at the first attempt.
    Succeeded,
    /// It succeeded, but calls had to be retried.
    SucceededAfterRetries,
    /// It was no longer needed.
    Skipped,
    /// The server refused.
    Refused,
}

#[derive(Debug)]
struct LaneQueue<T> {
    waiting: VecDeque<ReadyAction<T>>,
    in_progress: usize,
    window: usize,
    refusals: u32,
    is_closed: bool,
    /// Refused actions that are reported to the planner when the lane opens again. Until then they count as in flight.
    held: Vec<u64>,
}

impl<T> Default for LaneQueue<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_progress: 0,
            window: 1,
            refusals: 0,
            is_closed: false,
            held: Vec::new(),
        }
    }
}

impl<T> LaneQueue<T> {
    fn next(&mut self) -> Option<ReadyAction<T>> {
        if self.is_closed || self.in_progress >= self.window {
            return None;
        }
        let ready = self.waiting.pop_front()?;
        self.in_progress += 1;
        Some(ready)
    }

    fn on_finished(&mut self, id: Option<u64>, outcome: CallOutcome) -> Option<Duration> {
        self.in_progress = self.in_progress.saturating_sub(1);
        match outcome {
            CallOutcome::Succeeded => {
                self.window = (self.window + 1).min(MAX_WINDOW);
                self.refusals = 0;
            }
            CallOutcome::SucceededAfterRetries => {
                self.halve();
                self.refusals = 0;
            }
            CallOutcome::Skipped => {}
            CallOutcome::Refused => {
                self.halve();
                self.held.extend(id);
                if !self.is_closed {
                    self.is_closed = true;
                    let doublings = self.refusals.min(16);
                    self.refusals = self.refusals.saturating_add(1);
                    return Some(FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE));
                }
            }
        }
        None
    }

    fn halve(&mut self) {
        self.window = (self.window / 2).max(1);
    }

    fn open(&mut self) -> Vec<u64> {
        self.is_closed = false;
        std::mem::take(&mut self.held)
    }

    fn load(&self) -> LaneLoad {
        LaneLoad {
            waiting: self.waiting.len(),
            in_progress: self.in_progress,
            held: self.held.len(),
            is_closed: self.is_closed,
        }
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.held.clear();
        self.is_closed = false;
    }
}

/// The actions of one `DaemonSet`.
#[derive(Debug, Default)]
pub struct ActionQueue {
    creates: LaneQueue<CreatePod>,
    deletes: LaneQueue<DeletePod>,
    /// Actions of unknown kinds.
    unknown: Vec<u64>,
}

impl ActionQueue {
    /// Adds a plan's actions. If some are of an unknown kind and no such action was waiting already, returns the time
    /// until `take_unknown` should be called. Each action keeps `event_read` and `span`, the plan's span.
    pub fn push(&mut self, plan: Plan, event_read: Option<Instant>, span: &Span) -> Option<Duration> {
        let had_unknown = !self.unknown.is_empty();
        for action in plan.actions {
            let id = action.id;
            match action.action {
                Some(Action::Create(action)) => self.creates.waiting.push_back(ReadyAction {
                    id,
                    action,
                    event_read,
                    plan_span: span.clone(),
                }),
                Some(Action::Delete(action)) => self.deletes.waiting.push_back(ReadyAction {
                    id,
                    action,
                    event_read,
                    plan_span: span.clone(),
                }),
                // A newer planner sent this action. While it is in flight, the planner requests nothing in its place.
                None => self.unknown.push(id),
            }
        }
        (!had_unknown && !self.unknown.is_empty()).then_some(UNKNOWN_PAUSE)
    }

    /// Takes the actions of unknown kinds. They may now be reported to the planner as failed.
    pub fn take_unknown(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.unknown)
    }

    /// Takes the next creation that may start now. It then counts as in progress.
    pub fn next_create(&mut self) -> Option<ReadyAction<CreatePod>> {
        self.creates.next()
    }

    /// Takes the next deletion that may start now. It then counts as in progress.
    pub fn next_delete(&mut self) -> Option<ReadyAction<DeletePod>> {
        self.deletes.next()
    }

    /// Records that an action has ended. `id` is `None` when the planner no longer waits for the action. If this closes
    /// the lane, returns for how long; call `open` after that.
    pub fn on_finished(&mut self, lane: Lane, id: Option<u64>, outcome: CallOutcome) -> Option<Duration> {
        match lane {
            Lane::Create => self.creates.on_finished(id, outcome),
            Lane::Delete => self.deletes.on_finished(id, outcome),
        }
    }

    /// Opens a lane again. Returns the refused actions, which may now be reported to the planner.
    pub fn open(&mut self, lane: Lane) -> Vec<u64> {
        match lane {
            Lane::Create => self.creates.open(),
            Lane::Delete => self.deletes.open(),
        }
    }

    /// Drops actions that haven't started, because their planner or the `DaemonSet` is gone.
    pub fn clear(&mut self) {
        self.creates.clear();
        self.deletes.clear();
        self.unknown.clear();
    }

    /// The load of a lane.
    pub fn load(&self, lane: Lane) -> LaneLoad {
        match lane {
            Lane::Create => self.creates.load(),
            Lane::Delete => self.deletes.load(),
        }
    }

    /// Whether a call is in progress.
    pub fn is_busy(&self) -> bool {
        self.creates.in_progress + self.deletes.in_progress > 0
    }
}

#[cfg(test)]
mod tests;
