//! How long this executor may write, by its own clocks.

use std::{sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

/// The claim to lead. It ends by itself unless it is renewed: a process that was frozen finds it over when it wakes up,
/// before anybody has told it.
#[derive(Debug, Clone)]
pub struct Claim(Arc<Mutex<Until>>);

#[derive(Debug, Clone, Copy)]
enum Until {
    /// There is no claim.
    Never,
    /// Nobody else can have one.
    Always,
    /// The claim is good before both times. The clock that can't be set stands still while a machine is suspended, and
    /// the one that doesn't can be set.
    Both(Instant, SystemTime),
}

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub(super) monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

impl Claim {
    /// No claim yet.
    pub fn none() -> Self {
        Self(Arc::new(Mutex::new(Until::Never)))
    }

    /// A claim for ever, where no others are to be reckoned with.
    pub fn forever() -> Self {
        Self(Arc::new(Mutex::new(Until::Always)))
    }

    /// Whether this executor may write.
    pub fn is_current(&self) -> bool {
        match *self.0.lock() {
            Until::Never => false,
            Until::Always => true,
            Until::Both(monotonic, wall) => Instant::now() < monotonic && SystemTime::now() < wall,
        }
    }

    /// The claim is good for this long from a moment on.
    pub(super) fn hold(&self, from: Moment, time: Duration) {
        let wall = from.wall.checked_add(time).unwrap_or(from.wall);
        *self.0.lock() = Until::Both(from.monotonic + time, wall);
    }

    /// There is no claim any more.
    pub(super) fn give_up(&self) {
        *self.0.lock() = Until::Never;
    }
}
