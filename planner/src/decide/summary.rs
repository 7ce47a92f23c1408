//! Counts verdicts by condition. Even thousands of nodes usually fail only a few different conditions.

use hashbrown::HashMap;

use crate::model::{Reason, ReasonCode, Verdict};

/// How many nodes have each verdict, and why.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Nodes that should run a pod.
    pub run: u32,
    /// Nodes that may keep a pod.
    pub keep: u32,
    /// Nodes that should have no pod.
    pub exclude: u32,
    nodes: u32,
    counts: Vec<ConditionCount>,
    /// The number of the node for which each condition was last counted. Two taints of a node may give the same
    /// condition, which then counts once.
    counted_for: Vec<u32>,
    /// The index of each condition in `counts`.
    indices: HashMap<(ReasonCode, Verdict), HashMap<String, usize>>,
}

/// The number of nodes that don't meet a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionCount {
    /// The kind of condition.
    pub code: ReasonCode,
    /// The condition.
    pub condition: String,
    /// The verdict on these nodes.
    pub verdict: Verdict,
    /// The number of nodes.
    pub nodes: u32,
}

impl Summary {
    /// Counts one node.
    pub fn add(&mut self, verdict: Verdict, reasons: &[Reason]) {
        self.nodes += 1;
        match verdict {
            Verdict::Run => self.run += 1,
            Verdict::Keep => self.keep += 1,
            Verdict::Exclude => self.exclude += 1,
        }
        // A node that should run a pod meets all conditions, except those of the pod's RuntimeClass.
        for reason in reasons.iter().filter(|reason| reason.code != ReasonCode::Fits) {
            self.count(verdict, reason);
        }
    }

    fn count(&mut self, verdict: Verdict, reason: &Reason) {
        let indices = self.indices.entry((reason.code, verdict)).or_default();
        if let Some(index) = indices.get(reason.condition.as_str()) {
            if let (Some(count), Some(last)) = (self.counts.get_mut(*index), self.counted_for.get_mut(*index))
                && std::mem::replace(last, self.nodes) != self.nodes
            {
                count.nodes += 1;
            }
            return;
        }
        indices.insert(reason.condition.clone(), self.counts.len());
        self.counted_for.push(self.nodes);
        self.counts.push(ConditionCount {
            code: reason.code,
            condition: reason.condition.clone(),
            verdict,
            nodes: 1,
        });
    }

    /// The conditions, most nodes first. Conditions with equally many nodes stay in the order in which they
    /// were found.
    pub fn into_counts(self) -> Vec<ConditionCount> {
        let mut counts = self.counts;
        counts.sort_by_key(|count| std::cmp::Reverse(count.nodes));
        counts
    }
}

#[cfg(test)]
mod tests;
