//! Waits for a condition until a deadline. Nothing here waits in any other way.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// The time between two checks. It is short compared with what is measured, and long compared with the cost of a
/// request.
const INTERVAL: Duration = Duration::from_millis(25);

/// The reason why further waiting is pointless, such as "the process has ended". It ends the wait at once when the
/// closure of [`eventually`] returns it.
#[derive(Debug)]
pub struct GiveUp(String);

impl GiveUp {
    /// An error that ends the wait.
    pub fn because(reason: impl fmt::Display) -> anyhow::Error {
        anyhow!(Self(reason.to_string()))
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GiveUp {}

/// Calls the closure repeatedly until it returns `Ok`. The closure's error says what it saw instead ("3 of 4 pods are
/// ready"); the caller gets the last one when the deadline passes. The deadline also interrupts a call that hangs.
///
/// # Errors
/// When the deadline passes: what it waited for, for how long, and what it saw last. At once when the closure gives up.
pub async fn eventually<T>(
    deadline: Duration,
    what: impl fmt::Display,
    look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    eventually_every(INTERVAL, deadline, what, look).await
}

/// As [`eventually`], but with another interval than the usual 25 ms, for checks that cost many requests.
///
/// # Errors
/// As [`eventually`].
pub async fn eventually_every<T>(
    interval: Duration,
    deadline: Duration,
    what: impl fmt::Display,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut seen = None;
    while let Ok(outcome) = timeout_at(end, look()).await {
        match outcome {
            Ok(value) => return Ok(value),
            Err(error) if error.is::<GiveUp>() => return Err(error.context(format!("waiting for {what}"))),
            Err(error) => seen = Some(error),
        }
        if Instant::now() + interval >= end {
            break;
        }
        sleep(interval).await;
    }
    let seen = seen.map_or_else(
        || "the first look didn't come back".to_owned(),
        |error| format!("{error:#}"),
    );
    Err(anyhow!(
        "waited {} s for {what}; the last that was seen: {seen}",
        deadline.as_secs_f32()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_tells_what_was_awaited_and_what_was_seen() {
        let mut looks = 0;
        let error = eventually::<()>(Duration::from_millis(80), "four pods", async || {
            looks += 1;
            Err(anyhow!("three pods"))
        })
        .await
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "waited 0.08 s for four pods; the last that was seen: three pods"
        );
        assert!(looks > 1, "it looked only once");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_off() {
        let error = eventually::<()>(Duration::from_millis(20), "an answer", async || {
            std::future::pending().await
        })
        .await
        .unwrap_err();
        assert!(error.to_string().contains("didn't come back"), "{error}");
    }

    #[tokio::test]
    async fn giving_up_ends_the_wait_at_once() {
        let before = Instant::now();
        let error = eventually::<()>(Duration::from_mins(1), "a port", async || {
            Err(GiveUp::because("it has ended"))
        })
        .await
        .unwrap_err();
        assert!(before.elapsed() < Duration::from_secs(10));
        assert_eq!(format!("{error:#}"), "waiting for a port: it has ended");
    }
}
