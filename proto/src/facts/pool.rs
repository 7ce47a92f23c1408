//! Keeps one copy of each value that many holders share.

use std::{hash::Hash, sync::Arc};

use hashbrown::HashSet;

/// Hands out shared values, with only one copy of equal ones. Values that nobody else holds any more are dropped when
/// the table would grow.
///
/// Nothing ever depends on the table's order, so it may differ from process to process. The hash's seed does differ, so
/// that nobody can choose labels that collide.
#[derive(Debug)]
pub struct Pool<T: ?Sized> {
    known: HashSet<Arc<T>>,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self {
            known: HashSet::default(),
        }
    }
}

impl<T: ?Sized> Pool<T> {
    /// Returns the number of values that the pool keeps, including those that nobody else holds any more and that have
    /// not been dropped yet.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether the pool keeps no values.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// Returns the shared copy of a value, and makes it if there is none yet.
    pub fn share<B: std::borrow::Borrow<T> + Into<Arc<T>>>(&mut self, thing: B) -> Arc<T> {
        if let Some(known) = self.known.get(thing.borrow()) {
            return known.clone();
        }
        if self.known.len() == self.known.capacity() {
            self.known.retain(|thing| Arc::strong_count(thing) > 1);
            // Without this, a sweep that frees hardly any room would be repeated by the next few calls.
            self.known.reserve(self.known.len().max(16));
        }
        let thing: Arc<T> = thing.into();
        self.known.insert(thing.clone());
        thing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_things_are_stored_once() {
        let mut pool: Pool<str> = Pool::default();
        assert!(Arc::ptr_eq(&pool.share("a"), &pool.share("a")));
    }

    #[test]
    fn things_that_nobody_holds_are_dropped_in_time() {
        let mut pool: Pool<str> = Pool::default();
        let held = pool.share("held");
        for number in 0..10_000 {
            pool.share(number.to_string().as_str());
        }
        let kept = pool.known.len();
        assert!(kept < 100, "{kept} strings are kept");
        assert!(Arc::ptr_eq(&held, &pool.share("held")));
    }
}
