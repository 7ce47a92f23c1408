//! Parses the names of DaemonSets and nodes on the command line, as kubectl's users write them.

use super::error::Error;

/// A name from the command line, with its kind if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// `ds/NAME` or `NAMESPACE/NAME`.
    DaemonSet { namespace: Option<String>, name: String },
    /// `node/NAME`.
    Node(String),
    /// `NAME`, without a kind.
    Bare(String),
}

/// A DaemonSet's name. Without a namespace here, the flags or the context determine it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DaemonSetName {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// The DaemonSet and the node that `explain` is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The DaemonSet; `None` means every DaemonSet.
    pub(crate) daemon_set: Option<DaemonSetName>,
    /// The node; `None` means every node.
    pub(crate) node: Option<String>,
}

impl Name {
    /// Parses a name of either kind.
    ///
    /// # Errors
    /// A part of the name is empty, or the name has none of the supported forms.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let parts: Vec<_> = text.split('/').collect();
        if parts.contains(&"") {
            return Err(usage(text, "a part of the name is empty"));
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
            _ => Err(usage(text, "expected ds/NAME, NAMESPACE/NAME, node/NAME or NAME")),
        }
    }

    /// Parses the name of a DaemonSet, with or without its kind.
    ///
    /// # Errors
    /// The name is invalid, or names a node.
    pub(crate) fn daemon_set(text: &str) -> Result<DaemonSetName, Error> {
        match Self::parse(text)? {
            Self::DaemonSet { namespace, name } => Ok(DaemonSetName { namespace, name }),
            Self::Bare(name) => Ok(DaemonSetName {
                namespace: None,
                name,
            }),
            Self::Node(_) => Err(usage(text, "expected a DaemonSet, found a node")),
        }
    }

    /// Parses the name of a node, with or without its kind.
    ///
    /// # Errors
    /// The name is invalid, or names a DaemonSet.
    pub(crate) fn node(text: &str) -> Result<String, Error> {
        match Self::parse(text)? {
            Self::Node(name) | Self::Bare(name) => Ok(name),
            Self::DaemonSet { .. } => Err(usage(text, "expected a node, found a DaemonSet")),
        }
    }
}

impl Pair {
    /// Parses one or two names. A name without a kind is a DaemonSet, unless the other name is one.
    ///
    /// # Errors
    /// A name is invalid, or both are of the same kind.
    pub(crate) fn parse(names: &[String]) -> Result<Self, Error> {
        let mut pair = Self::default();
        let mut bare = Vec::new();
        for text in names {
            match Name::parse(text)? {
                Name::Bare(name) => bare.push(name),
                Name::Node(name) if pair.node.is_none() => pair.node = Some(name),
                Name::DaemonSet { namespace, name } if pair.daemon_set.is_none() => {
                    pair.daemon_set = Some(DaemonSetName { namespace, name });
                }
                Name::Node(_) => return Err(usage(text, "expected a DaemonSet beside the node")),
                Name::DaemonSet { .. } => return Err(usage(text, "expected a node beside the DaemonSet")),
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

/// Whether a kind is `node`, `nodes` or `no`, kubectl's short name.
fn is_node(kind: &str) -> bool {
    ["node", "nodes", "no"].contains(&kind)
}

/// Whether a kind is `ds`, `daemonset` or `daemonsets`, with or without the group.
fn is_daemon_set(kind: &str) -> bool {
    let (kind, group) = kind.split_once('.').unwrap_or((kind, "apps"));
    ["ds", "daemonset", "daemonsets"].contains(&kind) && ["apps", "v1.apps"].contains(&group)
}

fn usage(name: &str, message: &str) -> Error {
    Error::Usage(format!("{name}: {message}"))
}

#[cfg(test)]
mod tests;
