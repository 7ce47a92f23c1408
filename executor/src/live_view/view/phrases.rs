//! Phrases about pods and actions, from which messages are built.

use std::{collections::BTreeSet, fmt, time::Duration};

use everynode_proto::planner::v1::PodFacts;

/// Maximum number of pods that a message names.
const MAX_NAMES: usize = 3;

/// Counts pods: `pods(1, "is", "are")` returns "1 pod is".
pub(crate) fn pods(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 pod {one}"),
        _ => format!("{count} pods {many}"),
    }
}

/// Describes refused actions. `what` is the participle of the action, such as "created".
pub(crate) fn refused(what: &str, reason: &str) -> String {
    format!("pods can't be {what}: {reason}")
}

/// Describes failing upkeep.
pub(crate) fn upkeep_fails(error: &str) -> String {
    format!("the revision history and the ownership of pods can't be reconciled: {error}")
}

/// Describes a `DaemonSet` that is too large to be sent to the planner.
pub(crate) fn too_large(bytes: usize, limit: usize) -> String {
    format!(
        "the facts about this DaemonSet take {bytes} bytes, and the planner accepts at most {limit}; its pods stay \
         unchanged until its nodeSelector, affinity and tolerations are smaller"
    )
}

/// Describes the first pods with `describe`, in the order of their nodes, and counts the others.
pub(crate) fn list(pods: &[&PodFacts], describe: impl Fn(&PodFacts) -> String) -> String {
    let mut sorted = pods.to_vec();
    sorted.sort_by(|a, b| (&a.node, &a.name).cmp(&(&b.node, &b.name)));
    let mut names: Vec<_> = sorted.iter().take(MAX_NAMES).map(|pod| describe(pod)).collect();
    let more = sorted.len().saturating_sub(MAX_NAMES);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

/// Names a pod with its node, such as "agent-7bd5c on node-1".
pub(crate) fn on_node(pod: &PodFacts) -> String {
    match pod.node.as_str() {
        "" => pod.name.clone(),
        node => format!("{} on {node}", pod.name),
    }
}

/// Returns the number of nodes that the pods are on.
pub(crate) fn node_count(pods: &[&PodFacts]) -> u32 {
    let nodes: BTreeSet<_> = pods
        .iter()
        .map(|pod| pod.node.as_str())
        .filter(|node| !node.is_empty())
        .collect();
    count(nodes.len())
}

/// Converts a count to the wire's type.
pub(crate) fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The time until the next retry. Zero means that the retry is in progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryIn(pub(crate) Duration);

impl fmt::Display for RetryIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return formatter.write_str("a retry is in progress");
        }
        // Rounds up, because "0 s" would mean that the retry is in progress.
        let seconds = self.0.as_millis().div_ceil(1000);
        write!(formatter, "next retry in {seconds} s")
    }
}
