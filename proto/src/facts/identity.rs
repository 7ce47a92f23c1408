//! What identifies an object, and which `DaemonSet` controls it.

use super::Meta;

/// What identifies an object of a known kind.
///
/// A uid alone doesn't: whoever writes a controller reference chooses the uid in it, and the API server checks neither the
/// name nor the namespace. Mirrors `resolveControllerRef`.
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
    /// The object's own identity.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            namespace: &self.namespace,
            name: &self.name,
            uid: &self.uid,
        }
    }

    /// The `DaemonSet` that the object's controller reference names, if it names one. Owner references cross no namespace,
    /// so it is one of the object's own namespace.
    pub fn controlling_daemon_set(&self) -> Option<Identity<'_>> {
        let owner = self.controller().filter(|owner| owner.is_daemon_set())?;
        Some(Identity {
            namespace: &self.namespace,
            name: &owner.name,
            uid: &owner.uid,
        })
    }
}
