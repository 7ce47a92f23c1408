//! The fields that Kubernetes 1.37 knows, in the objects that unary calls read.

mod rollouts;

pub(super) use self::rollouts::{CLUSTER_ROLLOUT_POLICY, ROLLOUT, ROLLOUT_POLICY};
use super::fields::{Kind, Level};

/// The metadata of a template.
const TEMPLATE_METADATA: &str = "spec.template.metadata";
const POD_SPEC_PATH: &str = "spec.template.spec";
const CONTAINER_RESOURCES: &str = "spec.template.spec.containers[].resources";
const IN_EXPRESSIONS: &str = "requirements belong in matchExpressions";
const IN_REQUESTS: &str = "amounts belong in requests or limits";
const PORTS_PATH: &str = "spec.template.spec.containers[].ports[]";
const TERMS_PATH: &str = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]";

pub(super) static DAEMON_SET: Kind = Kind {
    root: &Level {
        leaves: &["apiVersion", "kind", "status"],
        inner: &[("metadata", &METADATA), ("spec", &DAEMON_SET_SPEC)],
    },
    places: &[
        ("labels", "metadata"),
        ("labels", TEMPLATE_METADATA),
        ("annotations", "metadata"),
        ("annotations", TEMPLATE_METADATA),
        ("namespace", "metadata"),
        ("selector", "spec"),
        ("template", "spec"),
        ("updateStrategy", "spec"),
        ("minReadySeconds", "spec"),
        ("revisionHistoryLimit", "spec"),
        ("matchLabels", "spec.selector"),
        ("rollingUpdate", "spec.updateStrategy"),
        ("maxUnavailable", "spec.updateStrategy.rollingUpdate"),
        ("maxSurge", "spec.updateStrategy.rollingUpdate"),
        ("affinity", POD_SPEC_PATH),
        ("containers", POD_SPEC_PATH),
        ("dnsPolicy", POD_SPEC_PATH),
        ("hostIPC", POD_SPEC_PATH),
        ("hostNetwork", POD_SPEC_PATH),
        ("hostPID", POD_SPEC_PATH),
        ("imagePullSecrets", POD_SPEC_PATH),
        ("initContainers", POD_SPEC_PATH),
        ("nodeName", POD_SPEC_PATH),
        ("nodeSelector", POD_SPEC_PATH),
        ("priorityClassName", POD_SPEC_PATH),
        ("runtimeClassName", POD_SPEC_PATH),
        ("schedulerName", POD_SPEC_PATH),
        ("serviceAccountName", POD_SPEC_PATH),
        ("terminationGracePeriodSeconds", POD_SPEC_PATH),
        ("tolerations", POD_SPEC_PATH),
        ("volumes", POD_SPEC_PATH),
        ("nodeAffinity", "spec.template.spec.affinity"),
        ("podAffinity", "spec.template.spec.affinity"),
        ("podAntiAffinity", "spec.template.spec.affinity"),
        (
            "requiredDuringSchedulingIgnoredDuringExecution",
            "spec.template.spec.affinity.nodeAffinity",
        ),
        (
            "nodeSelectorTerms",
            "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        ),
        ("matchExpressions", "spec.selector"),
        ("matchExpressions", TERMS_PATH),
        ("requests", "spec.template.spec.containers[].resources"),
        ("limits", "spec.template.spec.containers[].resources"),
        ("requests", "spec.template.spec.initContainers[].resources"),
        ("limits", "spec.template.spec.initContainers[].resources"),
        ("containerPort", PORTS_PATH),
        ("hostPort", PORTS_PATH),
    ],
    mistaken: &[
        ("spec", "strategy", "did you mean updateStrategy?"),
        (
            "spec",
            "replicas",
            "a DaemonSet runs one pod on each node that fits",
        ),
        (TERMS_PATH, "matchLabels", "did you mean matchExpressions?"),
        (TERMS_PATH, "key", IN_EXPRESSIONS),
        (TERMS_PATH, "operator", IN_EXPRESSIONS),
        (TERMS_PATH, "values", IN_EXPRESSIONS),
        (
            "spec.template.spec.affinity.nodeAffinity",
            "*",
            "only required- and preferredDuringSchedulingIgnoredDuringExecution have an effect",
        ),
        ("spec.selector", "*", "labels belong in spec.selector.matchLabels"),
        (CONTAINER_RESOURCES, "cpu", IN_REQUESTS),
        (CONTAINER_RESOURCES, "memory", IN_REQUESTS),
    ],
};

pub(super) static NODE: Kind = Kind {
    root: &Level {
        leaves: &["apiVersion", "kind"],
        inner: &[
            ("metadata", &METADATA),
            ("spec", &NODE_SPEC),
            ("status", &NODE_STATUS),
        ],
    },
    places: &[
        ("labels", "metadata"),
        ("annotations", "metadata"),
        ("taints", "spec"),
        ("unschedulable", "spec"),
        ("allocatable", "status"),
        ("capacity", "status"),
    ],
    mistaken: &[
        ("spec", "tolerations", "pods have tolerations; nodes have taints"),
        ("spec.taints[]", "operator", "only tolerations have an operator"),
        ("status", "cpu", "amounts belong in status.allocatable"),
        ("status", "memory", "amounts belong in status.allocatable"),
    ],
};

pub(super) static RUNTIME_CLASS: Kind = Kind {
    root: &Level {
        leaves: &["apiVersion", "handler", "kind"],
        inner: &[
            ("metadata", &METADATA),
            (
                "overhead",
                &Level {
                    leaves: &["podFixed"],
                    inner: &[],
                },
            ),
            (
                "scheduling",
                &Level {
                    leaves: &["nodeSelector"],
                    inner: &[("tolerations", &TOLERATION)],
                },
            ),
        ],
    },
    places: &[
        ("labels", "metadata"),
        ("annotations", "metadata"),
        ("nodeSelector", "scheduling"),
        ("tolerations", "scheduling"),
        ("podFixed", "overhead"),
    ],
    mistaken: &[
        ("overhead", "cpu", "amounts belong in overhead.podFixed"),
        ("overhead", "memory", "amounts belong in overhead.podFixed"),
    ],
};

static METADATA: Level = Level {
    leaves: &[
        "annotations",
        "clusterName",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ],
    inner: &[],
};

static DAEMON_SET_SPEC: Level = Level {
    leaves: &["minReadySeconds", "revisionHistoryLimit", "templateGeneration"],
    inner: &[
        (
            "selector",
            &Level {
                leaves: &["matchLabels"],
                inner: &[("matchExpressions", &REQUIREMENT)],
            },
        ),
        (
            "template",
            &Level {
                leaves: &[],
                inner: &[("metadata", &METADATA), ("spec", &POD_SPEC)],
            },
        ),
        (
            "updateStrategy",
            &Level {
                leaves: &["type"],
                inner: &[(
                    "rollingUpdate",
                    &Level {
                        leaves: &["maxSurge", "maxUnavailable"],
                        inner: &[],
                    },
                )],
            },
        ),
    ],
};

static POD_SPEC: Level = Level {
    leaves: &[
        "activeDeadlineSeconds",
        "automountServiceAccountToken",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "ephemeralContainers",
        "evictionResponders",
        "hostAliases",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostUsers",
        "hostname",
        "hostnameOverride",
        "imagePullSecrets",
        "nodeName",
        "nodeSelector",
        "os",
        "overhead",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "readinessGates",
        "resourceClaims",
        "restartPolicy",
        "runtimeClassName",
        "schedulerName",
        "schedulingGates",
        "schedulingGroup",
        "securityContext",
        "serviceAccount",
        "serviceAccountName",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "subdomain",
        "terminationGracePeriodSeconds",
        "topologySpreadConstraints",
        "volumes",
        "workloadRef",
    ],
    inner: &[
        (
            "affinity",
            &Level {
                leaves: &["podAffinity", "podAntiAffinity"],
                inner: &[("nodeAffinity", &NODE_AFFINITY)],
            },
        ),
        ("containers", &CONTAINER),
        ("initContainers", &CONTAINER),
        ("resources", &RESOURCES),
        ("tolerations", &TOLERATION),
    ],
};

static CONTAINER: Level = Level {
    leaves: &[
        "args",
        "command",
        "envFrom",
        "image",
        "imagePullPolicy",
        "lifecycle",
        "livenessProbe",
        "name",
        "readinessProbe",
        "resizePolicy",
        "restartPolicy",
        "restartPolicyRules",
        "securityContext",
        "startupProbe",
        "stdin",
        "stdinOnce",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "tty",
        "volumeDevices",
        "volumeMounts",
        "workingDir",
    ],
    inner: &[
        (
            "env",
            &Level {
                leaves: &["name", "value", "valueFrom"],
                inner: &[],
            },
        ),
        (
            "ports",
            &Level {
                leaves: &["containerPort", "hostIP", "hostPort", "name", "protocol"],
                inner: &[],
            },
        ),
        ("resources", &RESOURCES),
    ],
};

static RESOURCES: Level = Level {
    leaves: &["claims", "limits", "requests"],
    inner: &[],
};

static NODE_AFFINITY: Level = Level {
    leaves: &[],
    inner: &[
        (
            "preferredDuringSchedulingIgnoredDuringExecution",
            &Level {
                leaves: &["weight"],
                inner: &[("preference", &TERM)],
            },
        ),
        (
            "requiredDuringSchedulingIgnoredDuringExecution",
            &Level {
                leaves: &[],
                inner: &[("nodeSelectorTerms", &TERM)],
            },
        ),
    ],
};

static TERM: Level = Level {
    leaves: &[],
    inner: &[("matchExpressions", &REQUIREMENT), ("matchFields", &REQUIREMENT)],
};

static REQUIREMENT: Level = Level {
    leaves: &["key", "operator", "values"],
    inner: &[],
};

static TOLERATION: Level = Level {
    leaves: &["effect", "key", "operator", "tolerationSeconds", "value"],
    inner: &[],
};

static NODE_SPEC: Level = Level {
    leaves: &[
        "configSource",
        "externalID",
        "podCIDR",
        "podCIDRs",
        "podPreemptionPolicy",
        "providerID",
        "unschedulable",
    ],
    inner: &[(
        "taints",
        &Level {
            leaves: &["effect", "key", "timeAdded", "value"],
            inner: &[],
        },
    )],
};

static NODE_STATUS: Level = Level {
    leaves: &[
        "addresses",
        "allocatable",
        "capacity",
        "conditions",
        "config",
        "daemonEndpoints",
        "declaredFeatures",
        "features",
        "images",
        "nodeInfo",
        "phase",
        "runtimeHandlers",
        "volumesAttached",
        "volumesInUse",
    ],
    inner: &[],
};

#[cfg(test)]
mod tests {
    use super::{super::shapes::Shape, *};

    fn check_sorted(level: &Level) {
        assert!(level.leaves.is_sorted(), "{:?}", level.leaves);
        for (name, inner) in level.inner {
            let is_object = matches!(Shape::of(name), Some(Shape::Object | Shape::List | Shape::Texts));
            assert!(is_object, "{name}");
            check_sorted(inner);
        }
    }

    /// The level at a path.
    fn at(root: &'static Level, path: &str) -> &'static Level {
        path.split('.').fold(root, |level, name| {
            let name = name.trim_end_matches("[]");
            let inner = level.inner.iter().find(|(known, _)| *known == name);
            inner.unwrap_or_else(|| panic!("no {name} in {path}")).1
        })
    }

    #[test]
    fn leaves_are_sorted_and_places_exist_and_mistaken_fields_do_not() {
        for kind in [
            &DAEMON_SET,
            &NODE,
            &RUNTIME_CLASS,
            &ROLLOUT_POLICY,
            &CLUSTER_ROLLOUT_POLICY,
            &ROLLOUT,
        ] {
            check_sorted(kind.root);
            for (name, place) in kind.places {
                assert!(
                    at(kind.root, place).names().any(|known| known == *name),
                    "{name} in {place}"
                );
            }
            for (place, name, _) in kind.mistaken {
                assert!(at(kind.root, place).names().all(|known| known != *name), "{name}");
            }
        }
    }
}
