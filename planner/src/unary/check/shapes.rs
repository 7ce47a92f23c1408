//! The types of the known fields.

use crate::decide::suggestion::{closest, expected, quoted};

/// The resources that a container can request without a prefix, except huge pages.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// What a field holds, if it isn't null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// One of these words, or an empty text.
    Word(&'static [&'static str]),
    Bool,
    /// A whole number.
    Number,
    /// The number of a port. 0 means that the field isn't set.
    Port,
    Quantity,
    Object,
    /// An object whose values are text, such as labels.
    Texts,
    /// An object whose values are quantities, such as a node's capacity.
    Quantities,
    /// The amounts of resources that a container requests.
    Requests,
    /// A list of objects.
    List,
    TextList,
}

impl Shape {
    /// Returns the shape of a known field. `None` if it isn't checked.
    pub(super) fn of(name: &str) -> Option<Self> {
        let index = SHAPES.binary_search_by_key(&name, |(known, _)| *known).ok()?;
        SHAPES.get(index).map(|(_, shape)| *shape)
    }

    /// Describes the shape, as serde's types describe themselves.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Word(_) => "a string",
            Self::Bool => "a boolean",
            Self::Number => "a whole number",
            Self::Port => "a whole number from 1 to 65535",
            Self::Quantity => "a quantity such as 100m or 1Gi",
            Self::Object | Self::Texts | Self::Quantities | Self::Requests => "a map",
            Self::List | Self::TextList => "a list",
        }
    }

    /// The shape of the values of an object, or of the elements of a list. `None` if they aren't checked.
    pub(super) fn inner(self) -> Option<Self> {
        match self {
            Self::Texts | Self::TextList => Some(Self::Text),
            Self::Quantities | Self::Requests => Some(Self::Quantity),
            Self::List => Some(Self::Object),
            _ => None,
        }
    }

    /// Says why an object of this shape can't have a key. `None` if it can.
    pub(super) fn key_error(self, key: &str) -> Option<String> {
        let is_known = RESOURCES.contains(&key) || key.contains('/') || key.starts_with("hugepages-");
        (self == Self::Requests && !is_known).then(|| {
            let hint = match closest(key, RESOURCES) {
                Some(known) => format!("did you mean {known}?"),
                None => "a resource of a device plugin has a prefix, such as example.com/".to_owned(),
            };
            format!("there is no such resource; {hint}")
        })
    }

    /// Says why a field of this shape can't have a text as its value. `None` if it can.
    pub(super) fn text_error(self, text: &str) -> Option<String> {
        match self {
            Self::Word(words) if !text.is_empty() && !words.contains(&text) => Some(format!(
                "{} is not a value of this field; {}",
                quoted(text),
                expected(text, words)
            )),
            _ => None,
        }
    }
}

/// The shapes of known fields, sorted by name. Fields of the same name have the same shape, wherever they occur.
static SHAPES: &[(&str, Shape)] = &[
    ("abort", Shape::Number),
    ("activeDeadlineSeconds", Shape::Number),
    ("addresses", Shape::List),
    ("affinity", Shape::Object),
    ("allocatable", Shape::Quantities),
    ("annotations", Shape::Texts),
    ("args", Shape::TextList),
    ("automountServiceAccountToken", Shape::Bool),
    ("capacity", Shape::Quantities),
    ("claims", Shape::List),
    ("command", Shape::TextList),
    ("conditions", Shape::List),
    ("containerPort", Shape::Port),
    ("containers", Shape::List),
    ("creationTimestamp", Shape::Text),
    ("daemonEndpoints", Shape::Object),
    ("deletionGracePeriodSeconds", Shape::Number),
    ("deletionTimestamp", Shape::Text),
    ("dnsConfig", Shape::Object),
    (
        "dnsPolicy",
        Shape::Word(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ),
    ("effect", Shape::Text),
    ("enableServiceLinks", Shape::Bool),
    ("env", Shape::List),
    ("envFrom", Shape::List),
    ("ephemeralContainers", Shape::List),
    ("externalID", Shape::Text),
    ("finalizers", Shape::TextList),
    ("generateName", Shape::Text),
    ("generation", Shape::Number),
    ("handler", Shape::Text),
    ("hostAliases", Shape::List),
    ("hostIP", Shape::Text),
    ("hostIPC", Shape::Bool),
    ("hostNetwork", Shape::Bool),
    ("hostPID", Shape::Bool),
    ("hostPort", Shape::Port),
    ("hostUsers", Shape::Bool),
    ("hostname", Shape::Text),
    ("hostnameOverride", Shape::Text),
    ("image", Shape::Text),
    (
        "imagePullPolicy",
        Shape::Word(&["Always", "IfNotPresent", "Never"]),
    ),
    ("imagePullSecrets", Shape::List),
    ("images", Shape::List),
    ("initContainers", Shape::List),
    ("key", Shape::Text),
    ("labels", Shape::Texts),
    ("lifecycle", Shape::Object),
    ("limits", Shape::Requests),
    ("livenessProbe", Shape::Object),
    ("managedFields", Shape::List),
    ("matchExpressions", Shape::List),
    ("matchFields", Shape::List),
    ("matchLabels", Shape::Texts),
    ("metadata", Shape::Object),
    ("minReadySeconds", Shape::Number),
    ("name", Shape::Text),
    ("namespace", Shape::Text),
    ("namespaceSelector", Shape::Object),
    ("nodeAffinity", Shape::Object),
    ("nodeInfo", Shape::Object),
    ("nodeName", Shape::Text),
    ("nodeSelector", Shape::Texts),
    ("nodeSelectorTerms", Shape::List),
    ("operator", Shape::Text),
    ("order", Shape::Object),
    ("os", Shape::Object),
    ("overhead", Shape::Object),
    ("ownerReferences", Shape::List),
    ("paused", Shape::Bool),
    ("phase", Shape::Text),
    ("podAffinity", Shape::Object),
    ("podAntiAffinity", Shape::Object),
    ("podCIDR", Shape::Text),
    ("podCIDRs", Shape::TextList),
    ("podFixed", Shape::Quantities),
    ("ports", Shape::List),
    (
        "preemptionPolicy",
        Shape::Word(&["PreemptLowerPriority", "Never"]),
    ),
    ("preference", Shape::Object),
    ("preferredDuringSchedulingIgnoredDuringExecution", Shape::List),
    ("priority", Shape::Number),
    ("priorityClassName", Shape::Text),
    ("promote", Shape::Object),
    ("promoteFull", Shape::Number),
    ("promotion", Shape::Word(&["Automatic", "Manual"])),
    ("protocol", Shape::Word(&["TCP", "UDP", "SCTP"])),
    ("providerID", Shape::Text),
    ("readinessGates", Shape::List),
    ("readinessProbe", Shape::Object),
    ("release", Shape::Object),
    ("requests", Shape::Requests),
    ("requiredDuringSchedulingIgnoredDuringExecution", Shape::Object),
    ("resizePolicy", Shape::List),
    ("resourceClaims", Shape::List),
    ("resourceVersion", Shape::Text),
    ("resources", Shape::Object),
    ("restartPolicy", Shape::Text),
    ("retry", Shape::Number),
    ("revisionHistoryLimit", Shape::Number),
    ("rollingUpdate", Shape::Object),
    ("rollout", Shape::Number),
    ("runtimeClassName", Shape::Text),
    ("runtimeHandlers", Shape::List),
    ("schedulerName", Shape::Text),
    ("scheduling", Shape::Object),
    ("schedulingGates", Shape::List),
    ("securityContext", Shape::Object),
    ("selector", Shape::Object),
    ("selfLink", Shape::Text),
    ("serviceAccount", Shape::Text),
    ("serviceAccountName", Shape::Text),
    ("setHostnameAsFQDN", Shape::Bool),
    ("shareProcessNamespace", Shape::Bool),
    ("soak", Shape::Text),
    ("spec", Shape::Object),
    ("stage", Shape::Text),
    ("stages", Shape::List),
    ("startupProbe", Shape::Object),
    ("status", Shape::Object),
    ("stdin", Shape::Bool),
    ("stdinOnce", Shape::Bool),
    ("subdomain", Shape::Text),
    ("taints", Shape::List),
    ("targetRefs", Shape::List),
    ("template", Shape::Object),
    ("templateGeneration", Shape::Number),
    ("terminationGracePeriodSeconds", Shape::Number),
    ("terminationMessagePath", Shape::Text),
    (
        "terminationMessagePolicy",
        Shape::Word(&["File", "FallbackToLogsOnError"]),
    ),
    ("timeAdded", Shape::Text),
    ("tolerationSeconds", Shape::Number),
    ("tolerations", Shape::List),
    ("topologyKey", Shape::Text),
    ("topologySpreadConstraints", Shape::List),
    ("tty", Shape::Bool),
    ("type", Shape::Text),
    ("uid", Shape::Text),
    (
        "unhealthyPodPolicy",
        Shape::Word(&["IfHealthyBudget", "AlwaysAllow"]),
    ),
    ("unreleasedNodes", Shape::Word(&["Current", "Update"])),
    ("unschedulable", Shape::Bool),
    ("updateStrategy", Shape::Object),
    ("value", Shape::Text),
    ("valueFrom", Shape::Object),
    ("values", Shape::TextList),
    ("volumeDevices", Shape::List),
    ("volumeMounts", Shape::List),
    ("volumes", Shape::List),
    ("volumesAttached", Shape::List),
    ("volumesInUse", Shape::TextList),
    ("weight", Shape::Number),
    ("workingDir", Shape::Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_shape_is_found() {
        assert!(SHAPES.is_sorted_by_key(|(name, _)| *name));
        for (name, shape) in SHAPES {
            assert_eq!(Shape::of(name), Some(*shape), "{name}");
        }
        assert_eq!(Shape::of("maxUnavailable"), None, "it may be a number or text");
    }
}
