//! Groups many pairs: by condition, by nodes that are alike, and by `DaemonSet`s that are alike.
//!
//! Two nodes are alike if every `DaemonSet` has the same verdict on both for the same reasons. Two `DaemonSet`s are
//! alike if they have the same verdict on every node for the same reasons. Clusters have few kinds of either.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use everynode_proto::{
    executor::v1::WaitCode,
    planner::v1::{Reason, ReasonCode, Toleration, Verdict, reason::Detail},
};

use super::pair::Pair;

/// The groups of pairs.
#[derive(Debug, Default)]
pub(super) struct Fold<'a> {
    /// The conditions, that of most pairs first.
    pub(super) conditions: Vec<Condition<'a>>,
    /// Kinds of nodes, that of most nodes first.
    pub(super) nodes: Vec<Group<'a>>,
    /// Kinds of `DaemonSet`s, that of most `DaemonSet`s first.
    pub(super) daemon_sets: Vec<Group<'a>>,
    /// Every `DaemonSet` as a group of its own, in the order of the answer.
    pub(super) each_daemon_set: Vec<Group<'a>>,
}

/// A condition that some pairs don't meet, or something that some pairs wait for.
#[derive(Debug)]
pub(super) struct Condition<'a> {
    pub(super) kind: ConditionKind<'a>,
    /// The verdict on these pairs.
    pub(super) verdict: Verdict,
    pub(super) daemon_sets: Members<'a>,
    pub(super) nodes: Members<'a>,
    pub(super) pairs: usize,
    /// The toleration that would admit the pods, if the condition is a taint.
    pub(super) admitted_by: Option<&'a Toleration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ConditionKind<'a> {
    Unmet(ReasonCode, &'a str),
    Wait(WaitCode),
}

/// Objects of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Members<'a> {
    pub(super) first: &'a str,
    pub(super) count: usize,
}

/// Nodes, or `DaemonSet`s, that are alike.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) members: Members<'a>,
    /// The number of pairs with each verdict, for each member.
    pub(super) run: usize,
    pub(super) keep: usize,
    pub(super) exclude: usize,
    /// The indices of the conditions that apply, each with the number of pairs for each member, most first.
    pub(super) conditions: Vec<(usize, usize)>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(pairs: &[Pair<'a>]) -> Self {
        let mut folding = Folding::default();
        for pair in pairs {
            folding.add(pair);
        }
        folding.finish()
    }
}

/// What is known of a pair apart from its names: the verdict, and the conditions by index.
type Outcome = (Verdict, Vec<usize>);

#[derive(Default)]
struct Folding<'a> {
    conditions: Vec<Condition<'a>>,
    condition_indices: HashMap<(ConditionKind<'a>, Verdict), usize>,
    /// The `DaemonSet`s and the nodes of each condition.
    condition_members: Vec<[HashSet<usize>; 2]>,
    outcomes: Vec<Outcome>,
    outcome_indices: HashMap<Outcome, usize>,
    daemon_sets: Objects<'a>,
    nodes: Objects<'a>,
}

/// The objects on one side of the pairs.
#[derive(Default)]
struct Objects<'a> {
    names: Vec<&'a str>,
    indices: HashMap<&'a str, usize>,
    /// For each object, the index of the other object of each pair, and the index of the outcome.
    outcomes: Vec<Vec<(usize, usize)>>,
}

impl<'a> Objects<'a> {
    fn index(&mut self, name: &'a str) -> usize {
        let (names, outcomes) = (&mut self.names, &mut self.outcomes);
        *self.indices.entry(name).or_insert_with(|| {
            names.push(name);
            outcomes.push(Vec::new());
            names.len() - 1
        })
    }

    fn add(&mut self, index: usize, other: usize, outcome: usize) {
        if let Some(outcomes) = self.outcomes.get_mut(index) {
            outcomes.push((other, outcome));
        }
    }
}

impl<'a> Folding<'a> {
    fn add(&mut self, pair: &Pair<'a>) {
        let daemon_set = self.daemon_sets.index(&pair.found.daemon_set);
        let node = self.nodes.index(&pair.found.node);
        let verdict = pair.verdict();
        let unmet = pair.unmet().map(|(reason, condition)| {
            let kind = ConditionKind::Unmet(reason.code(), condition);
            (kind, admitted_by(reason))
        });
        let waits = pair
            .waits
            .iter()
            .map(|wait| (ConditionKind::Wait(wait.code()), None));
        let mut conditions: Vec<_> = unmet
            .chain(waits)
            .map(|(kind, admitted_by)| self.condition(kind, verdict, admitted_by, pair))
            .collect();
        conditions.sort_unstable();
        conditions.dedup();
        for index in &conditions {
            if let Some([daemon_sets, nodes]) = self.condition_members.get_mut(*index) {
                daemon_sets.insert(daemon_set);
                nodes.insert(node);
            }
            if let Some(condition) = self.conditions.get_mut(*index) {
                condition.pairs += 1;
            }
        }
        let outcome = self.outcome((verdict, conditions));
        self.daemon_sets.add(daemon_set, node, outcome);
        self.nodes.add(node, daemon_set, outcome);
    }

    fn condition(
        &mut self,
        kind: ConditionKind<'a>,
        verdict: Verdict,
        admitted_by: Option<&'a Toleration>,
        pair: &Pair<'a>,
    ) -> usize {
        let (conditions, members) = (&mut self.conditions, &mut self.condition_members);
        *self.condition_indices.entry((kind, verdict)).or_insert_with(|| {
            let first = |first: &'a str| Members { first, count: 0 };
            conditions.push(Condition {
                kind,
                verdict,
                daemon_sets: first(&pair.found.daemon_set),
                nodes: first(&pair.found.node),
                pairs: 0,
                admitted_by,
            });
            members.push(<[HashSet<usize>; 2]>::default());
            conditions.len() - 1
        })
    }

    fn outcome(&mut self, outcome: Outcome) -> usize {
        if let Some(index) = self.outcome_indices.get(&outcome) {
            return *index;
        }
        self.outcomes.push(outcome.clone());
        self.outcome_indices.insert(outcome, self.outcomes.len() - 1);
        self.outcomes.len() - 1
    }

    fn finish(mut self) -> Fold<'a> {
        for (condition, [daemon_sets, nodes]) in self.conditions.iter_mut().zip(&self.condition_members) {
            condition.daemon_sets.count = daemon_sets.len();
            condition.nodes.count = nodes.len();
        }
        let order = self.sort_conditions();
        let each = |objects: &Objects<'a>| -> Vec<_> {
            let objects = objects.names.iter().zip(&objects.outcomes);
            objects
                .map(|(name, outcomes)| self.group(name, outcomes, &order))
                .collect()
        };
        Fold {
            nodes: alike(each(&self.nodes), &self.nodes),
            daemon_sets: alike(each(&self.daemon_sets), &self.daemon_sets),
            each_daemon_set: each(&self.daemon_sets),
            conditions: self.conditions,
        }
    }

    /// Sorts the conditions, and returns the new index of each.
    fn sort_conditions(&mut self) -> Vec<usize> {
        let conditions = std::mem::take(&mut self.conditions);
        let mut indexed: Vec<_> = conditions.into_iter().enumerate().collect();
        indexed.sort_by_key(|(_, condition)| Reverse(condition.pairs));
        let mut order = vec![0; indexed.len()];
        for (after, (before, _)) in indexed.iter().enumerate() {
            if let Some(index) = order.get_mut(*before) {
                *index = after;
            }
        }
        self.conditions = indexed.into_iter().map(|(_, condition)| condition).collect();
        order
    }

    /// Describes one object by the outcomes of its pairs.
    fn group(&self, name: &'a str, outcomes: &[(usize, usize)], order: &[usize]) -> Group<'a> {
        let mut group = Group {
            members: Members {
                first: name,
                count: 1,
            },
            run: 0,
            keep: 0,
            exclude: 0,
            conditions: Vec::new(),
        };
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for (verdict, conditions) in outcomes.iter().filter_map(|(_, index)| self.outcomes.get(*index)) {
            match verdict {
                Verdict::Run => group.run += 1,
                Verdict::Keep => group.keep += 1,
                Verdict::Exclude => group.exclude += 1,
                Verdict::Unspecified => {}
            }
            for index in conditions.iter().filter_map(|index| order.get(*index)) {
                *counts.entry(*index).or_default() += 1;
            }
        }
        group.conditions = counts.into_iter().collect();
        group
            .conditions
            .sort_unstable_by_key(|(index, count)| (Reverse(*count), *index));
        group
    }
}

/// Folds objects that have the same outcomes with the same objects into the first of them.
fn alike<'a>(each: Vec<Group<'a>>, objects: &Objects<'a>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut indices: HashMap<Vec<(usize, usize)>, usize> = HashMap::new();
    for (group, outcomes) in each.into_iter().zip(&objects.outcomes) {
        let mut outcomes = outcomes.clone();
        outcomes.sort_unstable();
        let next = groups.len();
        match groups.get_mut(*indices.entry(outcomes).or_insert(next)) {
            Some(alike) => alike.members.count += 1,
            None => groups.push(group),
        }
    }
    groups.sort_by_key(|group| Reverse(group.members.count));
    groups
}

fn admitted_by(reason: &Reason) -> Option<&Toleration> {
    match &reason.detail {
        Some(Detail::Taint(taint)) => taint.admitted_by.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
