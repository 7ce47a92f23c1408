//! Stores one copy of each value that many holders share.

use std::{hash::Hash, sync::Arc};

use hashbrown::HashSet;

/// A set of shared values, with one copy of equal values. When the table would grow, it first drops the values that no
/// one else holds.
///
/// Nothing depends on the order of the table. The hash is seeded at random, so that nobody can choose labels that
/// collide.
#[derive(Debug)]
pub struct SharedValues<T: ?Sized> {
    values: HashSet<Arc<T>>,
}

impl<T: ?Sized> Default for SharedValues<T> {
    fn default() -> Self {
        Self {
            values: HashSet::default(),
        }
    }
}

impl<T: ?Sized> SharedValues<T> {
    /// Returns the number of stored values, including those that no one else holds and that haven't been dropped yet.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no values are stored.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl<T: ?Sized + Eq + Hash> SharedValues<T> {
    /// Returns the shared copy of a value. Stores the value if there is no copy yet.
    pub fn share<B: std::borrow::Borrow<T> + Into<Arc<T>>>(&mut self, value: B) -> Arc<T> {
        if let Some(shared) = self.values.get(value.borrow()) {
            return shared.clone();
        }
        if self.values.len() == self.values.capacity() {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            // Without this, a sweep that drops few values would soon be repeated.
            self.values.reserve(self.values.len().max(16));
        }
        let value: Arc<T> = value.into();
        self.values.insert(value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_stored_once() {
        let mut shared: SharedValues<str> = SharedValues::default();
        assert!(Arc::ptr_eq(&shared.share("a"), &shared.share("a")));
    }

    #[test]
    fn values_without_other_holders_are_dropped_in_time() {
        let mut shared: SharedValues<str> = SharedValues::default();
        let held = shared.share("held");
        for number in 0..10_000 {
            shared.share(number.to_string().as_str());
        }
        let kept = shared.values.len();
        assert!(kept < 100, "{kept} strings are kept");
        assert!(Arc::ptr_eq(&held, &shared.share("held")));
    }
}
