//! One copy of each thing that many hold.

use std::{hash::Hash, sync::Arc};

use hashbrown::HashSet;

/// Hands out shared things, each equal one only once. Those that nobody else holds any more are dropped when the table
/// would grow.
///
/// Nobody ever asks for the table's order, so it may differ from process to process: the hash's seed does, which keeps
/// those away who would choose labels that collide.
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
    /// How many things it keeps, with those that nobody else holds any more and that have not been dropped yet.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// The shared copy of a thing, made when there is none yet.
    pub fn share<B: std::borrow::Borrow<T> + Into<Arc<T>>>(&mut self, thing: B) -> Arc<T> {
        if let Some(known) = self.known.get(thing.borrow()) {
            return known.clone();
        }
        if self.known.len() == self.known.capacity() {
            self.known.retain(|thing| Arc::strong_count(thing) > 1);
            // With hardly any room won, the next few would sweep the table again.
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
