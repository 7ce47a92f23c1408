//! Looks at all cells of a row when a rollout begins or a stage opens.

use std::collections::BTreeMap;

use super::RowCells;
use crate::{
    decide::{
        Rules,
        cell::{Cell, Cells as _, PodRecord},
        rollout::{
            advance::Survey,
            policy,
            staging::{self, StageIndex},
        },
    },
    model::{
        Node, Text, Verdict,
        rollout::{MAX_PICKED, Stage},
    },
};

/// The cells of a row under a rollout.
pub(super) struct RowSurvey<'r> {
    pub(super) cells: &'r RowCells<'r>,
    pub(super) rules: &'r Rules<'r>,
}

/// A node that a stage may take.
struct Candidate<'r> {
    node: &'r Node,
    hash: u32,
    /// The stage that the node is in so far.
    stage: StageIndex,
    is_ignored: bool,
}

impl<'r> RowSurvey<'r> {
    /// The desired nodes, in the order of their names.
    fn candidates(&self) -> Vec<Candidate<'r>> {
        let (mut candidates, mut pods) = (Vec::new(), Vec::new());
        for index in self.cells.in_order() {
            let Some(node) = self.cells.nodes.get(*index) else {
                continue;
            };
            let Some(cell) = self.cells.cell(*index, &mut pods) else {
                continue;
            };
            let (verdict, stage) = match &cell.rollout {
                Some(rollout) => (rollout.update_verdict, rollout.group.stage),
                None => (cell.verdict, StageIndex::MAX),
            };
            if verdict == Some(Verdict::Run) {
                candidates.push(Candidate {
                    node,
                    hash: staging::hash(&self.rules.daemon_set.uid, &node.name),
                    stage,
                    is_ignored: self.is_ignored(&cell),
                });
            }
        }
        candidates
    }

    fn is_ignored(&self, cell: &Cell<'_, '_>) -> bool {
        let rollout = &self.rules.rollout;
        rollout.is_some_and(|rollout| policy::is_ignored(self.rules, &rollout, cell))
    }
}

impl Survey for RowSurvey<'_> {
    fn most_available(&self) -> Option<Text> {
        // Of each revision: the available pods, and all pods.
        let mut counts: BTreeMap<&Text, (usize, usize)> = BTreeMap::new();
        let mut pods = Vec::new();
        for index in self.cells.in_order() {
            let Some(cell) = self.cells.cell(*index, &mut pods) else {
                continue;
            };
            for pod in cell.pods.iter().filter(|pod| !self.rules.is_current(pod)) {
                let (available, all) = counts.entry(&pod.template_id.revision).or_default();
                *available += usize::from(self.rules.is_available(pod));
                *all += 1;
            }
        }
        let most = counts.values().copied().max()?;
        let mut revisions = counts.iter();
        revisions
            .find(|(_, count)| **count == most)
            .map(|(revision, _)| (*revision).clone())
    }

    fn is_everywhere(&self, revision: &Text) -> bool {
        let mut pods = Vec::new();
        let mut any = false;
        for index in self.cells.in_order() {
            let Some(cell) = self.cells.cell(*index, &mut pods) else {
                continue;
            };
            let carries = |pod: &&&PodRecord| pod.template_id.revision == *revision;
            let is_available = |pod: &&PodRecord| self.rules.is_available(pod);
            let has_other = cell.pods.iter().any(|pod| pod.template_id.revision != *revision);
            let is_missing = cell.verdict == Some(Verdict::Run) && cell.pods.is_empty();
            let runs = cell.pods.iter().filter(carries).any(is_available);
            if has_other || is_missing || !(runs || cell.pods.is_empty()) {
                return false;
            }
            any |= runs;
        }
        any
    }

    fn pick(&self, stage: &Stage, position: StageIndex, count: usize) -> Vec<Text> {
        let is_own = |candidate: &Candidate<'_>| self.cells.nodes.is_own(&candidate.node.name);
        let mut candidates = self.candidates();
        candidates.retain(|candidate| {
            candidate.stage >= position
                && !candidate.is_ignored
                && stage.node_selector.selects(&candidate.node.labels)
        });
        candidates.sort_by_key(is_own);
        let mut domain_sizes: BTreeMap<Option<&Text>, usize> = BTreeMap::new();
        let mut ranked = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            let key = stage.topology_key.as_ref();
            let domain = key.and_then(|key| candidate.node.labels.get(key));
            let size = domain_sizes.entry(domain).or_default();
            *size += 1;
            ranked.push((is_own(candidate), *size, domain, &candidate.node.name));
        }
        // The first node of every domain comes before the second one of any.
        ranked.sort_unstable();
        let picked = ranked.into_iter().take(count.min(MAX_PICKED));
        picked.map(|(.., name)| name.clone()).collect()
    }

    fn hash_limit(&self, stage: &Stage, position: StageIndex, released: usize) -> u32 {
        let candidates = self.candidates();
        let earlier = candidates
            .iter()
            .filter(|candidate| candidate.stage < position)
            .count();
        let mut hashes: Vec<_> = candidates
            .iter()
            .filter(|candidate| {
                candidate.stage >= position && stage.node_selector.selects(&candidate.node.labels)
            })
            .map(|candidate| candidate.hash)
            .collect();
        hashes.sort_unstable();
        match released.saturating_sub(earlier).checked_sub(1) {
            None => 0,
            Some(last) => hashes.get(last).map_or(u32::MAX, |hash| hash.saturating_add(1)),
        }
    }
}
