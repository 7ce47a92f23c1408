//! The lists and maps that the planner reads in objects.

/// Paths of the lists and maps that the planner reads in each kind of object. `.*` marks a map, and `[]` an item of a
/// list.
const DAEMON_SET_PATHS: [&str; 21] = [
    "items",
    "metadata.labels.*",
    "metadata.annotations.*",
    "metadata.ownerReferences",
    "spec.selector.matchLabels.*",
    "spec.selector.matchExpressions",
    "spec.template.metadata.labels.*",
    "spec.template.spec.tolerations",
    "spec.template.spec.nodeSelector.*",
    "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
    "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions",
    "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchFields",
    "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].values",
    "spec.template.spec.containers",
    "spec.template.spec.initContainers",
    "spec.template.spec.containers[].ports",
    "spec.template.spec.containers[].resources.requests.*",
    "spec.template.spec.containers[].resources.limits.*",
    "spec.template.spec.resources.requests.*",
    "spec.template.spec.overhead.*",
    "status.conditions",
];
const NODE_PATHS: [&str; 5] = [
    "items",
    "metadata.labels.*",
    "spec.taints",
    "status.allocatable.*",
    "status.capacity.*",
];
const POD_PATHS: [&str; 5] = [
    "items",
    "metadata.labels.*",
    "metadata.ownerReferences",
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
    "status.conditions",
];
const RUNTIME_CLASS_PATHS: [&str; 4] = [
    "items",
    "overhead.podFixed.*",
    "scheduling.nodeSelector.*",
    "scheduling.tolerations",
];
const REVISION_PATHS: [&str; 5] = [
    "items",
    "metadata.labels.*",
    "metadata.ownerReferences",
    "data.spec.template.*",
    "data.spec.template.spec.containers",
];
const POLICY_PATHS: [&str; 7] = [
    "items",
    "spec.targetRefs",
    "spec.selector.matchLabels.*",
    "spec.selector.matchExpressions",
    "spec.selector.matchExpressions[].values",
    "spec.stages",
    "spec.stages[].nodeSelector.matchLabels.*",
];
const NAMESPACE_PATHS: [&str; 2] = ["items", "metadata.labels.*"];

/// The paths that the planner reads in the objects of a request field. The fields of `Explain` aren't listed, because
/// `Explain` reads the same paths as `Plan`.
pub(super) fn paths_in(field: &str) -> &'static [&'static str] {
    match field {
        "Plan.daemon_set" | "SimulateNodes.daemon_sets" | "SimulateRollout.daemon_set" => &DAEMON_SET_PATHS,
        "Plan.nodes" | "SimulateNodes.nodes" | "SimulateRollout.nodes" => &NODE_PATHS,
        "Plan.pods" | "SimulateRollout.pods" => &POD_PATHS,
        "SimulateRollout.policies" | "SimulateRollout.cluster_policies" => &POLICY_PATHS,
        "SimulateRollout.namespaces" => &NAMESPACE_PATHS,
        "Plan.controller_revisions" => &REVISION_PATHS,
        "SimulateNodes.runtime_classes" => &RUNTIME_CLASS_PATHS,
        _ => &["items"],
    }
}
