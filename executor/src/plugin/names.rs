//! What names on the command line mean, as kubectl's users write them.

use super::error::Error;

/// A name with what it says of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// `ds/NAME`, `NAMESPACE/NAME`.
    DaemonSet {
        /// The namespace, where the name says it.
        namespace: Option<String>,
        /// The DaemonSet's own name.
        name: String,
    },
    /// `node/NAME`.
    Node(String),
    /// `NAME`.
    Bare(String),
}

/// A DaemonSet by name; its namespace may be up to the flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonSetName {
    /// The namespace, where the name says it.
    pub namespace: Option<String>,
    /// The DaemonSet's own name.
    pub name: String,
}

/// What `explain` is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pair {
    /// Every DaemonSet when there is none.
    pub daemon_set: Option<DaemonSetName>,
    /// Every node when there is none.
    pub node: Option<String>,
}

impl Name {
    /// Understands a name.
    ///
    /// # Errors
    /// It is empty, has too many parts, or is of a kind that isn't asked about here.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parts: Vec<_> = text.split('/').collect();
        if parts.contains(&"") {
            return Err(refused(text, "a part of the name is empty"));
        }
        let daemon_set = |namespace: Option<&str>, name: &str| Self::DaemonSet {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        };
        match *parts.as_slice() {
            [name] => Ok(Self::Bare(name.to_owned())),
            [kind, name] if is_node(kind) => Ok(Self::Node(name.to_owned())),
            [kind, name] if is_daemon_set(kind) => Ok(daemon_set(None, name)),
            [kind, namespace, name] if is_daemon_set(kind) => Ok(daemon_set(Some(namespace), name)),
            [namespace, name] => Ok(daemon_set(Some(namespace), name)),
            _ => Err(refused(
                text,
                "expected ds/NAME, NAMESPACE/NAME, node/NAME or NAME",
            )),
        }
    }

    /// The DaemonSet, where none but a DaemonSet can be meant.
    ///
    /// # Errors
    /// It is a node, or can't be understood.
    pub fn daemon_set(text: &str) -> Result<DaemonSetName, Error> {
        match Self::parse(text)? {
            Self::DaemonSet { namespace, name } => Ok(DaemonSetName { namespace, name }),
            Self::Bare(name) => Ok(DaemonSetName {
                namespace: None,
                name,
            }),
            Self::Node(_) => Err(refused(text, "expected a DaemonSet, found a node")),
        }
    }

    /// The node, where none but a node can be meant.
    ///
    /// # Errors
    /// It is a DaemonSet, or can't be understood.
    pub fn node(text: &str) -> Result<String, Error> {
        match Self::parse(text)? {
            Self::Node(name) | Self::Bare(name) => Ok(name),
            Self::DaemonSet { .. } => Err(refused(text, "expected a node, found a DaemonSet")),
        }
    }
}

impl Pair {
    /// Understands one or two names. A bare one is a DaemonSet, unless the other one is.
    ///
    /// # Errors
    /// One can't be understood, or both are of one kind.
    pub fn parse(names: &[String]) -> Result<Self, Error> {
        let mut pair = Self::default();
        let mut bare = Vec::new();
        for text in names {
            match Name::parse(text)? {
                Name::Bare(name) => bare.push(name),
                Name::Node(name) if pair.node.is_none() => pair.node = Some(name),
                Name::DaemonSet { namespace, name } if pair.daemon_set.is_none() => {
                    pair.daemon_set = Some(DaemonSetName { namespace, name });
                }
                Name::Node(_) => return Err(refused(text, "expected a DaemonSet beside the node")),
                Name::DaemonSet { .. } => return Err(refused(text, "expected a node beside the DaemonSet")),
            }
        }
        for name in bare {
            if pair.daemon_set.is_none() {
                pair.daemon_set = Some(DaemonSetName {
                    namespace: None,
                    name,
                });
            } else {
                pair.node = Some(name);
            }
        }
        Ok(pair)
    }
}

/// `node`, `nodes` and kubectl's short name.
fn is_node(kind: &str) -> bool {
    ["node", "nodes", "no"].contains(&kind)
}

/// `ds`, `daemonset`, `daemonsets`, and those with their group.
fn is_daemon_set(kind: &str) -> bool {
    let (kind, group) = kind.split_once('.').unwrap_or((kind, "apps"));
    ["ds", "daemonset", "daemonsets"].contains(&kind) && ["apps", "v1.apps"].contains(&group)
}

fn refused(name: &str, message: &str) -> Error {
    Error::Usage(format!("{name}: {message}"))
}

#[cfg(test)]
mod tests;
