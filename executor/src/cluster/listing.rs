//! Tracks the lists of one watch. An object that is missing from a list is gone, but only once the list is complete.
//! Versions show which events arrive out of order.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::{SharedStr, version::Version};

/// Maximum number of tombstones. The oldest are dropped first, because events arrive at most moments late.
const MAX_TOMBSTONES: usize = 1_000;

/// One watch and its lists.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The objects that the list in progress has named so far.
    listed: Option<HashSet<SharedStr>>,
    /// The highest version that the watch has reported.
    latest_version: Version,
    /// The objects deleted since the last list began, with the version of the deletion. An older event doesn't restore
    /// such an object.
    tombstones: IndexMap<SharedStr, Version>,
}

impl Listing {
    /// Begins a list.
    pub(super) fn begin(&mut self) {
        self.listed = Some(HashSet::new());
        self.tombstones.clear();
    }

    /// Records that the watch reports an object at this version. Returns whether to apply the report. A report is
    /// ignored if a newer version is `known`, or if the object was deleted later.
    pub(super) fn on_changed(&mut self, key: &SharedStr, version: &Version, known: Option<&Version>) -> bool {
        self.record_version(version);
        let is_listed = self
            .listed
            .as_mut()
            .is_some_and(|listed| listed.insert(key.clone()));
        // A listed object is applied even if its version is lower than the known one, as in a cluster that was restored
        // from a backup. The exception is a known version that a response has reported and the watch hasn't: it may be
        // newer than the list.
        let known = known.filter(|known| !is_listed || **known > self.latest_version);
        known
            .max(self.tombstones.get(key))
            .is_none_or(|known| version >= known)
    }

    /// Records that the watch reports an object as gone at this version. Returns whether to apply the report. A report
    /// is ignored if a newer version is `known`.
    pub(super) fn on_gone(&mut self, key: &SharedStr, version: Version, known: Option<&Version>) -> bool {
        self.record_version(&version);
        let counts = known.is_none_or(|known| version >= *known);
        if counts {
            self.add_tombstone(key.clone(), version);
        }
        counts
    }

    /// Adds a tombstone: the object was deleted at this version.
    pub(super) fn add_tombstone(&mut self, key: SharedStr, version: Version) {
        self.tombstones.insert(key, version);
        if self.tombstones.len() > MAX_TOMBSTONES {
            self.tombstones.shift_remove_index(0);
        }
    }

    /// Records that the watch has reached this version.
    pub(super) fn record_version(&mut self, version: &Version) {
        if *version > self.latest_version {
            self.latest_version = version.clone();
        }
    }

    /// The highest version that the watch has reported.
    pub(super) fn latest_version(&self) -> &Version {
        &self.latest_version
    }

    /// Completes the list. Returns the known objects that are not in it.
    pub(super) fn finish<'a>(&mut self, known: impl Iterator<Item = &'a SharedStr>) -> Vec<SharedStr> {
        let listed = self.listed.take().unwrap_or_default();
        known.filter(|key| !listed.contains(*key)).cloned().collect()
    }

    /// Whether a list is in progress that may still name this object.
    pub(super) fn may_still_list(&self, key: &str) -> bool {
        self.listed.as_ref().is_some_and(|listed| !listed.contains(key))
    }

    /// Whether a list has begun and isn't complete yet.
    pub(super) fn is_in_progress(&self) -> bool {
        self.listed.is_some()
    }
}
