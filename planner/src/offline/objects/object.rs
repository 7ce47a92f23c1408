//! One Kubernetes object of the input.

use std::ops::{Deref, DerefMut};

use everynode_proto::planner::v1::Problem;
use serde_json::{Map, Value};

use super::super::{kind::Kind, place::Place};
use crate::unary::object_name;

/// The namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// The fields of an object.
pub(crate) type Fields = Map<String, Value>;

/// A Kubernetes object. It can be used like its fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    /// The object's fields.
    pub(crate) fields: Fields,
    /// The place of the object in the input.
    pub(crate) place: Place,
    /// Why API servers refuse the object's kind or apiVersion, if they do.
    pub(crate) problem: Option<Box<Problem>>,
}

impl Object {
    /// metadata.name. Empty if there is none.
    pub(crate) fn name(&self) -> &str {
        self.metadata("name")
    }

    /// metadata.namespace, or the default namespace.
    pub(crate) fn namespace(&self) -> &str {
        match self.metadata("namespace") {
            "" => DEFAULT_NAMESPACE,
            namespace => namespace,
        }
    }

    /// namespace/name, as the answers print it.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    /// The name that identifies the object among those of its kind.
    pub(crate) fn full_name(&self, kind: Kind) -> String {
        if kind.is_namespaced() {
            self.key()
        } else {
            self.name().to_owned()
        }
    }

    /// The name that problems give the object, which is the one at `index` among those of its kind.
    pub(crate) fn name_in_problems(&self, kind: Kind, index: usize) -> String {
        let full_name = self.full_name(kind);
        let name = (!self.name().is_empty()).then_some(full_name.as_str());
        object_name(kind.name(), name, index)
    }

    /// All names that problems may give the object. If it can't be read, they don't add the default namespace. If its
    /// name is empty, some have the empty name, and some its position.
    pub(crate) fn names_in_problems(&self, kind: Kind, index: usize) -> [String; 3] {
        let written = match self.metadata("namespace") {
            "" => self.name().to_owned(),
            namespace => format!("{namespace}/{}", self.name()),
        };
        let full_name = self.full_name(kind);
        [
            self.name_in_problems(kind, index),
            object_name(kind.name(), Some(&full_name), index),
            object_name(kind.name(), Some(&written), index),
        ]
    }

    /// A text in metadata. Empty if there is none.
    pub(crate) fn metadata(&self, key: &str) -> &str {
        let metadata = self.fields.get("metadata").and_then(|metadata| metadata.get(key));
        metadata.and_then(Value::as_str).unwrap_or_default()
    }
}

impl Deref for Object {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.fields
    }
}

impl DerefMut for Object {
    fn deref_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }
}
