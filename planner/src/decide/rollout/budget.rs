//! Chooses the pods that a rollout replaces now, within the budgets of the rollout, its stages and its domains (T7, T16).

use std::collections::BTreeMap;

use super::{
    super::cell::CellIndex,
    groups::{Counts, DomainIndex, Domains, Group, Groups, Urgency},
    rules::Rule,
};
use crate::model::{Budget, rollout::PolicySpec};

/// The budgets of a rollout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budgets<'p> {
    /// How many nodes may be without an available pod. Under surge: how many may be in replacement.
    pub(crate) total: Budget,
    /// Whether a new pod is created before the old one is deleted.
    pub(crate) is_surge: bool,
    /// The budgets of the stages and of the domains. `None` on the way back, where only those of the domains count.
    pub(crate) policy: &'p PolicySpec,
    /// Whether the budgets of the stages count.
    pub(crate) has_stages: bool,
}

/// What is left of a budget.
#[derive(Debug, Clone, Copy)]
struct Slots {
    most: usize,
    unavailable: usize,
    in_replacement: usize,
    is_surge: bool,
}

impl Slots {
    /// A percentage is of the nodes that it bounds, rounded up. Every budget allows at least one node.
    fn new(budget: Option<Budget>, counts: Counts, is_surge: bool) -> Self {
        Self {
            most: budget.map_or(usize::MAX, |budget| budget.of(counts.desired).max(1)),
            unavailable: counts.unavailable,
            in_replacement: counts.in_replacement,
            is_surge,
        }
    }

    /// How many pods can be replaced at this urgency. Every replacement takes a slot. That of an available pod also needs
    /// one among the nodes without an available pod, unless its successor is created first.
    fn left(self, urgency: Urgency) -> usize {
        let slots = self.most.saturating_sub(self.in_replacement);
        match urgency {
            Urgency::Free => usize::MAX,
            Urgency::Available if !self.is_surge => slots.min(self.most.saturating_sub(self.unavailable)),
            Urgency::Available | Urgency::Unavailable => slots,
        }
    }

    fn take(&mut self, urgency: Urgency, count: usize) {
        if urgency != Urgency::Free {
            self.in_replacement += count;
        }
        if urgency == Urgency::Available && !self.is_surge {
            self.unavailable += count;
        }
    }
}

/// Whether more nodes had no available pod when the rollout began than may be left out of account: 30 %, rounded up (T16).
/// Then the rollout can't tell whether the update works.
pub(crate) fn has_too_many_ignored(ignored: usize, desired: usize) -> bool {
    Rule::IgnoredCap.counts() && ignored > Budget::Percent(30).of(desired).max(1)
}

/// Chooses the cells whose pods are replaced now. `queue` returns the first cells of a group that wait at an urgency, up to a
/// number.
pub(crate) fn choose(
    budgets: &Budgets<'_>,
    groups: &Groups,
    domains: &Domains,
    queue: impl Fn(Group, Urgency, usize) -> Vec<CellIndex>,
) -> Vec<CellIndex> {
    let slots = |rule: Rule, budget: Option<Budget>, counts| {
        Slots::new(budget.filter(|_| rule.counts()), counts, budgets.is_surge)
    };
    let order = budgets.policy.order.as_ref();
    let of_domain = order.and_then(|order| order.max_unavailable);
    let mut whole = slots(Rule::TotalBudget, Some(budgets.total), groups.total());
    let mut slots_of_domains: BTreeMap<DomainIndex, Slots> = BTreeMap::new();
    let mut chosen = Vec::new();
    for group in groups.unfinished(domains) {
        let stage = budgets.policy.stages.get(usize::from(group.stage));
        let of_stage = stage
            .filter(|_| budgets.has_stages)
            .and_then(|stage| stage.max_unavailable);
        let mut stage = slots(Rule::StageBudget, of_stage, groups.stage(group.stage));
        let domain = slots_of_domains
            .entry(group.domain)
            .or_insert_with(|| slots(Rule::DomainBudget, of_domain, groups.domain(group.domain)));
        let counts = groups.group(group);
        for urgency in Urgency::ALL {
            let all = [&mut whole, &mut stage, &mut *domain];
            let left = all.iter().map(|slots| slots.left(urgency)).min();
            let count = counts.queued_at(urgency).min(left.unwrap_or_default());
            // The queue costs a look at the cells before the chosen ones, so it is asked for only if a slot is free.
            if count > 0 {
                let cells = queue(group, urgency, count);
                for slots in all {
                    slots.take(urgency, cells.len());
                }
                chosen.extend(cells);
            }
        }
    }
    chosen
}
