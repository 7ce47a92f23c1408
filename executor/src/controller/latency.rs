//! Measures the time from when a watch reads an event to what follows from it.
//!
//! The planner is told of many events at once, so the time counts from the first of them. Nothing is kept per object.

use std::collections::VecDeque;

use tokio::time::Instant;

/// How many requests keep their time. Far fewer are ever ahead of their plans.
const MOST_REQUESTS: usize = 256;

/// When events were read.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// When the first event was read that has been taken in but not settled.
    taken: Option<Instant>,
    /// When the first event was read that the planner has yet to be told of.
    due: Option<Instant>,
    /// When the first event of each request was read, by the request's sequence.
    told: VecDeque<(u64, Instant)>,
}

impl Latency {
    /// Records that an event was taken in that was read at this time.
    pub(super) fn took_in(&mut self, read: Instant) {
        self.taken.get_or_insert(read);
    }

    /// Settles the events taken in since the last call: they make a difference to the planner, or none.
    pub(super) fn settled(&mut self, makes_a_difference: bool) {
        let taken = self.taken.take().filter(|_| makes_a_difference);
        self.due = self.due.or(taken);
    }

    /// Records that the request with this sequence told the planner. If `has_more`, the next request tells it the rest.
    pub(super) fn told(&mut self, sequence: u64, has_more: bool) {
        let due = if has_more { self.due } else { self.due.take() };
        self.told.extend(due.map(|read| (sequence, read)));
        if self.told.len() > MOST_REQUESTS {
            self.told.pop_front();
        }
    }

    /// When the first event was read that led to a plan, given the sequence that the plan is based on.
    pub(super) fn of(&mut self, based_on: u64) -> Option<Instant> {
        while self
            .told
            .front()
            .is_some_and(|(sequence, _)| *sequence < based_on)
        {
            self.told.pop_front();
        }
        let (sequence, read) = self.told.front()?;
        (*sequence == based_on).then_some(*read)
    }

    /// Forgets all times. Events not told yet become part of a full sync, which says nothing about latency.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_plan_follows_from_the_first_event_that_its_request_tells_of() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut latency = Latency::default();
        latency.took_in(at(1));
        latency.settled(false);
        latency.took_in(at(2));
        latency.took_in(at(3));
        latency.settled(true);
        latency.took_in(at(4));
        latency.settled(true);
        latency.told(7, true);
        latency.told(8, false);
        latency.told(9, false);
        assert_eq!(latency.of(6), None, "a request without events");
        assert_eq!([latency.of(7), latency.of(7)], [Some(at(2)); 2]);
        assert_eq!(
            [latency.of(8), latency.of(9), latency.of(8)],
            [Some(at(2)), None, None]
        );
        latency.took_in(at(5));
        latency.settled(true);
        latency.forget();
        latency.told(10, false);
        assert_eq!(latency.of(10), None);
    }
}
