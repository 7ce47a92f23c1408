//! Identifies objects, and the `DaemonSet` that controls an object.

use super::Meta;

/// The identity of an object of a known kind.
///
/// A uid alone doesn't identify an object: the author of a controller reference can write any uid into it, and the API
/// server doesn't check that the uid belongs to the name and the namespace. Mirrors `resolveControllerRef`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity<'a> {
    /// metadata.namespace.
    pub namespace: &'a str,
    /// metadata.name.
    pub name: &'a str,
    /// metadata.uid.
    pub uid: &'a str,
}

impl<A> Meta<A> {
    /// Returns the object's own identity.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            namespace: &self.namespace,
            name: &self.name,
            uid: &self.uid,
        }
    }

    /// Returns the identity of the `DaemonSet` that the object's controller reference names, if any. Owner references
    /// don't cross namespaces, so the `DaemonSet` is in the object's own namespace.
    pub fn controlling_daemon_set(&self) -> Option<Identity<'_>> {
        let owner = self.controller().filter(|owner| owner.is_daemon_set())?;
        Some(Identity {
            namespace: &self.namespace,
            name: &owner.name,
            uid: &owner.uid,
        })
    }
}
