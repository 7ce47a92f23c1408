//! The API server's time, from the `Date` headers of its responses.
//!
//! Rollouts outlive executors: one executor writes when a stage opened, and another one waits for the end of its soak. So
//! times must not depend on the clock of the machine that an executor runs on (T21).

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderMap, Request, Response, header::DATE};
use k8s_openapi::jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use kube::client::Body;
use parking_lot::Mutex;
use tower::{Layer, Service};
use tracing::{info, warn};

/// Differences up to this many milliseconds count as none. The header has whole seconds, and responses take time.
const TOLERANCE: i64 = 2_000;
/// Minimum pause between two log messages. API servers behind one address may have different clocks.
const REPORT_PAUSE: Duration = Duration::from_mins(1);

/// The API server's time, as far as it is known. Until the first response, it is this machine's time. Clones share what
/// they learn.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// How far the API server's clock is ahead of this machine's, in milliseconds. 0 if they agree.
    offset: i64,
    last: Option<Observation>,
    /// When a change of the offset was last logged.
    reported: Option<Instant>,
}

impl State {
    /// Logs a change of the offset, unless one was logged just now.
    fn report(&mut self, now: Instant) {
        let elapsed = self.reported.map(|last| now.saturating_duration_since(last));
        if elapsed.is_none_or(|elapsed| elapsed >= REPORT_PAUSE) {
            self.reported = Some(now);
            report(self.offset);
        }
    }
}

/// The API server's time at an earlier moment.
#[derive(Debug, Clone, Copy)]
struct Observation {
    /// In milliseconds since 1970.
    server: i64,
    at: Instant,
}

/// A moment on this machine's clocks.
#[derive(Debug, Clone, Copy)]
struct ClockReading {
    /// In milliseconds since 1970. Somebody can set this clock.
    wall: i64,
    /// Nobody can set this clock, but it may stop while the machine is suspended.
    monotonic: Instant,
}

impl ClockReading {
    fn now() -> Self {
        Self {
            wall: Timestamp::now().as_millisecond(),
            monotonic: Instant::now(),
        }
    }
}

impl Clock {
    /// The API server's time now.
    ///
    /// If somebody has set this machine's clock since the last response, the earlier one of the possible times counts until
    /// the next response. So no soak ends too early.
    pub fn now(&self) -> Timestamp {
        let millis = self.at(ClockReading::now());
        Timestamp::from_millisecond(millis).unwrap_or_default()
    }

    /// A clock that is ahead of this machine's by this many milliseconds.
    #[cfg(test)]
    pub(crate) fn ahead_by(offset: i64) -> Self {
        let state = State {
            offset,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn at(&self, moment: ClockReading) -> i64 {
        let state = self.0.lock();
        let by_wall = moment.wall.saturating_add(state.offset);
        let Some(last) = state.last else {
            return by_wall;
        };
        let elapsed = moment.monotonic.saturating_duration_since(last.at);
        by_wall.min(last.server.saturating_add(millis(elapsed)))
    }

    /// Compares the clocks after a response with this date. The server wrote the date, in whole seconds, between these two
    /// moments.
    fn observe(&self, date: i64, sent: ClockReading, received: ClockReading) {
        let took = millis(received.monotonic.saturating_duration_since(sent.monotonic));
        let was_set = received.wall.saturating_sub(sent.wall).saturating_sub(took);
        if was_set.saturating_abs() > TOLERANCE {
            // Somebody has set the clock in the meantime, so the response says nothing.
            return;
        }
        let least = date.saturating_sub(received.wall);
        let most = date.saturating_add(1_000).saturating_sub(sent.wall);
        let is_possible = |offset: i64| {
            least.saturating_sub(TOLERANCE) <= offset && offset <= most.saturating_add(TOLERANCE)
        };
        let mut state = self.0.lock();
        if !is_possible(state.offset) {
            state.offset = if is_possible(0) { 0 } else { least.midpoint(most) };
            state.report(received.monotonic);
        }
        state.last = Some(Observation {
            server: received.wall.saturating_add(state.offset),
            at: received.monotonic,
        });
    }

    fn observe_headers(&self, headers: &HeaderMap, sent: ClockReading) {
        let date = headers.get(DATE).and_then(|date| parse(date.as_bytes()));
        if let Some(date) = date {
            self.observe(date, sent, ClockReading::now());
        }
    }
}

fn report(offset: i64) {
    if offset == 0 {
        info!("this machine's clock agrees with the API server's again");
    } else {
        let offset_seconds = offset / 1_000;
        warn!(
            offset_seconds,
            "this machine's clock differs from the API server's; the API server's counts"
        );
    }
}

/// Reads a `Date` header, in milliseconds since 1970.
fn parse(date: &[u8]) -> Option<i64> {
    let time = DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(time.as_millisecond())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The layer that reads the dates of responses.
#[derive(Debug, Clone)]
pub(crate) struct ClockLayer(Clock);

impl ClockLayer {
    /// Tells this clock what the responses say.
    pub(crate) fn new(clock: Clock) -> Self {
        Self(clock)
    }
}

impl<S> Layer<S> for ClockLayer {
    type Service = DateReader<S>;

    fn layer(&self, inner: S) -> DateReader<S> {
        DateReader {
            inner,
            clock: self.0.clone(),
        }
    }
}

/// A connection whose responses tell the time.
#[derive(Debug, Clone)]
pub(crate) struct DateReader<S> {
    inner: S,
    clock: Clock,
}

impl<S, B> Service<Request<Body>> for DateReader<S>
where
    S: Service<Request<Body>, Response = Response<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clock = self.clock.clone();
        let sent = ClockReading::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            clock.observe_headers(response.headers(), sent);
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests;
