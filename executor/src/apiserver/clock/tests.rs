use std::convert::Infallible;

use tower::{ServiceExt, service_fn};

use super::*;

const HOUR: i64 = 3_600_000;
/// Some time, in milliseconds.
const TIME: i64 = 1_800_000_000_000;

/// Moments of a machine, whose wall clock may be set.
struct Machine {
    begun: Instant,
    clock: Clock,
}

impl Machine {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            clock: Clock::default(),
        }
    }

    /// The moment after this many milliseconds, while the wall clock is ahead of the true time by `ahead`.
    fn moment(&self, after: u32, ahead: i64) -> ClockReading {
        ClockReading {
            wall: TIME + i64::from(after) + ahead,
            monotonic: self.begun + Duration::from_millis(after.into()),
        }
    }

    /// A response that the server dates with the true time, between these two moments.
    fn respond(&self, sent: u32, received: u32, ahead: i64) {
        let date = (TIME + i64::from(sent)) / 1_000 * 1_000;
        self.clock
            .observe(date, self.moment(sent, ahead), self.moment(received, ahead));
    }

    /// How far the clock's time is ahead of the true time.
    fn error(&self, after: u32, ahead: i64) -> i64 {
        self.clock.at(self.moment(after, ahead)) - TIME - i64::from(after)
    }
}

#[test]
fn t21_time_is_the_api_servers_whatever_this_machines_clock_says() {
    for ahead in [-24 * HOUR, -HOUR, -5_000, 5_000, HOUR, 24 * HOUR] {
        let machine = Machine::new();
        assert_eq!(machine.error(0, ahead), ahead, "nothing is known yet");
        machine.respond(300, 350, ahead);
        let error = machine.error(10_000, ahead);
        assert!(error.abs() <= 1_000, "{ahead}: {error}");
    }
}

#[test]
fn offset_under_two_seconds_counts_as_none_and_does_not_flap() {
    for ahead in [-1_999, -1_000, 0, 1_000, 1_999] {
        let machine = Machine::new();
        for after in (0..60_000).step_by(777) {
            machine.respond(after, after + 40, ahead);
            assert_eq!(machine.error(after + 40, ahead), ahead);
        }
    }
    // A larger offset stays what it was when it was first seen.
    let machine = Machine::new();
    machine.respond(0, 40, HOUR);
    let error = machine.error(40, HOUR);
    for after in (0..60_000).step_by(777) {
        machine.respond(after, after + 40, HOUR);
        assert_eq!(machine.error(after + 40, HOUR), error);
    }
}

#[test]
fn clock_that_is_set_between_two_responses_does_not_move_time_forward() {
    let machine = Machine::new();
    machine.respond(0, 40, 0);
    assert_eq!(machine.error(5_000, HOUR), 0);
    // Set while a call is in progress: the response says nothing.
    let (sent, received) = (machine.moment(6_000, 0), machine.moment(6_040, HOUR));
    machine.clock.observe(TIME + 6_000, sent, received);
    assert_eq!(machine.error(7_000, HOUR), 0);
    machine.respond(8_000, 8_040, HOUR);
    assert!(machine.error(9_000, HOUR).abs() <= 1_000);
    // The clock is right again.
    machine.respond(10_000, 10_040, 0);
    assert_eq!(machine.error(11_000, 0), 0);
}

#[test]
fn api_servers_with_different_clocks_are_logged_once_a_minute() {
    let machine = Machine::new();
    let reported = || machine.clock.0.lock().reported;
    let first = machine.moment(40, HOUR).monotonic;
    for after in (0..50_000).step_by(1_000) {
        let ahead = if after % 2_000 == 0 { HOUR } else { 0 };
        machine.respond(after, after + 40, ahead);
        assert_eq!(reported(), Some(first), "{after}");
    }
    machine.respond(90_000, 90_040, HOUR);
    assert_eq!(reported(), Some(machine.moment(90_040, HOUR).monotonic));
}

#[test]
fn date_header_is_read() {
    let time: Timestamp = "2026-11-30T19:17:05Z".parse().unwrap();
    assert_eq!(
        parse(b"Mon, 30 Nov 2026 19:17:05 GMT"),
        Some(time.as_millisecond())
    );
    for odd in [&b""[..], b"yesterday", b"\xff"] {
        assert_eq!(parse(odd), None);
    }
}

#[tokio::test]
async fn responses_tell_the_time() {
    let clock = Clock::default();
    let server = service_fn(|_: Request<Body>| async {
        let response = Response::builder().header(DATE, "Thu, 30 Nov 2056 00:00:00 GMT");
        Ok::<_, Infallible>(response.body(()).unwrap())
    });
    let client = ClockLayer::new(clock.clone()).layer(server);
    client.oneshot(Request::new(Body::empty())).await.unwrap();
    let wanted: Timestamp = "2056-11-30T00:00:00Z".parse().unwrap();
    let found = clock.now().as_second() - wanted.as_second();
    assert!((0..60).contains(&found), "{found}");
}
