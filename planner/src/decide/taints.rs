//! Taints and tolerations (contract P1, P4). Kubernetes documents the tolerations of daemon pods under
//! [Taints and tolerations].
//!
//! [Taints and tolerations]: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations

use hashbrown::HashMap;

use crate::model::{PodTemplate, Taint, Text, Toleration};

/// The taints that every daemon pod tolerates, with their effects. Kubernetes sets them for node conditions, and a
/// daemon keeps running whatever the condition of its node is.
const DAEMON_TAINTS: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// A pod on the host's network doesn't use the pod network, so it tolerates a node whose pod network is unavailable.
const HOST_NETWORK_TAINT: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The tolerations that every pod of the template gets in addition to its own. Mirrors
/// `AddOrUpdateDaemonPodTolerations` (P1).
pub(crate) fn added_tolerations(template: &PodTemplate) -> Vec<Toleration> {
    let network = template.host_network.then_some(HOST_NETWORK_TAINT);
    let exists = |(key, effect): (&str, &str)| Toleration {
        key: key.into(),
        operator: "Exists".into(),
        value: Text::default(),
        effect: effect.into(),
    };
    DAEMON_TAINTS.into_iter().chain(network).map(exists).collect()
}

/// The effect of an untolerated taint on a daemon pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// No pod is created. An existing pod stays.
    NoSchedule,
    /// No pod is created. An existing pod is deleted.
    NoExecute,
}

impl Effect {
    /// The taint's effect on a daemon pod. `None` for `PreferNoSchedule` and unknown effects, which are ignored.
    pub(crate) fn of(taint: &Taint) -> Option<Self> {
        match taint.effect.as_ref() {
            "NoSchedule" => Some(Self::NoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }
}

/// Whether the toleration matches the taint. Mirrors `ToleratesTaint` of `k8s.io/api/core/v1`.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    let key = toleration.key.is_empty() || toleration.key == taint.key;
    let value = match toleration.operator.as_ref() {
        "" | "Equal" => toleration.value == taint.value,
        "Exists" => true,
        _ => false,
    };
    effect && key && value
}

/// Up to this many tolerations are compared one by one, which is faster than a look-up. Few `DaemonSet`s have more.
const MAX_SCANNED: usize = 32;

/// A `DaemonSet`'s tolerations, prepared for matching many taints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tolerations {
    list: Vec<Toleration>,
    /// The same tolerations by key and value. Empty unless there are more than `MAX_SCANNED`.
    index: HashMap<IndexKey, Effects>,
}

/// What a toleration matches, apart from the effect. An empty key matches every key, and `None` matches every value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct IndexKey {
    key: Text,
    value: Option<Text>,
}

/// A set of effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Effects {
    no_schedule: bool,
    no_execute: bool,
}

impl Effects {
    /// The effects that a toleration with this effect covers. An empty effect covers all.
    fn of(effect: &str) -> Self {
        Self {
            no_schedule: matches!(effect, "" | "NoSchedule"),
            no_execute: matches!(effect, "" | "NoExecute"),
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            no_schedule: self.no_schedule || other.no_schedule,
            no_execute: self.no_execute || other.no_execute,
        }
    }

    fn has(self, effect: Effect) -> bool {
        match effect {
            Effect::NoSchedule => self.no_schedule,
            Effect::NoExecute => self.no_execute,
        }
    }
}

impl Tolerations {
    /// Indexes tolerations.
    pub(crate) fn new(list: Vec<Toleration>) -> Self {
        let mut index = HashMap::new();
        for toleration in list.iter().filter(|_| list.len() > MAX_SCANNED) {
            let value = match toleration.operator.as_ref() {
                "" | "Equal" => Some(toleration.value.clone()),
                "Exists" => None,
                _ => continue,
            };
            let key = toleration.key.clone();
            let effects: &mut Effects = index.entry(IndexKey { key, value }).or_default();
            *effects = effects.with(Effects::of(&toleration.effect));
        }
        Self { list, index }
    }

    /// The tolerations, in the order in which they were given.
    pub(crate) fn list(&self) -> &[Toleration] {
        &self.list
    }

    /// Whether one of the tolerations matches the taint. False for a taint without an effect on daemon pods.
    pub(crate) fn tolerate(&self, taint: &Taint) -> bool {
        Effect::of(taint).is_some_and(|effect| self.is_tolerated(taint, effect))
    }

    /// Whether one of the tolerations matches a taint with this effect. The result equals that of calling [`tolerates`]
    /// for each.
    fn is_tolerated(&self, taint: &Taint, effect: Effect) -> bool {
        if self.list.len() <= MAX_SCANNED {
            return self.list.iter().any(|toleration| tolerates(toleration, taint));
        }
        let every_key = Text::default();
        [&taint.key, &every_key].into_iter().any(|key| {
            [Some(&taint.value), None].into_iter().any(|value| {
                let key = IndexKey {
                    key: key.clone(),
                    value: value.cloned(),
                };
                self.index.get(&key).is_some_and(|effects| effects.has(effect))
            })
        })
    }

    /// The taints that have an effect on daemon pods and that no toleration matches, with their effects.
    pub(crate) fn untolerated<'a>(
        &'a self,
        taints: &'a [Taint],
    ) -> impl Iterator<Item = (&'a Taint, Effect)> {
        taints
            .iter()
            .filter_map(|taint| Effect::of(taint).map(|effect| (taint, effect)))
            .filter(|(taint, effect)| !self.is_tolerated(taint, *effect))
    }
}

#[cfg(test)]
mod tests;
