//! What a list leaves out is gone, but only once the list is complete; and what comes out of turn is known by its version.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::{Text, version::Version};

/// How many of those that went last are remembered. Events come late by moments, not by hours.
const MOST_GONE: usize = 1_000;

/// One watch, with its lists.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// What the list that is coming in has named so far.
    seen: Option<HashSet<Text>>,
    complete: bool,
    /// The highest version that the watch has told of.
    watched: Version,
    /// What has gone since the last list began, and as of which version: an older event doesn't bring it back.
    gone: IndexMap<Text, Version>,
}

impl Listing {
    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.seen = Some(HashSet::new());
        self.gone.clear();
    }

    /// The watch shows something as of this version. Says whether that counts: not when something newer is `known` of it, or when it
    /// has gone since.
    pub(super) fn shows(&mut self, key: &Text, version: &Version, known: Option<&Version>) -> bool {
        self.told(version);
        let is_listed = self.seen.as_mut().is_some_and(|seen| seen.insert(key.clone()));
        // A list counts, even where its versions are lower than before, as in a cluster that was restored from a backup. Only what
        // nothing but an answer has told of may be younger than it.
        let known = known.filter(|known| !is_listed || **known > self.watched);
        known.max(self.gone.get(key)).is_none_or(|known| version >= known)
    }

    /// The watch shows something as of this version that is gone. Says whether that counts: not when something newer is `known`.
    pub(super) fn loses(&mut self, key: &Text, version: Version, known: Option<&Version>) -> bool {
        self.told(&version);
        let counts = known.is_none_or(|known| version >= *known);
        if counts {
            self.bury(key.clone(), version);
        }
        counts
    }

    /// Something has gone as of this version.
    pub(super) fn bury(&mut self, key: Text, version: Version) {
        self.gone.insert(key, version);
        if self.gone.len() > MOST_GONE {
            self.gone.shift_remove_index(0);
        }
    }

    /// The watch has come to this version.
    pub(super) fn told(&mut self, version: &Version) {
        if *version > self.watched {
            self.watched = version.clone();
        }
    }

    /// The highest version that the watch has told of.
    pub(super) fn watched(&self) -> &Version {
        &self.watched
    }

    /// The list is complete: returns what was known and is not in it.
    pub(super) fn end<'a>(&mut self, known: impl Iterator<Item = &'a Text>) -> Vec<Text> {
        self.complete = true;
        let seen = self.seen.take().unwrap_or_default();
        known.filter(|key| !seen.contains(*key)).cloned().collect()
    }

    /// Whether a list is coming in that may still name this.
    pub(super) fn awaits(&self, key: &str) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.contains(key))
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
