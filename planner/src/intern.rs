//! One copy of each thing that many hold.

use std::{hash::Hash, sync::Arc};

use hashbrown::HashSet;

use crate::model::Text;

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

/// One copy of each string that a session has seen.
#[derive(Debug, Default)]
pub struct Interner {
    strings: Pool<str>,
}

impl Interner {
    /// The shared copy of a string.
    pub fn text(&mut self, text: &str) -> Text {
        self.strings.share(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_stored_once() {
        let mut interner = Interner::default();
        assert!(Arc::ptr_eq(&interner.text("a"), &interner.text("a")));
    }

    #[test]
    fn strings_that_nobody_holds_are_dropped_in_time() {
        let mut interner = Interner::default();
        let held = interner.text("held");
        for number in 0..10_000 {
            interner.text(&number.to_string());
        }
        let kept = interner.strings.known.len();
        assert!(kept < 100, "{kept} strings are kept");
        assert!(Arc::ptr_eq(&held, &interner.text("held")));
    }
}
