//! The fields of the kinds of the API group everynode.io.

use super::{
    super::fields::{Kind, Level},
    METADATA, REQUIREMENT,
};

const NODE_SELECTOR_LABELS: &str = "labels belong in nodeSelector.matchLabels";
const IN_STAGES: &str = "it belongs in one of spec.stages";

/// A kind of policy: what both kinds have, and what only this one has.
macro_rules! policy {
    (
        inner: [$($inner:expr),* $(,)?],
        places: [$($place:expr),* $(,)?],
        mistaken: [$($mistaken:expr),* $(,)?] $(,)?
    ) => {
        Kind {
            root: &Level {
                leaves: ROOT_LEAVES,
                inner: &[
                    ("metadata", &METADATA),
                    (
                        "spec",
                        &Level {
                            leaves: &[
                                "maxUnavailable",
                                "partition",
                                "paused",
                                "unhealthyPodPolicy",
                                "unreleasedNodes",
                            ],
                            inner: &[
                                ("order", &ORDER),
                                ("selector", &SELECTOR),
                                ("stages", &STAGE),
                                $($inner,)*
                            ],
                        },
                    ),
                ],
            },
            places: &[
                ("labels", "metadata"),
                ("annotations", "metadata"),
                ("selector", "spec"),
                ("stages", "spec"),
                ("partition", "spec"),
                ("paused", "spec"),
                ("order", "spec"),
                ("maxUnavailable", "spec"),
                ("maxUnavailable", "spec.stages[]"),
                ("unhealthyPodPolicy", "spec"),
                ("unreleasedNodes", "spec"),
                ("maxUnavailablePerDomain", "spec.order"),
                ("topologyKey", "spec.stages[]"),
                ("topologyKey", "spec.order"),
                $($place,)*
            ],
            mistaken: &[
                ("spec", "soak", IN_STAGES),
                ("spec", "promotion", IN_STAGES),
                ("spec", "nodeSelector", IN_STAGES),
                ("spec", "maxSurge", "the updateStrategy of the DaemonSet has it"),
                ("spec.selector", "*", "labels belong in spec.selector.matchLabels"),
                ("spec.stages[].nodeSelector", "*", NODE_SELECTOR_LABELS),
                $($mistaken,)*
            ],
        }
    };
}

pub(in crate::unary::check) static ROLLOUT_POLICY: Kind = policy! {
    inner: [("targetRefs", &TARGET_REF)],
    places: [("namespace", "metadata"), ("targetRefs", "spec")],
    mistaken: [(
        "spec",
        "namespaceSelector",
        "only a ClusterDaemonSetRolloutPolicy has one; this policy applies to its own namespace",
    )],
};

pub(in crate::unary::check) static CLUSTER_ROLLOUT_POLICY: Kind = policy! {
    inner: [("namespaceSelector", &SELECTOR)],
    places: [("namespaceSelector", "spec")],
    mistaken: [
        (
            "spec",
            "targetRefs",
            "a ClusterDaemonSetRolloutPolicy selects DaemonSets by their labels; use selector",
        ),
        (
            "spec.namespaceSelector",
            "*",
            "labels belong in spec.namespaceSelector.matchLabels",
        ),
    ],
};

pub(in crate::unary::check) static ROLLOUT: Kind = Kind {
    root: &Level {
        leaves: ROOT_LEAVES,
        inner: &[("metadata", &METADATA), ("spec", &ROLLOUT_SPEC)],
    },
    places: &[
        ("labels", "metadata"),
        ("annotations", "metadata"),
        ("namespace", "metadata"),
        ("paused", "spec"),
        ("promote", "spec"),
        ("promoteFull", "spec"),
        ("abort", "spec"),
        ("retry", "spec"),
        ("release", "spec"),
    ],
    mistaken: &[
        ("spec", "stages", "a rollout policy has the stages"),
        (
            "spec",
            "stage",
            "it belongs in spec.promote, with the number of the rollout",
        ),
    ],
};

/// The fields of every object that aren't checked.
const ROOT_LEAVES: &[&str] = &["apiVersion", "kind", "status"];

static TARGET_REF: Level = Level {
    leaves: &["name"],
    inner: &[],
};

static STAGE: Level = Level {
    leaves: &[
        "maxUnavailable",
        "name",
        "nodes",
        "promotion",
        "soak",
        "topologyKey",
    ],
    inner: &[("nodeSelector", &SELECTOR)],
};

static ORDER: Level = Level {
    leaves: &["maxUnavailablePerDomain", "topologyKey"],
    inner: &[],
};

static SELECTOR: Level = Level {
    leaves: &["matchLabels"],
    inner: &[("matchExpressions", &REQUIREMENT)],
};

static ROLLOUT_SPEC: Level = Level {
    leaves: &["abort", "paused", "promoteFull", "retry"],
    inner: &[
        (
            "promote",
            &Level {
                leaves: &["rollout", "stage"],
                inner: &[],
            },
        ),
        (
            "release",
            &Level {
                leaves: &["nodes", "rollout"],
                inner: &[],
            },
        ),
    ],
};
