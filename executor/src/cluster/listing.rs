//! What a list leaves out is gone, but only once the list is complete.

use std::collections::HashSet;

use super::Text;

/// The lists of one watch.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// What the list that is coming in has named so far.
    seen: Option<HashSet<Text>>,
    complete: bool,
}

impl Listing {
    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.seen = Some(HashSet::new());
    }

    /// Something is there.
    pub(super) fn saw(&mut self, key: &Text) {
        if let Some(seen) = &mut self.seen {
            seen.insert(key.clone());
        }
    }

    /// The list is complete: returns what was known and is not in it.
    pub(super) fn end<'a>(&mut self, known: impl Iterator<Item = &'a Text>) -> Vec<Text> {
        self.complete = true;
        let seen = self.seen.take().unwrap_or_default();
        known.filter(|key| !seen.contains(*key)).cloned().collect()
    }

    /// Whether a list has begun that isn't complete yet.
    pub(super) fn is_under_way(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether there has been a complete list.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }
}
