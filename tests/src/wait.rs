//! Waits for a condition until a deadline.

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

/// Calls the closure repeatedly until it returns `Ok`. The closure's error states what it found instead ("3 of 4 pods
/// are ready"). When the deadline passes, the caller gets the last such error. The deadline also interrupts a call that
/// hangs.
///
/// # Errors
/// When the deadline passes; the error states what was awaited, for how long, and the closure's last error. At once if
/// the closure returns [`GiveUp`].
pub async fn eventually<T>(
    deadline: Duration,
    what: impl fmt::Display,
    check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    eventually_every(INTERVAL, deadline, what, check).await
}

/// As [`eventually`], but with another interval than the usual 25 ms, for checks that cost many requests.
///
/// # Errors
/// As [`eventually`].
pub async fn eventually_every<T>(
    interval: Duration,
    deadline: Duration,
    what: impl fmt::Display,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut last = None;
    while let Ok(outcome) = timeout_at(end, check()).await {
        match outcome {
            Ok(value) => return Ok(value),
            Err(error) if error.is::<GiveUp>() => return Err(error.context(format!("waiting for {what}"))),
            Err(error) => last = Some(error),
        }
        if Instant::now() + interval >= end {
            break;
        }
        sleep(interval).await;
    }
    let last = last.map_or_else(
        || "the first check didn't return".to_owned(),
        |error| format!("{error:#}"),
    );
    Err(anyhow!(
        "timed out after {} s waiting for {what}: {last}",
        deadline.as_secs_f32()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn timeout_error_states_what_was_awaited_and_the_last_error() {
        let mut checks = 0;
        let error = eventually::<()>(Duration::from_millis(80), "four pods", async || {
            checks += 1;
            Err(anyhow!("three pods"))
        })
        .await
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "timed out after 0.08 s waiting for four pods: three pods"
        );
        assert!(checks > 1, "it checked only once");
    }

    #[tokio::test]
    async fn hanging_check_ends_at_the_deadline() {
        let error = eventually::<()>(Duration::from_millis(20), "an answer", async || {
            std::future::pending().await
        })
        .await
        .unwrap_err();
        assert!(error.to_string().contains("didn't return"), "{error}");
    }

    #[tokio::test]
    async fn give_up_ends_the_wait_at_once() {
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
