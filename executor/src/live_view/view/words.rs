//! Pods and numbers in sentences.

use std::{collections::BTreeSet, fmt, time::Duration};

use everynode_proto::planner::v1::PodFacts;

/// Number of pods that a sentence names.
const NAMED: usize = 3;

/// Counts pods in a sentence: `pods(1, "is", "are")` is "1 pod is".
pub fn pods(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 pod {one}"),
        _ => format!("{count} pods {many}"),
    }
}

/// Says that actions are refused; `what` is what can't be done to pods, such as "created".
pub fn refused(what: &str, words: &str) -> String {
    format!("pods can't be {what}: {words}")
}

/// Says that upkeep fails.
pub fn upkeep_fails(words: &str) -> String {
    format!("its history and the ownership of its pods can't be put in order: {words}")
}

/// Says that a `DaemonSet` is too large to be sent to the planner.
pub fn too_large(bytes: usize, limit: usize) -> String {
    format!(
        "what the planner has to know of it takes {bytes} bytes, and the planner takes at most {limit}; its pods stay as \
         they are until its nodeSelector, affinity and tolerations are smaller"
    )
}

/// Names the first pods by `what`, in the order of their nodes, and counts the others.
pub fn named(pods: &[&PodFacts], what: impl Fn(&PodFacts) -> String) -> String {
    let mut sorted = pods.to_vec();
    sorted.sort_by(|a, b| (&a.node, &a.name).cmp(&(&b.node, &b.name)));
    let mut names: Vec<_> = sorted.iter().take(NAMED).map(|pod| what(pod)).collect();
    let more = sorted.len().saturating_sub(NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

/// A pod with its node, such as "agent-7bd5c on node-1".
pub fn on_node(pod: &PodFacts) -> String {
    match pod.node.as_str() {
        "" => pod.name.clone(),
        node => format!("{} on {node}", pod.name),
    }
}

/// Number of nodes that the pods are on.
pub fn nodes(pods: &[&PodFacts]) -> u32 {
    let nodes: BTreeSet<_> = pods
        .iter()
        .map(|pod| pod.node.as_str())
        .filter(|node| !node.is_empty())
        .collect();
    number(nodes.len())
}

/// Converts a count to the wire's type.
pub fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Says when something is retried: after this long.
#[derive(Debug, Clone, Copy)]
pub struct Again(pub Duration);

impl fmt::Display for Again {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return formatter.write_str("it is being tried again");
        }
        // This rounds up: "in 0 s" would be no answer.
        let seconds = self.0.as_millis().div_ceil(1000);
        write!(formatter, "the next try is in {seconds} s")
    }
}
