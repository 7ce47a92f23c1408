//! A bounded cache of answers that expire.

use std::{collections::HashMap, hash::Hash};

use tokio::time::Instant;

/// A bounded cache of answers. A full cache evicts the least recently used answer.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    capacity: usize,
    entries: HashMap<K, Entry<V>>,
    /// Number of uses so far. It orders the entries by their last use.
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    until: Instant,
    used: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: HashMap::new(),
            uses: 0,
        }
    }

    /// Returns the answer if there is one that hasn't expired.
    pub(super) fn get(&mut self, key: &K, now: Instant) -> Option<V> {
        self.uses = self.uses.wrapping_add(1);
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        (entry.until > now).then(|| entry.value.clone())
    }

    /// Whether there is an answer, even an expired one.
    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V, until: Instant) {
        self.uses = self.uses.wrapping_add(1);
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.entries.remove(&oldest);
            }
        }
        let used = self.uses;
        self.entries.insert(key, Entry { value, until, used });
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn answer_expires_at_its_time() {
        let mut cache = Cache::new(2);
        let now = Instant::now();
        let (before, until) = (now + Duration::from_secs(9), now + Duration::from_secs(10));
        cache.insert("a", 1, until);
        assert_eq!(cache.get(&"a", before), Some(1));
        assert_eq!(cache.get(&"a", until), None);
        assert!(cache.contains(&"a"), "an expired answer is still in the cache");
        cache.remove(&"a");
        assert!(!cache.contains(&"a"));
    }

    #[test]
    fn full_cache_evicts_the_least_recently_used_answer() {
        let mut cache = Cache::new(2);
        let now = Instant::now();
        let until = now + Duration::from_secs(10);
        cache.insert("a", 1, until);
        cache.insert("b", 2, until);
        cache.insert("b", 3, until);
        cache.get(&"a", now);
        cache.insert("c", 4, until);
        assert_eq!(cache.get(&"a", now), Some(1));
        assert_eq!(cache.get(&"b", now), None);
        assert_eq!(cache.get(&"c", now), Some(4));
    }
}
