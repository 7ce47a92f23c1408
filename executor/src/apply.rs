//! What of a `DaemonSet`'s plans may be done now: adaptive concurrency, without IO and without a clock.
//!
//! Creations and deletions run in a lane each. A lane starts with one action at a time and doubles while they succeed;
//! a failure halves it and, when the server refused for good, closes it for a while. So a full quota or a webhook that
//! denies costs one call at a time, and no other `DaemonSet` anything.

use std::{collections::VecDeque, time::Duration};

use everynode_proto::planner::v1::{CreatePod, DeletePod, Plan, action::Action};
use tokio::time::Instant;
use tracing::Span;

/// The most calls in progress for one lane of one `DaemonSet`. More would only queue in the API server.
const MAX_WINDOW: usize = 32;
/// How long a lane is closed after the first refusal in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest it is closed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long actions of an unknown kind are kept before the planner hears that they can't be carried out. It may ask for
/// them again, so not at once.
const UNKNOWN_PAUSE: Duration = LONGEST_PAUSE;

/// Which lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Creations.
    Create,
    /// Deletions.
    Delete,
}

/// How much a lane has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Actions that wait for their turn.
    pub waiting: usize,
    /// Actions in progress.
    pub in_progress: usize,
    /// Refused actions that wait for the next try.
    pub held: usize,
    /// Whether nothing is started for a while.
    pub is_closed: bool,
}

/// An action that may be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready<T> {
    /// Names it to the planner.
    pub id: u64,
    /// The action.
    pub action: T,
    /// When the event was read that it follows from, if it follows from one.
    pub event_read: Option<Instant>,
    /// The span of the plan that asks for it, which lasts as long as its actions.
    pub plan: Span,
}

/// How a call ended, as far as the lane is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It went through at once.
    Smoothly,
    /// It went through, but the server had to be asked several times.
    WithPressure,
    /// It wasn't needed any more.
    Needless,
    /// The server refused.
    Refused,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Ready<T>>,
    in_progress: usize,
    window: usize,
    refusals: u32,
    closed: bool,
    /// Refused actions that the planner hears of when the lane opens again; until then they count as in flight.
    held: Vec<u64>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_progress: 0,
            window: 1,
            refusals: 0,
            closed: false,
            held: Vec::new(),
        }
    }
}

impl<T> Queue<T> {
    fn next(&mut self) -> Option<Ready<T>> {
        if self.closed || self.in_progress >= self.window {
            return None;
        }
        let ready = self.waiting.pop_front()?;
        self.in_progress += 1;
        Some(ready)
    }

    fn ended(&mut self, id: Option<u64>, how: Ended) -> Option<Duration> {
        self.in_progress = self.in_progress.saturating_sub(1);
        match how {
            Ended::Smoothly => {
                self.window = (self.window + 1).min(MAX_WINDOW);
                self.refusals = 0;
            }
            Ended::WithPressure => {
                self.halve();
                self.refusals = 0;
            }
            Ended::Needless => {}
            Ended::Refused => {
                self.halve();
                self.held.extend(id);
                if !self.closed {
                    self.closed = true;
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
        self.closed = false;
        std::mem::take(&mut self.held)
    }

    fn load(&self) -> Load {
        Load {
            waiting: self.waiting.len(),
            in_progress: self.in_progress,
            held: self.held.len(),
            is_closed: self.closed,
        }
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.held.clear();
        self.closed = false;
    }
}

/// The actions of one `DaemonSet`.
#[derive(Debug, Default)]
pub struct Applier {
    creates: Queue<CreatePod>,
    deletes: Queue<DeletePod>,
    /// Actions of kinds that this executor doesn't know.
    unknown: Vec<u64>,
}

impl Applier {
    /// Takes in a plan's actions. If some are of a kind that this executor doesn't know and none of that sort were waiting
    /// already, returns after how long `give_back` is to be called. `event_read` and `span`, the plan's, go with each of them.
    pub fn push(&mut self, plan: Plan, event_read: Option<Instant>, span: &Span) -> Option<Duration> {
        let waited = !self.unknown.is_empty();
        for action in plan.actions {
            let id = action.id;
            match action.action {
                Some(Action::Create(action)) => self.creates.waiting.push_back(Ready {
                    id,
                    action,
                    event_read,
                    plan: span.clone(),
                }),
                Some(Action::Delete(action)) => self.deletes.waiting.push_back(Ready {
                    id,
                    action,
                    event_read,
                    plan: span.clone(),
                }),
                // A newer planner's. Should it stay in flight, nothing else would be done where it belongs.
                None => self.unknown.push(id),
            }
        }
        (!waited && !self.unknown.is_empty()).then_some(UNKNOWN_PAUSE)
    }

    /// The actions that can't be carried out because their kind is unknown. The planner may hear of them now.
    pub fn give_back(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.unknown)
    }

    /// The next creation that may start now; it counts as in progress.
    pub fn next_create(&mut self) -> Option<Ready<CreatePod>> {
        self.creates.next()
    }

    /// The next deletion that may start now; it counts as in progress.
    pub fn next_delete(&mut self) -> Option<Ready<DeletePod>> {
        self.deletes.next()
    }

    /// An action has ended; without an id, it is one that the planner doesn't wait for any more. If that closes its lane,
    /// returns for how long; `open` is to be called after that.
    pub fn ended(&mut self, lane: Lane, id: Option<u64>, how: Ended) -> Option<Duration> {
        match lane {
            Lane::Create => self.creates.ended(id, how),
            Lane::Delete => self.deletes.ended(id, how),
        }
    }

    /// Opens a lane again. Returns the refused actions that the planner may hear of now.
    pub fn open(&mut self, lane: Lane) -> Vec<u64> {
        match lane {
            Lane::Create => self.creates.open(),
            Lane::Delete => self.deletes.open(),
        }
    }

    /// Forgets what hasn't been started: the planner that asked for it is gone, or the `DaemonSet`.
    pub fn clear(&mut self) {
        self.creates.clear();
        self.deletes.clear();
        self.unknown.clear();
    }

    /// How much a lane has to do.
    pub fn load(&self, lane: Lane) -> Load {
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
