//! Deadlines of calls.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use http::HeaderMap;
use tokio::time::{Instant, sleep_until};

/// The header with the caller's timeout.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// A call's deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    pub(super) timeout: Duration,
    pub(super) is_set_by_caller: bool,
}

/// The deadline has passed.
#[derive(Debug)]
pub(super) struct DeadlineExceeded;

impl Deadline {
    /// The deadline of a call that starts now: the server's timeout, or the caller's if that is shorter.
    pub(super) fn from_headers(headers: &HeaderMap, server_timeout: Duration) -> Self {
        let caller_timeout = headers
            .get(GRPC_TIMEOUT)
            .and_then(|value| parse_timeout(value.to_str().ok()?))
            .filter(|timeout| *timeout < server_timeout);
        let timeout = caller_timeout.unwrap_or(server_timeout);
        Self {
            at: Instant::now() + timeout,
            timeout,
            is_set_by_caller: caller_timeout.is_some(),
        }
    }

    /// Runs a future until the deadline.
    ///
    /// tonic has its own timer for the caller's deadline, which ends the call with `CANCELLED`. That timer starts after
    /// this one, and tonic polls the call's future first. Since this future also checks the clock on every poll, this
    /// deadline always wins.
    pub(super) async fn limit<T>(self, future: impl Future<Output = T>) -> Result<T, DeadlineExceeded> {
        let mut future = pin!(future);
        let mut end = pin!(sleep_until(self.at));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
            Poll::Pending if end.as_mut().poll(context).is_ready() || Instant::now() >= self.at => {
                Poll::Ready(Err(DeadlineExceeded))
            }
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

/// Parses a `grpc-timeout` value: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 60 * 60)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(timeout: &str) -> Deadline {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(GRPC_TIMEOUT),
            timeout.parse().unwrap(),
        )]);
        Deadline::from_headers(&headers, Duration::from_secs(30))
    }

    #[tokio::test]
    async fn shorter_deadline_applies() {
        for (timeout, millis) in [("2S", 2_000), ("250m", 250), ("1000u", 1), ("29999m", 29_999)] {
            let deadline = deadline(timeout);
            assert_eq!(
                (deadline.timeout, deadline.is_set_by_caller),
                (Duration::from_millis(millis), true)
            );
        }
        for longer in [
            "31S",
            "30S",
            "1M",
            "99999999H",
            "123456789n",
            "",
            "S",
            "-1S",
            "5x",
            "1é",
        ] {
            let headers = http::HeaderValue::from_bytes(longer.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(GRPC_TIMEOUT), headers)]);
            let deadline = Deadline::from_headers(&headers, Duration::from_secs(30));
            assert_eq!(
                (deadline.timeout, deadline.is_set_by_caller),
                (Duration::from_secs(30), false),
                "{longer}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn future_that_completes_in_time_is_not_ended() {
        let deadline = deadline("1S");
        let in_time = tokio::time::sleep(Duration::from_millis(900));
        assert!(deadline.limit(in_time).await.is_ok());
        assert!(deadline.limit(std::future::pending::<()>()).await.is_err());
        assert!(
            deadline.limit(async {}).await.is_ok(),
            "a future that is ready completes even after the deadline"
        );
    }
}
