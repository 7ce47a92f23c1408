//! Rate limits: token buckets that refill at a steady rate.

use std::{collections::HashMap, hash::Hash};

use tokio::time::Instant;

/// Maximum number of buckets. At the limit, full buckets are dropped, because a new bucket starts full too.
const MAX_BUCKETS: usize = 1_024;

/// A steady rate, and the burst allowed after a quiet time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    pub(super) burst: f64,
}

/// A token bucket of one rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    rate: Rate,
    level: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            level: rate.burst,
            filled: now,
        }
    }

    fn level_at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        (self.level + passed * self.rate.per_second).min(self.rate.burst)
    }

    /// Whether the bucket holds at least one token now.
    pub(super) fn has_token(&self, now: Instant) -> bool {
        self.level_at(now) >= 1.0
    }

    fn is_full(&self, now: Instant) -> bool {
        self.level_at(now) >= self.rate.burst
    }

    /// Takes one token.
    pub(super) fn take(&mut self, now: Instant) {
        self.level = (self.level_at(now) - 1.0).max(0.0);
        self.filled = now;
    }
}

/// Token buckets of the same rate, one for each key.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    by_key: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            by_key: HashMap::new(),
        }
    }

    /// Whether this key's bucket holds at least one token now. False for a new key when there are too many
    /// buckets and none of them is full.
    pub(super) fn has_token(&self, key: &K, now: Instant) -> bool {
        match self.by_key.get(key) {
            Some(bucket) => bucket.has_token(now),
            None => self.by_key.len() < MAX_BUCKETS || self.by_key.values().any(|bucket| bucket.is_full(now)),
        }
    }

    /// Takes one token of this key.
    pub(super) fn take(&mut self, key: K, now: Instant) {
        if self.by_key.len() >= MAX_BUCKETS {
            self.by_key.retain(|_, bucket| !bucket.is_full(now));
        }
        let rate = self.rate;
        let bucket = self.by_key.entry(key).or_insert_with(|| Bucket::full(rate, now));
        bucket.take(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 2.0,
        burst: 3.0,
    };

    /// Takes tokens until the bucket is empty, and returns how many there were.
    fn drained(buckets: &mut Buckets<u32>, key: u32, now: Instant) -> u32 {
        let mut count = 0;
        while buckets.has_token(&key, now) {
            buckets.take(key, now);
            count += 1;
        }
        count
    }

    #[test]
    fn each_key_has_a_burst_then_the_steady_rate() {
        let (mut buckets, now) = (Buckets::new(RATE), Instant::now());
        assert_eq!(drained(&mut buckets, 1, now), 3);
        assert_eq!(drained(&mut buckets, 2, now), 3);
        let later = now + Duration::from_secs(1);
        assert_eq!(drained(&mut buckets, 1, later), 2);
        assert_eq!(drained(&mut buckets, 1, later + Duration::from_hours(1)), 3);
    }

    #[test]
    fn number_of_buckets_is_bounded_and_full_ones_are_dropped() {
        let (mut buckets, now) = (Buckets::new(RATE), Instant::now());
        for key in 0..1_024 {
            buckets.take(key, now);
        }
        assert!(!buckets.has_token(&5_000, now));
        let later = now + Duration::from_secs(1);
        assert!(buckets.has_token(&5_000, later));
        buckets.take(5_000, later);
        assert_eq!(buckets.by_key.len(), 1);
    }
}
