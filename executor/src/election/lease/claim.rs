//! How long this executor may write, by its own clocks.

use std::{sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

/// The claim to lead. It expires unless it is renewed. A process that was frozen finds its claim expired as soon as it
/// resumes, without any communication.
#[derive(Debug, Clone)]
pub struct Claim(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    until: Mutex<Until>,
    given_up: watch::Sender<()>,
    margin: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum Until {
    /// There is no claim.
    Never,
    /// No other executor can have a claim, so this one never ends.
    Always,
    /// The claim holds until the first of both times. The monotonic clock can't be set, but doesn't advance while the
    /// machine is suspended. The wall clock does advance, but can be set.
    Both(Instant, SystemTime),
}

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(super) monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    /// The current moment.
    pub(crate) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

impl Claim {
    /// No claim yet. After a claim ends, nobody else acts for the duration `margin`.
    pub fn none(margin: Duration) -> Self {
        Self::new(Until::Never, Some(margin))
    }

    /// A claim that never ends, for use where there is no other executor.
    pub fn forever() -> Self {
        Self::new(Until::Always, None)
    }

    fn new(until: Until, margin: Option<Duration>) -> Self {
        Self(Arc::new(Inner {
            until: Mutex::new(until),
            given_up: watch::Sender::new(()),
            margin,
        }))
    }

    /// How long nobody else acts after the claim's end; `None` where there are no other executors.
    pub fn margin(&self) -> Option<Duration> {
        self.0.margin
    }

    /// Waits until the claim is given up, which may never happen. A claim that expires is given up as soon as the
    /// expiry is noticed.
    pub fn given_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut given_up, own) = (self.0.given_up.subscribe(), self.clone());
        async move {
            // `own` keeps the sender alive, so an error can't end the wait.
            let _ = given_up.changed().await;
            drop(own);
        }
    }

    /// Whether this executor may write.
    pub fn is_current(&self) -> bool {
        match *self.0.until.lock() {
            Until::Never => false,
            Until::Always => true,
            Until::Both(monotonic, wall) => Instant::now() < monotonic && SystemTime::now() < wall,
        }
    }

    /// Makes the claim valid for this long, counted from a moment.
    pub(super) fn hold(&self, from: Moment, time: Duration) {
        let wall = from.wall.checked_add(time).unwrap_or(from.wall);
        *self.0.until.lock() = Until::Both(from.monotonic + time, wall);
    }

    /// Ends the claim.
    pub(super) fn give_up(&self) {
        *self.0.until.lock() = Until::Never;
        self.0.given_up.send_replace(());
    }
}
