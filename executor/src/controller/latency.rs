//! Measures the time from when a watch reads an event to the plan and the actions that follow from it.
//!
//! One request reports many events to the planner, so the time counts from the first of them. Nothing is stored per
//! object.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Maximum number of requests whose times are stored. Far fewer wait for their plans at any time.
const MAX_REQUESTS: usize = 256;

/// When events were read.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// Read time of the first event that has been applied but not processed.
    applied: Option<Instant>,
    /// Read time of the first event that has not been sent to the planner yet.
    unsent: Option<Instant>,
    /// Read time of the first event of each request, with the request's sequence.
    sent: VecDeque<(u64, Instant)>,
}

impl Latency {
    /// Records that an event has been applied. `read` is when it was read.
    pub(super) fn on_applied(&mut self, read: Instant) {
        self.applied.get_or_insert(read);
    }

    /// Records that the events applied since the last call are processed. `has_facts` says whether they led to facts
    /// for the planner.
    pub(super) fn on_processed(&mut self, has_facts: bool) {
        let applied = self.applied.take().filter(|_| has_facts);
        self.unsent = self.unsent.or(applied);
    }

    /// Records that facts were sent in the request with this sequence. If `has_more`, the next request has the rest.
    pub(super) fn on_sent(&mut self, sequence: u64, has_more: bool) {
        let unsent = if has_more { self.unsent } else { self.unsent.take() };
        self.sent.extend(unsent.map(|read| (sequence, read)));
        if self.sent.len() > MAX_REQUESTS {
            self.sent.pop_front();
        }
    }

    /// Returns the read time of the first event that led to a plan, given the sequence that the plan is based on.
    pub(super) fn event_read(&mut self, based_on: u64) -> Option<Instant> {
        while self
            .sent
            .front()
            .is_some_and(|(sequence, _)| *sequence < based_on)
        {
            self.sent.pop_front();
        }
        let (sequence, read) = self.sent.front()?;
        (*sequence == based_on).then_some(*read)
    }

    /// Forgets all times. Unsent events become part of a full sync, which says nothing about latency.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn latency_counts_from_the_first_event_of_a_request() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut latency = Latency::default();
        latency.on_applied(at(1));
        latency.on_processed(false);
        latency.on_applied(at(2));
        latency.on_applied(at(3));
        latency.on_processed(true);
        latency.on_applied(at(4));
        latency.on_processed(true);
        latency.on_sent(7, true);
        latency.on_sent(8, false);
        latency.on_sent(9, false);
        assert_eq!(latency.event_read(6), None, "a request without events");
        assert_eq!([latency.event_read(7), latency.event_read(7)], [Some(at(2)); 2]);
        assert_eq!(
            [
                latency.event_read(8),
                latency.event_read(9),
                latency.event_read(8)
            ],
            [Some(at(2)), None, None]
        );
        latency.on_applied(at(5));
        latency.on_processed(true);
        latency.reset();
        latency.on_sent(10, false);
        assert_eq!(latency.event_read(10), None);
    }
}
