//! One copy of each string that a session has seen.

use std::{collections::HashSet, sync::Arc};

use crate::model::Text;

/// Hands out shared strings. Those that nobody else holds any more are dropped when the table would grow.
#[derive(Debug, Default)]
pub struct Interner {
    known: HashSet<Text>,
}

impl Interner {
    /// The shared copy of a string.
    pub fn text(&mut self, text: &str) -> Text {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        if self.known.len() == self.known.capacity() {
            self.known.retain(|text| Arc::strong_count(text) > 1);
            // With hardly any room won, the next few strings would sweep the table again.
            self.known.reserve(self.known.len().max(16));
        }
        let text: Text = text.into();
        self.known.insert(text.clone());
        text
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
        assert!(
            interner.known.len() < 100,
            "{} strings are kept",
            interner.known.len()
        );
        assert!(Arc::ptr_eq(&held, &interner.text("held")));
    }
}
