//! Turns Nodes of a cluster into templates of new nodes.
//!
//! A new node of the same kind has the same labels and taints, except those of a single node or of its current state: the
//! taints of conditions, startup and removal, and the host name. So this module sets these aside, as cluster autoscalers
//! do. It doesn't change a Node that was written by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::objects::{Fields, Object};

/// Keys of taints of a temporary state.
const TRANSIENT_TAINTS: [&str; 20] = [
    // Kubernetes
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/out-of-service",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "node.cloudprovider.kubernetes.io/shutdown",
    // Cluster Autoscaler
    "ToBeDeletedByClusterAutoscaler",
    "DeletionCandidateOfClusterAutoscaler",
    // Karpenter
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "karpenter.sh/unregistered",
    // Cluster API
    "node.cluster.x-k8s.io/uninitialized",
    "node.cluster.x-k8s.io/outdated-revision",
    // Others
    "node.gardener.cloud/critical-components-not-ready",
    "cloud.google.com/impending-node-termination",
    "medik8s.io/remediation",
];

/// Prefixes of the keys of such taints.
const TRANSIENT_PREFIXES: [&str; 6] = [
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "status-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
    "aws-node-termination-handler/",
    "readiness.k8s.io/",
    "nidhogg.uswitch.com/",
];

/// Suffixes of the keys of such taints, as in `node.cilium.io/agent-not-ready`.
const TRANSIENT_SUFFIXES: [&str; 4] = ["/not-ready", "-not-ready", "/uninitialized", "/unschedulable"];

/// Labels whose value belongs to a single node.
const LABELS_OF_ONE_NODE: [&str; 13] = [
    "kubernetes.io/hostname",
    "alpha.eksctl.io/instance-id",
    "topology.hostpath.csi/node",
    "topology.topolvm.io/node",
    "openebs.io/nodename",
    "openebs.io/nodeid",
    "linbit.com/hostname",
    "k3s.io/hostname",
    "k3s.io/internal-ip",
    "k3s.io/external-ip",
    // Oracle's OKE
    "displayName",
    "hostname",
    "internal_addr",
];

/// What was set aside, with the number of nodes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SetAside(BTreeMap<String, usize>);

impl SetAside {
    /// Sets aside what belongs only to the Nodes themselves. Labels in `unknown_labels` stay, because their values don't
    /// count.
    pub(crate) fn take_from(nodes: &mut [Object], unknown_labels: &[String]) -> Self {
        let mut set_aside = Self::default();
        for node in nodes.iter_mut().filter(|node| is_from_cluster(node)) {
            set_aside.take_taints(node);
            set_aside.take_cordon(node);
            set_aside.take_labels(node, unknown_labels);
        }
        set_aside
    }

    /// Names what was set aside. `None` if there was nothing.
    pub(crate) fn note(&self) -> Option<String> {
        let counted = |(what, count): (&String, &usize)| match count {
            1 => format!("{what} (1 node)"),
            count => format!("{what} ({count} nodes)"),
        };
        let list: Vec<_> = self.0.iter().map(counted).collect();
        (!list.is_empty()).then(|| {
            format!(
                "set aside, because a new node of the same kind doesn't have it: {}; --keep-transient keeps it",
                list.join(", ")
            )
        })
    }

    fn count(&mut self, what: String) {
        *self.0.entry(what).or_default() += 1;
    }

    fn take_taints(&mut self, node: &mut Fields) {
        let spec = node.get_mut("spec");
        let Some(Value::Array(taints)) = spec.and_then(|spec| spec.get_mut("taints")) else {
            return;
        };
        taints.retain(|taint| {
            let text = |key: &str| taint.get(key).and_then(Value::as_str).unwrap_or_default();
            let key = text("key");
            let is_transient = is_transient(key);
            if is_transient {
                self.count(format!("taint {key}:{}", text("effect")));
            }
            !is_transient
        });
    }

    fn take_cordon(&mut self, node: &mut Fields) {
        let Some(Value::Object(spec)) = node.get_mut("spec") else {
            return;
        };
        if spec.remove("unschedulable") == Some(Value::Bool(true)) {
            self.count("spec.unschedulable".to_owned());
        }
    }

    /// Empties the labels instead of removing them, because a new node has them too, with other values.
    fn take_labels(&mut self, node: &mut Fields, unknown_labels: &[String]) {
        let metadata = node.get_mut("metadata");
        let Some(Value::Object(labels)) = metadata.and_then(|metadata| metadata.get_mut("labels")) else {
            return;
        };
        for key in LABELS_OF_ONE_NODE {
            let is_unknown = unknown_labels.iter().any(|unknown| unknown == key);
            let is_set = |value: &&mut Value| !is_unknown && value.as_str() != Some("") && !value.is_null();
            if let Some(value) = labels.get_mut(key).filter(is_set) {
                *value = json!("");
                self.count(format!("label {key}"));
            }
        }
    }
}

/// Whether the API server has set fields of the Node that nobody writes by hand.
fn is_from_cluster(node: &Fields) -> bool {
    let has = |part: &str, keys: &[&str]| {
        let part = node.get(part);
        keys.iter().any(|key| {
            part.and_then(|part| part.get(key))
                .is_some_and(|value| !value.is_null())
        })
    };
    has("metadata", &["uid", "resourceVersion", "creationTimestamp"])
        || has("spec", &["providerID"])
        || has("status", &["nodeInfo", "conditions"])
}

fn is_transient(key: &str) -> bool {
    TRANSIENT_TAINTS.contains(&key)
        || TRANSIENT_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        || TRANSIENT_SUFFIXES.iter().any(|suffix| key.ends_with(suffix))
}

#[cfg(test)]
mod tests;
