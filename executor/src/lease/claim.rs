//! How long this executor may write, by its own clocks.

use std::{sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

/// The claim to lead. It ends by itself unless it is renewed: a process that was frozen finds it over when it wakes up,
/// before anybody has told it.
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
    /// No claim yet. After the end of one, nobody else acts for the time `margin`.
    pub fn none(margin: Duration) -> Self {
        Self::new(Until::Never, Some(margin))
    }

    /// A claim for ever, where no others are to be reckoned with.
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

    /// For how long nobody else acts after its end, where there are others at all.
    pub fn margin(&self) -> Option<Duration> {
        self.0.margin
    }

    /// Waits until it is given up, if it is at all. One that ends by itself is given up as soon as that is noticed.
    pub fn given_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut given_up, own) = (self.0.given_up.subscribe(), self.clone());
        async move {
            // The sender lives as long as what it belongs to.
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

    /// The claim is good for this long from a moment on.
    pub(super) fn hold(&self, from: Moment, time: Duration) {
        let wall = from.wall.checked_add(time).unwrap_or(from.wall);
        *self.0.until.lock() = Until::Both(from.monotonic + time, wall);
    }

    /// There is no claim any more.
    pub(super) fn give_up(&self) {
        *self.0.until.lock() = Until::Never;
        self.0.given_up.send_replace(());
    }
}
