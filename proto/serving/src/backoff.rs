//! Exponential backoff.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Returns an endless sequence of waits that double, starting with `first`. Jitter makes each wait up to twice as long,
/// but never longer than `longest`.
pub fn between(first: Duration, longest: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest / 2)
        .with_jitter()
        .without_max_times()
}

/// The waits of [`between`], for a loop that requests each wait and starts over after a success.
#[derive(Debug)]
pub struct Backoff {
    builder: ExponentialBuilder,
    waits: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    /// Creates a backoff that starts with `first` and never exceeds `longest`.
    pub fn between(first: Duration, longest: Duration) -> Self {
        let builder = between(first, longest);
        Self {
            builder,
            waits: builder.build(),
            longest,
        }
    }

    /// Returns the next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(self.longest)
    }

    /// Makes the next wait the first one again.
    pub fn reset(&mut self) {
        self.waits = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_no_further() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::between(first, longest);
        let waits: Vec<_> = (0..1_000).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= first && waits[0] <= 2 * first, "{:?}", waits[0]);
        let late = &waits[10..];
        assert!(
            late.iter().all(|wait| *wait >= longest / 2 && *wait <= longest),
            "{late:?}"
        );
        backoff.reset();
        assert!(backoff.next_wait() <= 2 * first);
    }
}
