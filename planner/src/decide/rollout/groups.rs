//! Counts the cells of each stage and domain of a rollout.
//!
//! Like the ledger that it belongs to, it is a cache without rules of its own: it always equals a new one that is computed
//! from the same marks.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{
    super::{
        cell::CellIndex,
        marks::{Mark, Marks},
    },
    advance::StageSeen,
    staging::StageIndex,
};
use crate::model::Text;

/// The value of the label that divides nodes into domains. The domain of the nodes without the label is the last one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Domain {
    is_missing: bool,
    value: Text,
}

impl Domain {
    /// The domain of the nodes with this value. `None` for those without the label.
    pub(crate) fn of(value: Option<&Text>) -> Self {
        Self {
            is_missing: value.is_none(),
            value: value.cloned().unwrap_or_default(),
        }
    }

    /// The value of the label. `None` for the domain of the nodes without it.
    pub(crate) fn value(&self) -> Option<&Text> {
        (!self.is_missing).then_some(&self.value)
    }
}

/// The number of a domain in [`Domains`]. It says nothing about the order of domains.
pub(crate) type DomainIndex = u32;

/// The domains of a rollout, each with a number, so that a cell needs only that.
#[derive(Debug, Default)]
pub(crate) struct Domains {
    values: Vec<Domain>,
    indices: HashMap<Domain, DomainIndex>,
}

impl Domains {
    /// The number of a domain, which gets one if it has none.
    pub(crate) fn index_of(&mut self, domain: Domain) -> DomainIndex {
        if let Some(index) = self.indices.get(&domain) {
            return *index;
        }
        let index = DomainIndex::try_from(self.values.len()).unwrap_or(DomainIndex::MAX);
        self.values.push(domain.clone());
        self.indices.insert(domain, index);
        index
    }

    /// The domain with this number.
    pub(crate) fn get(&self, index: DomainIndex) -> Option<&Domain> {
        self.values.get(index as usize)
    }
}

/// The group that a cell belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Group {
    pub(crate) stage: StageIndex,
    pub(crate) domain: DomainIndex,
}

/// The counts of a group, or of several groups together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Nodes that should run a pod.
    pub(crate) desired: usize,
    /// Nodes with a pod of the update revision.
    pub(crate) updated: usize,
    /// Nodes with an available pod of the update revision.
    pub(crate) updated_available: usize,
    /// Nodes that the stage waits for.
    pub(crate) pending: usize,
    /// Nodes without an available pod, except ignored ones.
    pub(crate) unavailable: usize,
    /// Nodes whose pod is being replaced.
    pub(crate) in_replacement: usize,
    /// Nodes whose pod waits to be replaced.
    pub(crate) queued: usize,
    /// Those whose replacement takes no slot.
    pub(crate) queued_free: usize,
    /// Those whose replacement takes an available pod.
    pub(crate) queued_available: usize,
}

/// A mark, and the count of the cells that have it.
type MarkCount = (Mark, fn(&mut Counts) -> &mut usize);

impl Counts {
    /// Nodes whose pod waits to be replaced at this urgency.
    pub(crate) fn queued_at(&self, urgency: Urgency) -> usize {
        match urgency {
            Urgency::Free => self.queued_free,
            Urgency::Available => self.queued_available,
            Urgency::Unavailable => self
                .queued
                .saturating_sub(self.queued_free + self.queued_available),
        }
    }

    const FIELDS: [MarkCount; 9] = [
        (Mark::Desired, |counts| &mut counts.desired),
        (Mark::HasUpdated, |counts| &mut counts.updated),
        (Mark::HasUpdatedAvailable, |counts| &mut counts.updated_available),
        (Mark::Pending, |counts| &mut counts.pending),
        (Mark::Unavailable, |counts| &mut counts.unavailable),
        (Mark::InReplacement, |counts| &mut counts.in_replacement),
        (Mark::Queued, |counts| &mut counts.queued),
        (Mark::QueuedFree, |counts| &mut counts.queued_free),
        (Mark::QueuedAvailable, |counts| &mut counts.queued_available),
    ];

    fn add(&mut self, marks: Marks) {
        for (mark, field) in Self::FIELDS {
            *field(self) += usize::from(marks.has(mark));
        }
    }

    fn merge(&mut self, mut other: Self) {
        for (_, field) in Self::FIELDS {
            *field(self) += *field(&mut other);
        }
    }

    fn subtract(&mut self, marks: Marks) {
        for (mark, field) in Self::FIELDS {
            let count = field(self);
            *count = count.saturating_sub(usize::from(marks.has(mark)));
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Counts> for StageSeen {
    fn from(counts: Counts) -> Self {
        Self {
            desired: counts.desired,
            updated: counts.updated,
            updated_available: counts.updated_available,
            pending: counts.pending,
        }
    }
}

/// What the replacement of a pod costs. The cheapest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// No slot: the node is ignored, or the policy replaces unavailable pods at once.
    Free,
    /// A slot, but no available pod.
    Unavailable,
    /// An available pod.
    Available,
}

impl Urgency {
    /// All of them, the cheapest first.
    pub(crate) const ALL: [Self; 3] = [Self::Free, Self::Unavailable, Self::Available];

    /// The urgency of a cell with these marks, if its pod waits to be replaced.
    pub(crate) fn of(marks: Marks) -> Self {
        if marks.has(Mark::QueuedFree) {
            Self::Free
        } else if marks.has(Mark::QueuedAvailable) {
            Self::Available
        } else {
            Self::Unavailable
        }
    }
}

/// The counts of all groups.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    /// The group of each cell. The default for a cell whose node is gone, which has no marks.
    cells: Vec<Group>,
    stages: Vec<Counts>,
    domains: BTreeMap<DomainIndex, Counts>,
    by_group: BTreeMap<Group, Counts>,
}

impl PartialEq for Groups {
    /// Ignores empty entries at the ends, which are left over from cells and stages that are gone.
    fn eq(&self, other: &Self) -> bool {
        let cells = |groups: &Self| {
            let last = groups.cells.iter().rposition(|group| *group != Group::default());
            last.map_or(0, |last| last + 1)
        };
        let stages = |groups: &Self| {
            let last = groups.stages.iter().rposition(|counts| !counts.is_empty());
            last.map_or(0, |last| last + 1)
        };
        self.cells.get(..cells(self)) == other.cells.get(..cells(other))
            && self.stages.get(..stages(self)) == other.stages.get(..stages(other))
            && self.domains == other.domains
            && self.by_group == other.by_group
    }
}

impl Eq for Groups {}

impl Groups {
    /// Moves a cell to a group, and replaces the marks that it had before.
    pub(crate) fn set(&mut self, cell: CellIndex, before: Marks, group: Group, marks: Marks) {
        let index = cell as usize;
        if index >= self.cells.len() {
            self.cells.resize(index + 1, Group::default());
        }
        let Some(slot) = self.cells.get_mut(index) else {
            return;
        };
        let old = std::mem::replace(slot, group);
        if (old, before) == (group, marks) {
            return;
        }
        self.change(old, |counts| counts.subtract(before));
        self.change(group, |counts| counts.add(marks));
    }

    fn change(&mut self, group: Group, change: impl Fn(&mut Counts)) {
        let stage = usize::from(group.stage);
        if stage >= self.stages.len() {
            self.stages.resize(stage + 1, Counts::default());
        }
        if let Some(counts) = self.stages.get_mut(stage) {
            change(counts);
        }
        let counts = self.domains.entry(group.domain).or_default();
        change(counts);
        if counts.is_empty() {
            self.domains.remove(&group.domain);
        }
        let counts = self.by_group.entry(group).or_default();
        change(counts);
        if counts.is_empty() {
            self.by_group.remove(&group);
        }
    }

    /// The group that a cell belongs to.
    pub(crate) fn group_of(&self, cell: CellIndex) -> Group {
        self.cells.get(cell as usize).copied().unwrap_or_default()
    }

    /// The counts of all stages together.
    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts::default();
        for counts in &self.stages {
            total.merge(*counts);
        }
        total
    }

    /// The counts of the stages, as far as they have had cells.
    pub(crate) fn stages(&self) -> &[Counts] {
        &self.stages
    }

    /// The counts of a stage.
    pub(crate) fn stage(&self, stage: StageIndex) -> Counts {
        self.stages.get(usize::from(stage)).copied().unwrap_or_default()
    }

    /// The counts of a domain, over all stages.
    pub(crate) fn domain(&self, domain: DomainIndex) -> Counts {
        self.domains.get(&domain).copied().unwrap_or_default()
    }

    /// The counts of a group.
    pub(crate) fn group(&self, group: Group) -> Counts {
        self.by_group.get(&group).copied().unwrap_or_default()
    }

    /// The first group of each stage whose nodes aren't all updated, in the order of the stages. Within a stage, only this
    /// domain is worked on.
    pub(crate) fn unfinished(&self, domains: &Domains) -> impl Iterator<Item = Group> + use<> {
        let mut first: BTreeMap<StageIndex, Group> = BTreeMap::new();
        for (group, counts) in &self.by_group {
            if counts.queued == 0 && counts.pending == 0 && counts.in_replacement == 0 {
                continue;
            }
            let found = first.entry(group.stage).or_insert(*group);
            if domains.get(group.domain) < domains.get(found.domain) {
                *found = *group;
            }
        }
        first.into_values()
    }

    /// The domain of each stage that is worked on now, by the stage's position. `None` for a stage that is finished.
    pub(crate) fn unfinished_domains(&self, domains: &Domains) -> Vec<Option<Domain>> {
        let mut found = vec![None; self.stages.len()];
        for group in self.unfinished(domains) {
            if let Some(slot) = found.get_mut(usize::from(group.stage)) {
                *slot = domains.get(group.domain).cloned();
            }
        }
        found
    }
}
