//! How long it takes from an event that a watch reads to what follows from it.
//!
//! The planner is told of many events at once, so the time is that of the first of them: nothing is kept for each object.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Of how many requests the time is remembered: far more than are ever ahead of their plans.
const MOST_REQUESTS: usize = 256;

/// When events were read.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// The first of those that were just taken in.
    taken: Option<Instant>,
    /// The first of those that the planner is to be told of.
    due: Option<Instant>,
    /// The first of those that requests have told of, by their sequences.
    told: VecDeque<(u64, Instant)>,
}

impl Latency {
    /// An event has been taken in that was read at this time.
    pub(super) fn took_in(&mut self, read: Instant) {
        self.taken.get_or_insert(read);
    }

    /// What was taken in since the last time has been looked at, and makes a difference to the planner or none.
    pub(super) fn settled(&mut self, makes_a_difference: bool) {
        let taken = self.taken.take().filter(|_| makes_a_difference);
        self.due = self.due.or(taken);
    }

    /// The planner has been told, in the request of this sequence; when there is more, it is told of in the next.
    pub(super) fn told(&mut self, sequence: u64, has_more: bool) {
        let due = if has_more { self.due } else { self.due.take() };
        self.told.extend(due.map(|read| (sequence, read)));
        if self.told.len() > MOST_REQUESTS {
            self.told.pop_front();
        }
    }

    /// When the first event was read that a plan follows from, by the sequence that it is based on.
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

    /// What was not told until now is told as part of everything, and says nothing of how long it takes.
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
