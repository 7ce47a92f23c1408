//! The waits between one try and the next.

use std::time::Duration;

use backon::ExponentialBuilder;

/// Waits that double from the first to the longest, each somewhat longer by chance, without end.
pub fn between(first: Duration, longest: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
}
