//! Tracks the lists of one watch. An object that a list leaves out is gone, but only once the list is complete.
//! Versions tell which events arrive out of order.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::{Text, version::Version};

/// How many of the most recently deleted objects are remembered. Events arrive moments late, not hours.
const MOST_GONE: usize = 1_000;

/// One watch and its lists.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The objects that the list in progress has named so far.
    seen: Option<HashSet<Text>>,
    /// The highest version that the watch has reported.
    watched: Version,
    /// The objects that have gone since the last list began, with the version at which they went. An older event
    /// doesn't bring an object back.
    gone: IndexMap<Text, Version>,
}

impl Listing {
    /// Begins a list.
    pub(super) fn begin(&mut self) {
        self.seen = Some(HashSet::new());
        self.gone.clear();
    }

    /// Records that the watch reports an object at this version. Returns whether the report counts. It doesn't if a
    /// newer version is `known`, or if the object has gone since.
    pub(super) fn shows(&mut self, key: &Text, version: &Version, known: Option<&Version>) -> bool {
        self.told(version);
        let is_listed = self.seen.as_mut().is_some_and(|seen| seen.insert(key.clone()));
        // A listed object counts even if its version is lower than before, as in a cluster that was restored from a
        // backup. Only a version that the watch has never reported, known from an answer alone, may be newer than the
        // list.
        let known = known.filter(|known| !is_listed || **known > self.watched);
        known.max(self.gone.get(key)).is_none_or(|known| version >= known)
    }

    /// Records that the watch reports an object as gone at this version. Returns whether the report counts. It doesn't
    /// if a newer version is `known`.
    pub(super) fn loses(&mut self, key: &Text, version: Version, known: Option<&Version>) -> bool {
        self.told(&version);
        let counts = known.is_none_or(|known| version >= *known);
        if counts {
            self.bury(key.clone(), version);
        }
        counts
    }

    /// Records that an object has gone at this version.
    pub(super) fn bury(&mut self, key: Text, version: Version) {
        self.gone.insert(key, version);
        if self.gone.len() > MOST_GONE {
            self.gone.shift_remove_index(0);
        }
    }

    /// Records that the watch has reached this version.
    pub(super) fn told(&mut self, version: &Version) {
        if *version > self.watched {
            self.watched = version.clone();
        }
    }

    /// The highest version that the watch has reported.
    pub(super) fn watched(&self) -> &Version {
        &self.watched
    }

    /// Completes the list. Returns the known objects that are not in it.
    pub(super) fn end<'a>(&mut self, known: impl Iterator<Item = &'a Text>) -> Vec<Text> {
        let seen = self.seen.take().unwrap_or_default();
        known.filter(|key| !seen.contains(*key)).cloned().collect()
    }

    /// Whether a list is in progress that may still name this object.
    pub(super) fn awaits(&self, key: &str) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.contains(key))
    }

    /// Whether a list has begun and isn't complete yet.
    pub(super) fn is_under_way(&self) -> bool {
        self.seen.is_some()
    }
}
