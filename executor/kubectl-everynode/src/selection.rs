//! The DaemonSets and nodes that the arguments and flags of a command select.

use std::collections::{BTreeSet, HashSet};

use everynode_serving::program::glob;

use super::{
    args::DaemonSetFilterArgs,
    connection::Connector,
    error::Error,
    kubectl::Kubectl,
    names::{DaemonSetName, Name},
};

/// Selects the DaemonSets that a request is about. An empty field matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Filter {
    /// Whether the filter matches this DaemonSet, named as namespace/name.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        (self.namespace.is_empty() || self.namespace == namespace)
            && (self.name.is_empty() || self.name == name)
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "" => formatter.write_str(&self.name),
            namespace => write!(formatter, "{namespace}/{}", self.name),
        }
    }
}

/// The DaemonSets that a command is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The named DaemonSets, or else one filter for all of a namespace.
    pub(crate) filters: Vec<Filter>,
    /// The DaemonSets that match the label selector, as namespace/name. `None` without a selector.
    labeled: Option<HashSet<String>>,
}

impl Selection {
    /// Whether the selection contains this DaemonSet, named as namespace/name.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.is_named(key) && self.has_labels(key)
    }

    /// Whether a name, or the namespace, selects this DaemonSet.
    fn is_named(&self, key: &str) -> bool {
        self.filters.iter().any(|filter| filter.matches(key))
    }

    /// Whether the label selector selects this DaemonSet.
    pub(crate) fn has_labels(&self, key: &str) -> bool {
        self.labeled.as_ref().is_none_or(|labeled| labeled.contains(key))
    }

    /// Whether the selection contains every DaemonSet.
    pub(crate) fn is_everything(&self) -> bool {
        self.labeled.is_none() && self.filters.contains(&Filter::default())
    }

    /// Returns the filter for a single request. It matches every DaemonSet of the selection, and as few others as
    /// possible.
    pub(crate) fn request(&self) -> Filter {
        match self.filters.as_slice() {
            [filter] => filter.clone(),
            [first, others @ ..] if others.iter().all(|other| other.namespace == first.namespace) => Filter {
                namespace: first.namespace.clone(),
                name: String::new(),
            },
            _ => Filter::default(),
        }
    }

    /// Returns the filters that name a DaemonSet.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Filter> {
        self.filters.iter().filter(|filter| !filter.name.is_empty())
    }

    /// Returns the DaemonSets that a command's argument and flags select. Without names, these are the DaemonSets of the
    /// namespace.
    ///
    /// # Errors
    /// A name is invalid, or kubectl can't read the context's namespace or look up labels.
    pub(crate) async fn of_command(
        connector: &Connector,
        argument: Option<DaemonSetName>,
        filter: &DaemonSetFilterArgs,
    ) -> Result<Self, Error> {
        let flags = filter.daemon_sets.iter().map(|name| Name::daemon_set(name));
        let names: Vec<_> = argument
            .map(Ok)
            .into_iter()
            .chain(flags)
            .collect::<Result<_, _>>()?;
        let mut filters = Vec::new();
        for DaemonSetName { namespace, name } in names {
            let namespace = selected_namespace(connector, namespace.as_deref()).await?;
            let filter = Filter { namespace, name };
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        if filters.is_empty() {
            filters.push(Filter {
                namespace: selected_namespace(connector, None).await?,
                name: String::new(),
            });
        }
        Self::with_labels(connector, filters, filter).await
    }

    /// Returns the DaemonSets of all namespaces, or of that which `-n` sets, that match the label selector.
    ///
    /// # Errors
    /// kubectl can't look up labels.
    pub(crate) async fn everywhere(
        connector: &Connector,
        filter: &DaemonSetFilterArgs,
    ) -> Result<Self, Error> {
        let namespace = connector.cluster().namespace.clone();
        let everything = Filter {
            namespace: namespace.unwrap_or_default(),
            name: String::new(),
        };
        Self::with_labels(connector, vec![everything], filter).await
    }

    async fn with_labels(
        connector: &Connector,
        filters: Vec<Filter>,
        filter: &DaemonSetFilterArgs,
    ) -> Result<Self, Error> {
        let mut selection = Self {
            filters,
            labeled: None,
        };
        if let Some(selector) = &filter.selector {
            let namespace = selection.request().namespace;
            let found = connector.kubectl().daemon_sets(selector, &namespace).await;
            let found = found.map_err(|error| Error::LookUp {
                flag: "selector",
                kind: "DaemonSets by their labels",
                error,
            })?;
            selection.labeled = Some(found.into_iter().collect());
        }
        Ok(selection)
    }
}

/// Returns the namespace from the name, or else from the flags, or else from the context. With `-A`, it is empty
/// unless the name has a namespace.
///
/// # Errors
/// The flags contradict the name, or kubectl can't read the context's namespace.
pub(crate) async fn selected_namespace(
    connector: &Connector,
    from_name: Option<&str>,
) -> Result<String, Error> {
    let cluster = connector.cluster();
    match (from_name, cluster.namespace.as_deref()) {
        (Some(namespace), Some(flag)) if namespace != flag => Err(Error::Usage(format!(
            "--namespace {flag} contradicts the namespace {namespace} in the name"
        ))),
        (Some(namespace), _) | (None, Some(namespace)) => Ok(namespace.to_owned()),
        (None, None) if cluster.all_namespaces => Ok(String::new()),
        (None, None) => Ok(connector.kubectl().namespace().await?),
    }
}

/// The names and patterns of nodes that a command is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodePatterns(Vec<String>);

impl NodePatterns {
    /// Parses names of nodes, with or without their kind.
    ///
    /// # Errors
    /// A name is invalid, or names a DaemonSet.
    pub(crate) fn parse<'n>(names: impl IntoIterator<Item = &'n String>) -> Result<Self, Error> {
        let names = names.into_iter().map(|name| Name::node(name));
        names.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names, sorted. `None` if there are none, or if one has a wildcard.
    pub(crate) fn names(&self) -> Option<BTreeSet<&str>> {
        let is_plain = !self.0.iter().any(|pattern| glob::has_wildcard(pattern));
        (is_plain && !self.is_empty()).then(|| self.0.iter().map(String::as_str).collect())
    }

    /// Returns the names of the cluster's nodes that the patterns select.
    ///
    /// # Errors
    /// kubectl fails, or a pattern selects no node.
    pub(crate) async fn select(&self, kubectl: &Kubectl) -> Result<Vec<String>, Error> {
        let nodes = kubectl.nodes().await;
        let mut nodes = nodes.map_err(|error| Error::LookUp {
            flag: "node",
            kind: "nodes",
            error,
        })?;
        self.check(&nodes.iter().map(String::as_str).collect::<Vec<_>>())?;
        nodes.retain(|node| self.contain(node));
        Ok(nodes)
    }

    /// Whether the patterns select a node. Without patterns, every node is selected.
    pub(crate) fn contain(&self, node: &str) -> bool {
        self.is_empty() || self.0.iter().any(|pattern| glob::matches(pattern, node))
    }

    /// Checks that each pattern selects one of the nodes.
    ///
    /// # Errors
    /// A pattern selects none.
    pub(crate) fn check(&self, nodes: &[&str]) -> Result<(), Error> {
        let selects_none = |pattern: &&String| !nodes.iter().any(|node| glob::matches(pattern, node));
        match self.0.iter().find(selects_none) {
            Some(pattern) => Err(Error::NoNode(pattern.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
