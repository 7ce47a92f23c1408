//! An object's metadata.

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    StringMap,
    fields::{Annotations, list, null_as_default, string_map, time},
};

/// An object's metadata. Annotations are skipped unless `A` holds them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "A: Annotations"))]
pub struct Meta<A = IgnoredAny> {
    /// metadata.name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// metadata.namespace; empty for cluster-scoped objects.
    #[serde(deserialize_with = "null_as_default")]
    pub namespace: String,
    /// metadata.uid.
    #[serde(deserialize_with = "null_as_default")]
    pub uid: String,
    /// metadata.resourceVersion.
    #[serde(deserialize_with = "null_as_default")]
    pub resource_version: String,
    /// metadata.generation.
    #[serde(deserialize_with = "null_as_default")]
    pub generation: i64,
    /// metadata.labels.
    #[serde(deserialize_with = "string_map")]
    pub labels: StringMap,
    /// metadata.annotations.
    #[serde(deserialize_with = "Annotations::read")]
    pub annotations: A,
    /// metadata.ownerReferences.
    #[serde(deserialize_with = "list")]
    pub owner_references: Vec<OwnerReference>,
    /// metadata.creationTimestamp.
    #[serde(deserialize_with = "time")]
    pub creation_timestamp: Option<Timestamp>,
    /// metadata.deletionTimestamp: set once the object is being deleted.
    #[serde(deserialize_with = "time")]
    pub deletion_timestamp: Option<Timestamp>,
}

impl<A> Meta<A> {
    /// The reference to the object's controller, if it has one.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// One of an object's metadata.ownerReferences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// The owner's apiVersion, such as apps/v1.
    #[serde(deserialize_with = "null_as_default")]
    pub api_version: String,
    /// The owner's kind.
    #[serde(deserialize_with = "null_as_default")]
    pub kind: String,
    /// The owner's name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// The owner's uid.
    #[serde(deserialize_with = "null_as_default")]
    pub uid: String,
    /// Whether the owner manages the object.
    #[serde(deserialize_with = "null_as_default")]
    pub controller: bool,
}

impl OwnerReference {
    /// Whether the owner's kind is `DaemonSet`.
    ///
    /// As in kube-controller-manager, the apiVersion doesn't matter: old objects still refer to extensions/v1beta1. Other
    /// API groups have `DaemonSet`s too, so callers must also compare the uid.
    pub fn is_daemon_set(&self) -> bool {
        self.kind == "DaemonSet"
    }
}
