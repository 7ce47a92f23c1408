//! Which `DaemonSet` a pod or a `ControllerRevision` belongs to.

use everynode_proto::facts::Identity;

use super::SharedStr;

/// The identity of a `DaemonSet`, as a controller reference gives it.
///
/// All fields must match: a user who may create pods in some namespace can put the uid of a `DaemonSet` from another
/// namespace into a controller reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    /// metadata.namespace.
    pub namespace: SharedStr,
    /// metadata.name.
    pub name: SharedStr,
    /// metadata.uid.
    pub uid: SharedStr,
}

impl Owner {
    /// The same identity, borrowed.
    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity {
            namespace: &self.namespace,
            name: &self.name,
            uid: &self.uid,
        }
    }
}

impl From<Identity<'_>> for Owner {
    fn from(identity: Identity<'_>) -> Self {
        Self {
            namespace: identity.namespace.into(),
            name: identity.name.into(),
            uid: identity.uid.into(),
        }
    }
}
