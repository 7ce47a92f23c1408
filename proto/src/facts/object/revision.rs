//! `ControllerRevision`s, the history of a `DaemonSet`'s templates.

use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{Meta, fields::null_as_default};

/// A `ControllerRevision`. `D` is the form of its data, which is skipped by default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, bound(deserialize = "D: DeserializeOwned + Default"))]
pub struct ControllerRevision<D = IgnoredAny> {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
    /// Its revision number: higher is newer.
    #[serde(deserialize_with = "null_as_default")]
    pub revision: i64,
    /// The patch that restores the template.
    #[serde(deserialize_with = "null_as_default")]
    pub data: D,
}
