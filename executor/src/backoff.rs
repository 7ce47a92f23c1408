//! The waits between one try and the next.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Waits that double from the first to the longest, each somewhat longer by chance, without end.
pub fn between(first: Duration, longest: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
}

/// The same for a loop that asks for each wait, and begins again with the first one after a success.
#[derive(Debug)]
pub struct Waits {
    pattern: ExponentialBuilder,
    ahead: ExponentialBackoff,
    longest: Duration,
}

impl Waits {
    /// Waits from the first to the longest.
    pub fn between(first: Duration, longest: Duration) -> Self {
        let pattern = between(first, longest);
        Self {
            pattern,
            ahead: pattern.build(),
            longest,
        }
    }

    /// How long the next one is.
    pub fn next_wait(&mut self) -> Duration {
        self.ahead.next().unwrap_or(self.longest)
    }

    /// The next one is the first again.
    pub fn start_over(&mut self) {
        self.ahead = self.pattern.build();
    }
}
