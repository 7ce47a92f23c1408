//! Taints and tolerations (contract P1, P4).

use crate::model::{PodTemplate, Taint, Text, Toleration};

/// The taints that every daemon pod tolerates, and their effects: a daemon outlives the node's troubles.
const ALWAYS: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// A pod on the host's network needs none of its node's, so it tolerates that this isn't there.
const ON_HOST_NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The tolerations that every pod of the template gets beside its own. Mirrors `AddOrUpdateDaemonPodTolerations` (P1).
pub fn added_tolerations(template: &PodTemplate) -> Vec<Toleration> {
    let network = template.host_network.then_some(ON_HOST_NETWORK);
    let exists = |(key, effect): (&str, &str)| Toleration {
        key: key.into(),
        operator: "Exists".into(),
        value: Text::default(),
        effect: effect.into(),
    };
    ALWAYS.into_iter().chain(network).map(exists).collect()
}

/// What an untolerated taint does to a daemon pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// No pod comes; one that is there stays.
    NoSchedule,
    /// No pod comes, and one that is there goes.
    NoExecute,
}

impl Effect {
    /// The taint's effect as far as it counts: `PreferNoSchedule` and unknown ones don't.
    pub fn of(taint: &Taint) -> Option<Self> {
        match taint.effect.as_ref() {
            "NoSchedule" => Some(Self::NoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }
}

/// Whether the toleration admits the taint. Mirrors `ToleratesTaint`.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    let key = toleration.key.is_empty() || toleration.key == taint.key;
    let value = match toleration.operator.as_ref() {
        "" | "Equal" => toleration.value == taint.value,
        "Exists" => true,
        _ => false,
    };
    effect && key && value
}

/// The taints that count and that none of the tolerations admits.
pub fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &'a [Toleration],
) -> impl Iterator<Item = (&'a Taint, Effect)> {
    taints
        .iter()
        .filter_map(|taint| Effect::of(taint).map(|effect| (taint, effect)))
        .filter(|(taint, _)| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

#[cfg(test)]
mod tests;
