//! A cache of the objects of one kind, fed by the kind's watch.

use std::collections::HashMap;

use super::{Cluster, SharedStr, Version, listing::Listing};
use crate::apiserver::{objects::Watched, watch::Event};

/// A watched kind with a [`Cache`]. The trait contains everything that differs between these kinds.
///
/// Pods have a cache of their own. It keeps one copy of data that many pods share, and it may hold pods that their
/// watch hasn't reported yet.
pub(super) trait Cached: Watched {
    /// The data that is cached for an object.
    type Value;
    /// Whether a later object may have the same key. Names are reused; uids never are.
    const REUSES_KEYS: bool;

    /// The key of the object: its uid, or the name by which other objects refer to it.
    fn cache_key(&self) -> &str;

    /// The cache of this kind.
    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value>;

    /// Caches the object at this version, and records what has changed.
    fn set(self, cluster: &mut Cluster, key: SharedStr, version: Version);

    /// Forgets an object that is gone, and records what has changed.
    fn forget(cluster: &mut Cluster, key: &SharedStr);
}

/// The cached data of an object, and the object's version.
#[derive(Debug)]
pub(super) struct Versioned<V> {
    pub(super) value: V,
    pub(super) version: Version,
}

/// The objects of one kind by key, and the state of their watch.
#[derive(Debug)]
pub(super) struct Cache<V> {
    objects: HashMap<SharedStr, Versioned<V>>,
    /// The state of the watch and its lists.
    pub(super) listing: Listing,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            listing: Listing::default(),
        }
    }
}

impl<V> Cache<V> {
    pub(super) fn get(&self, key: &str) -> Option<&V> {
        self.objects.get(key).map(|known| &known.value)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Versioned<V>> {
        self.objects.get_mut(key)
    }

    /// The version of an object, if it is cached.
    pub(super) fn version(&self, key: &str) -> Option<&Version> {
        self.objects.get(key).map(|known| &known.version)
    }

    pub(super) fn insert(&mut self, key: SharedStr, value: V, version: Version) {
        self.objects.insert(key, Versioned { value, version });
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<V> {
        self.objects.remove(key).map(|known| known.value)
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SharedStr> {
        self.objects.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.objects.values().map(|known| &known.value)
    }

    /// All objects with their keys, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SharedStr, &V)> {
        self.objects.iter().map(|(key, known)| (key, &known.value))
    }

    /// Records that the watch has reported an object. Returns whether to apply the report.
    fn on_changed(&mut self, key: &SharedStr, version: &Version) -> bool {
        let known = self.objects.get(key).map(|known| &known.version);
        self.listing.on_changed(key, version, known)
    }

    /// Records that the watch has reported an object as gone. Returns whether to apply the report.
    fn on_gone(&mut self, key: &SharedStr, version: Version, reuses_keys: bool) -> bool {
        // If keys are reused, a newer object may already be cached under this key. If not, this is the key's last
        // event, whatever version is cached.
        let known = self.objects.get(key).filter(|_| reuses_keys);
        self.listing
            .on_gone(key, version, known.map(|known| &known.version))
    }

    /// Records that the list is complete. Returns the keys of the objects that are not in it.
    fn on_list_end(&mut self) -> Vec<SharedStr> {
        self.listing.finish(self.objects.keys())
    }
}

impl Cluster {
    /// Applies an event of the watch of a kind with a [`Cache`].
    pub(super) fn apply_event<T: Cached>(&mut self, event: Event<T>) {
        match event {
            Event::ListBegins => T::cache(self).listing.begin(),
            Event::Changed(object) => {
                let key: SharedStr = object.cache_key().into();
                let version = Version::parse(object.version());
                if T::cache(self).on_changed(&key, &version) {
                    object.set(self, key, version);
                }
            }
            Event::Gone(object) => {
                let key: SharedStr = object.cache_key().into();
                let version = Version::parse(object.version());
                if T::cache(self).on_gone(&key, version, T::REUSES_KEYS) {
                    T::forget(self, &key);
                }
            }
            Event::ListEnds => {
                self.unlisted.remove(T::KIND);
                for key in T::cache(self).on_list_end() {
                    T::forget(self, &key);
                }
            }
        }
    }
}
