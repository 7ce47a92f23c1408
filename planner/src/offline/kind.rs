//! The kinds of objects that the offline commands know.

use std::fmt;

/// A kind of object that an answer can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// apps/v1.
    DaemonSet,
    /// v1.
    Node,
    /// v1.
    Pod,
    /// node.k8s.io/v1.
    RuntimeClass,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 4] = [Self::DaemonSet, Self::Node, Self::Pod, Self::RuntimeClass];

    /// Returns the kind's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DaemonSet => "DaemonSet",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::RuntimeClass => "RuntimeClass",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::DaemonSet => "apps",
            Self::Node | Self::Pod => "",
            Self::RuntimeClass => "node.k8s.io",
        }
    }

    /// Returns the kind of that name, or `None` if there is none or if `api_version` has another API group.
    pub(super) fn of(name: &str, api_version: Option<&str>) -> Option<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name)?;
        let group = |version: &str| version.split_once('/').map_or("", |(group, _)| group).to_owned();
        api_version
            .is_none_or(|version| group(version) == kind.group())
            .then_some(kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
