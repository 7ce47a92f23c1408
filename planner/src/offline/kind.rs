//! The kinds of objects that the offline commands know.

use std::fmt;

/// A kind of object that an answer can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// apps/v1.
    DaemonSet,
    /// v1.
    Node,
    /// v1.
    Pod,
    /// apps/v1.
    ControllerRevision,
    /// node.k8s.io/v1.
    RuntimeClass,
    /// v1.
    Namespace,
    /// everynode.io/v1alpha1.
    DaemonSetRolloutPolicy,
    /// everynode.io/v1alpha1.
    ClusterDaemonSetRolloutPolicy,
    /// everynode.io/v1alpha1.
    DaemonSetRollout,
}

/// The meaning of an object's kind and apiVersion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recognized {
    /// An object of a known kind.
    Known(Kind),
    /// A known kind in another version of its API group, such as apps/v1beta2. API servers refuse it. Its fields mean
    /// the same.
    OtherVersion(Kind),
    /// A known kind in another API group of Kubernetes, such as extensions/v1beta1. API servers refuse it.
    OtherGroup(Kind),
    /// The name of a known kind, in other upper and lower case. API servers refuse it.
    OtherCase(Kind),
    /// Any other object.
    Other,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 9] = [
        Self::DaemonSet,
        Self::Node,
        Self::Pod,
        Self::ControllerRevision,
        Self::RuntimeClass,
        Self::Namespace,
        Self::DaemonSetRolloutPolicy,
        Self::ClusterDaemonSetRolloutPolicy,
        Self::DaemonSetRollout,
    ];

    /// The kind's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DaemonSet => "DaemonSet",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::ControllerRevision => "ControllerRevision",
            Self::RuntimeClass => "RuntimeClass",
            Self::Namespace => "Namespace",
            Self::DaemonSetRolloutPolicy => "DaemonSetRolloutPolicy",
            Self::ClusterDaemonSetRolloutPolicy => "ClusterDaemonSetRolloutPolicy",
            Self::DaemonSetRollout => "DaemonSetRollout",
        }
    }

    /// The apiVersion that API servers serve.
    pub(super) fn api_version(self) -> &'static str {
        match self {
            Self::DaemonSet | Self::ControllerRevision => "apps/v1",
            Self::Node | Self::Pod | Self::Namespace => "v1",
            Self::RuntimeClass => "node.k8s.io/v1",
            Self::DaemonSetRolloutPolicy | Self::ClusterDaemonSetRolloutPolicy | Self::DaemonSetRollout => {
                "everynode.io/v1alpha1"
            }
        }
    }

    /// Whether objects of this kind belong to a namespace.
    pub(super) fn is_namespaced(self) -> bool {
        match self {
            Self::DaemonSet
            | Self::Pod
            | Self::ControllerRevision
            | Self::DaemonSetRolloutPolicy
            | Self::DaemonSetRollout => true,
            Self::Node | Self::RuntimeClass | Self::Namespace | Self::ClusterDaemonSetRolloutPolicy => false,
        }
    }

    /// Recognizes an object by its kind and its apiVersion. An object without an apiVersion belongs to the known kind of
    /// that name.
    pub(super) fn recognize(name: &str, api_version: Option<&str>) -> Recognized {
        let named = |kind: &Self| kind.name().eq_ignore_ascii_case(name);
        let Some(kind) = Self::ALL.into_iter().find(named) else {
            return Recognized::Other;
        };
        let api_version = api_version.unwrap_or(kind.api_version());
        let group = group(api_version);
        let is_own_group = group == self::group(kind.api_version());
        // Groups that others define have a dot, such as apps.kruise.io. They may define kinds of the same name.
        if !is_own_group && group.contains('.') {
            Recognized::Other
        } else if kind.name() != name {
            Recognized::OtherCase(kind)
        } else if !is_own_group {
            Recognized::OtherGroup(kind)
        } else if api_version != kind.api_version() {
            Recognized::OtherVersion(kind)
        } else {
            Recognized::Known(kind)
        }
    }
}

/// The API group of an apiVersion. Empty for the core group.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_recognized_by_kind_and_api_version() {
        for (name, api_version, recognized) in [
            ("DaemonSet", Some("apps/v1"), Recognized::Known(Kind::DaemonSet)),
            ("DaemonSet", None, Recognized::Known(Kind::DaemonSet)),
            ("Node", Some("v1"), Recognized::Known(Kind::Node)),
            (
                "DaemonSet",
                Some("apps/v1beta2"),
                Recognized::OtherVersion(Kind::DaemonSet),
            ),
            (
                "RuntimeClass",
                Some("node.k8s.io/v1beta1"),
                Recognized::OtherVersion(Kind::RuntimeClass),
            ),
            ("Pod", Some("v1beta1"), Recognized::OtherVersion(Kind::Pod)),
            (
                "DaemonSet",
                Some("extensions/v1beta1"),
                Recognized::OtherGroup(Kind::DaemonSet),
            ),
            ("DaemonSet", Some("v1"), Recognized::OtherGroup(Kind::DaemonSet)),
            ("Node", Some("apps/v1"), Recognized::OtherGroup(Kind::Node)),
            (
                "Daemonset",
                Some("apps/v1"),
                Recognized::OtherCase(Kind::DaemonSet),
            ),
            ("node", None, Recognized::OtherCase(Kind::Node)),
            ("DaemonSet", Some("apps.kruise.io/v1alpha1"), Recognized::Other),
            ("Node", Some("management.cattle.io/v3"), Recognized::Other),
            ("node", Some("longhorn.io/v1beta2"), Recognized::Other),
            (
                "DaemonSetRolloutPolicy",
                Some("everynode.io/v1alpha1"),
                Recognized::Known(Kind::DaemonSetRolloutPolicy),
            ),
            (
                "ClusterDaemonSetRolloutPolicy",
                Some("everynode.io/v1"),
                Recognized::OtherVersion(Kind::ClusterDaemonSetRolloutPolicy),
            ),
            ("Namespace", Some("v1"), Recognized::Known(Kind::Namespace)),
            ("Deployment", Some("apps/v1"), Recognized::Other),
            ("", None, Recognized::Other),
        ] {
            assert_eq!(
                Kind::recognize(name, api_version),
                recognized,
                "{name} of {api_version:?}"
            );
        }
    }
}
