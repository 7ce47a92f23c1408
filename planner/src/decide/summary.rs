//! Verdicts, counted: on thousands of nodes a handful of conditions says it all.

use hashbrown::HashMap;

use crate::model::{Reason, ReasonCode, Verdict};

/// How many nodes have which verdict, and why.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Nodes that should run a pod.
    pub run: u32,
    /// Nodes that may keep one.
    pub keep: u32,
    /// Nodes that should have none.
    pub exclude: u32,
    nodes: u32,
    counts: Vec<Count>,
    /// The node that each was counted for last: two taints of a node may differ in nothing that a condition says.
    counted_for: Vec<u32>,
    /// Where each count is.
    places: HashMap<(ReasonCode, Verdict), HashMap<String, usize>>,
}

/// How many nodes a condition speaks against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// What the condition is about.
    pub code: ReasonCode,
    /// The condition.
    pub condition: String,
    /// What those nodes have for a verdict.
    pub verdict: Verdict,
    /// How many nodes.
    pub nodes: u32,
}

impl Summary {
    /// Counts one node.
    pub fn add(&mut self, verdict: Verdict, reasons: &[Reason]) {
        self.nodes += 1;
        match verdict {
            Verdict::Run => {
                self.run += 1;
                return;
            }
            Verdict::Keep => self.keep += 1,
            Verdict::Exclude => self.exclude += 1,
        }
        for reason in reasons {
            self.count(verdict, reason);
        }
    }

    fn count(&mut self, verdict: Verdict, reason: &Reason) {
        let places = self.places.entry((reason.code, verdict)).or_default();
        if let Some(place) = places.get(reason.condition.as_str()) {
            if let (Some(count), Some(last)) = (self.counts.get_mut(*place), self.counted_for.get_mut(*place))
                && std::mem::replace(last, self.nodes) != self.nodes
            {
                count.nodes += 1;
            }
            return;
        }
        places.insert(reason.condition.clone(), self.counts.len());
        self.counted_for.push(self.nodes);
        self.counts.push(Count {
            code: reason.code,
            condition: reason.condition.clone(),
            verdict,
            nodes: 1,
        });
    }

    /// The conditions, that of the most nodes first; of equal ones the one that was met first.
    pub fn into_counts(self) -> Vec<Count> {
        let mut counts = self.counts;
        counts.sort_by_key(|count| std::cmp::Reverse(count.nodes));
        counts
    }
}

#[cfg(test)]
mod tests;
