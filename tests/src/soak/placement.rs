//! Decides where a `DaemonSet`'s pods belong. The checker derives that from the template itself. It knows only the
//! rules that the soak's own `DaemonSet`s use, and it shares no code with Everynode.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, Taint, Toleration};

/// Whether a `DaemonSet` should have a pod on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// A pod should run there.
    Wanted,
    /// No pod is created there, but an existing one stays.
    Tolerated,
    /// No pod may run there.
    Forbidden,
}

/// The parts of a node that placement depends on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct NodeView {
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
}

impl NodeView {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: node
                .spec
                .as_ref()
                .and_then(|spec| spec.taints.clone())
                .unwrap_or_default(),
        }
    }
}

/// The parts of a `DaemonSet` that placement depends on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PlacementRules {
    selector: BTreeMap<String, String>,
    /// A node is chosen if it meets all requirements of any one list. Without lists, every node is chosen.
    terms: Vec<Vec<NodeSelectorRequirement>>,
    tolerations: Vec<Toleration>,
}

/// The taints that every daemon pod tolerates, as key and effect.
const TOLERATED: [(&str, &str); 6] = [
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
];

impl PlacementRules {
    pub(super) fn of(daemon_set: &DaemonSet) -> Self {
        let Some(pod) = daemon_set.spec.template.spec.as_ref() else {
            return Self::default();
        };
        let terms = pod
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref())
            .and_then(|affinity| {
                affinity
                    .required_during_scheduling_ignored_during_execution
                    .as_ref()
            })
            .map(|selector| {
                let terms = selector.node_selector_terms.iter();
                terms
                    .map(|term| term.match_expressions.clone().unwrap_or_default())
                    .collect()
            });
        Self {
            selector: pod.node_selector.clone().unwrap_or_default(),
            terms: terms.unwrap_or_default(),
            tolerations: pod.tolerations.clone().unwrap_or_default(),
        }
    }

    /// Whether this node should have a pod.
    pub(super) fn placement_on(&self, node: &NodeView) -> Placement {
        let selected = self
            .selector
            .iter()
            .all(|(key, value)| node.labels.get(key) == Some(value));
        let chosen = self.terms.is_empty()
            || self
                .terms
                .iter()
                .any(|term| term.iter().all(|requirement| holds(requirement, node)));
        if !selected || !chosen {
            return Placement::Forbidden;
        }
        let bad = |effect: &str| {
            node.taints
                .iter()
                .any(|taint| taint.effect == effect && !self.tolerates(taint))
        };
        if bad("NoExecute") {
            Placement::Forbidden
        } else if bad("NoSchedule") {
            Placement::Tolerated
        } else {
            Placement::Wanted
        }
    }

    fn tolerates(&self, taint: &Taint) -> bool {
        let by_default = TOLERATED.iter().any(|(key, effect)| {
            taint.key.strip_prefix("node.kubernetes.io/") == Some(key) && taint.effect == *effect
        });
        by_default
            || self.tolerations.iter().any(|toleration| {
                let key = toleration.key.as_deref().unwrap_or_default();
                let effect = toleration.effect.as_deref().unwrap_or_default();
                let exists = toleration.operator.as_deref() == Some("Exists");
                (key == taint.key || (key.is_empty() && exists))
                    && (effect == taint.effect || effect.is_empty())
                    && (exists || toleration.value == taint.value)
            })
    }
}

fn holds(requirement: &NodeSelectorRequirement, node: &NodeView) -> bool {
    let value = node.labels.get(&requirement.key);
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_listed = value.is_some_and(|value| values.contains(value));
    match requirement.operator.as_str() {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn place(pod: &Value, labels: &Value, taints: &Value) -> Placement {
        let daemon_set = json!({"metadata": {}, "spec": {"selector": {}, "template": {"spec": pod}}});
        let node = json!({"metadata": {"labels": labels}, "spec": {"taints": taints}});
        let daemon_set = serde_json::from_value(daemon_set).unwrap();
        PlacementRules::of(&daemon_set).placement_on(&NodeView::of(&serde_json::from_value(node).unwrap()))
    }

    fn spec(more: &Value) -> Value {
        let mut spec = json!({"containers": []});
        crate::daemonsets::merge(&mut spec, more);
        spec
    }

    #[test]
    fn node_selector_and_affinity_select_nodes() {
        let by_selector = spec(&json!({"nodeSelector": {"zone": "a"}}));
        assert_eq!(
            place(&by_selector, &json!({"zone": "a"}), &json!([])),
            Placement::Wanted
        );
        assert_eq!(place(&by_selector, &json!({}), &json!([])), Placement::Forbidden);
        let term = |operator: &str| {
            let requirement = json!({"key": "zone", "operator": operator, "values": ["a", "b"]});
            let terms = json!({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]});
            let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": terms});
            spec(&json!({"affinity": {"nodeAffinity": required}}))
        };
        assert_eq!(
            place(&term("In"), &json!({"zone": "b"}), &json!([])),
            Placement::Wanted
        );
        assert_eq!(
            place(&term("In"), &json!({"zone": "c"}), &json!([])),
            Placement::Forbidden
        );
        assert_eq!(place(&term("NotIn"), &json!({}), &json!([])), Placement::Wanted);
    }

    #[test]
    fn taints_prevent_new_pods_or_evict_existing_ones() {
        let taint = |key: &str, effect: &str| json!([{"key": key, "value": "x", "effect": effect}]);
        let plain = spec(&json!({}));
        assert_eq!(
            place(&plain, &json!({}), &taint("own", "NoSchedule")),
            Placement::Tolerated
        );
        assert_eq!(
            place(&plain, &json!({}), &taint("own", "NoExecute")),
            Placement::Forbidden
        );
        assert_eq!(
            place(&plain, &json!({}), &taint("own", "PreferNoSchedule")),
            Placement::Wanted
        );
        let cordoned = taint("node.kubernetes.io/unschedulable", "NoSchedule");
        assert_eq!(place(&plain, &json!({}), &cordoned), Placement::Wanted);
        let tolerant = spec(&json!({"tolerations": [{"key": "own", "operator": "Exists"}]}));
        assert_eq!(
            place(&tolerant, &json!({}), &taint("own", "NoExecute")),
            Placement::Wanted
        );
    }
}
