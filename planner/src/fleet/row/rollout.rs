//! The rollout of a policy in a row: what is remembered, which nodes it has released, and what comes next.

mod active;
mod current;
mod report;

use std::sync::Arc;

use hashbrown::HashSet;

use self::{
    active::{Active, Slot, is_held},
    current::CurrentTemplate,
};
use super::super::nodes::{NodeIndex, Nodes};
use crate::{
    decide::{
        cell::{CellIndex, PodRecord, RolloutCell, Target},
        rollout::{
            groups::Domains,
            policy::{self, RolloutRules},
            report::Hold,
            rules::Rule,
            staging::Staging,
        },
    },
    model::{
        Budget, DaemonSet, Node, Strategy, Text, Toleration, Verdict,
        rollout::{Memory, PolicySpec, State, Verbs},
    },
};

/// What a row knows of the policy that applies to its `DaemonSet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Governance {
    /// No policy applies.
    None,
    /// This policy applies.
    Policy {
        /// The policy's uid.
        uid: Text,
        /// The policy's settings, or what is wrong with them.
        spec: Result<Arc<PolicySpec>, Text>,
    },
    /// The policies can't be read at the moment.
    Unknown {
        /// The uid of the policy that applied when they were last read. Empty if none did.
        uid: Text,
        /// How the rollout goes by the policy as it was last read, which tells which nodes have been released.
        spec: Option<Arc<PolicySpec>>,
    },
}

/// The rollout of a row.
#[derive(Debug)]
pub(crate) struct RowRollout {
    pub(crate) governance: Governance,
    pub(crate) verbs: Verbs,
    /// What is remembered. `None` if nothing has been written yet.
    pub(crate) memory: Option<Memory>,
    /// `None` while the rollout holds nothing back: then the row is as it would be without a policy.
    active: Option<Active>,
}

impl RowRollout {
    /// A row under this governance. `None` if nothing has to be held back or remembered. Without a policy, a rollout that
    /// had begun stays held: what is remembered says so, or, where nothing is, the `DaemonSet` itself (T3).
    pub(crate) fn new(
        governance: Governance,
        verbs: Verbs,
        memory: Option<Memory>,
        daemon_set: &DaemonSet,
    ) -> Option<Self> {
        // Without an update revision, nothing has been remembered yet.
        let memory = memory.filter(|memory| !memory.update.is_empty());
        let has_begun = match &memory {
            Some(memory) => memory.state != State::Completed,
            None => daemon_set.is_rollout_held,
        };
        if governance == Governance::None && !has_begun {
            return None;
        }
        Some(Self {
            governance,
            verbs,
            memory,
            active: None,
        })
    }

    /// Whether the policy, the verbs and the memory are the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.governance == other.governance && self.verbs == other.verbs && self.memory == other.memory
    }

    /// Prepares the rollout after any change of the policy, the memory, the verbs or the `DaemonSet`.
    pub(crate) fn prepare(&mut self, daemon_set: &DaemonSet, nodes: &Nodes) {
        self.active = None;
        let none = Memory::default();
        let memory = self.memory.as_ref().unwrap_or(&none);
        let hold = self.hold(daemon_set);
        let is_complete = memory.state == State::Completed && memory.update == daemon_set.update_revision;
        let is_held = |index: &NodeIndex| nodes.get(*index).is_some_and(|node| is_held(node, daemon_set));
        if is_complete && hold.is_none() && !nodes.in_order().iter().any(is_held) {
            return;
        }
        let spec = match &self.governance {
            Governance::Policy { spec: Ok(spec), .. } | Governance::Unknown { spec: Some(spec), .. } => {
                Some(spec.clone())
            }
            _ => None,
        };
        let current = if memory.current.is_empty() {
            daemon_set.update_revision.clone()
        } else {
            memory.current.clone()
        };
        let released = match &self.verbs.release {
            (rollout, nodes) if *rollout == memory.rollout => nodes.iter().cloned().collect(),
            _ => HashSet::new(),
        };
        let mut active = Active {
            staging: Staging::new(spec.clone(), memory),
            max_unavailable: max_unavailable(daemon_set, spec.as_deref()),
            spec: spec.unwrap_or_default(),
            current: CurrentTemplate::new(current, daemon_set),
            may_replace: hold.is_none(),
            released,
            domains: Domains::default(),
            cells: Vec::new(),
        };
        active.cells.resize(nodes.capacity(), Slot::default());
        for index in nodes.in_order() {
            active.set(*index, nodes.get(*index), daemon_set, memory);
        }
        self.active = Some(active);
    }

    /// Whether a node is held, although the rollout holds nothing back.
    pub(crate) fn must_hold(&self, node: Option<&Node>, daemon_set: &DaemonSet) -> bool {
        self.active.is_none() && node.is_some_and(|node| is_held(node, daemon_set))
    }

    /// Updates a cell after a change of its node. Returns whether that makes a difference.
    pub(crate) fn update_node(&mut self, index: NodeIndex, daemon_set: &DaemonSet, nodes: &Nodes) -> bool {
        let Some(active) = &mut self.active else {
            return false;
        };
        let none = Memory::default();
        let memory = self.memory.as_ref().unwrap_or(&none);
        active.set(index, nodes.get(index), daemon_set, memory)
    }

    /// Why nothing is replaced. `None` if old pods are replaced, or would be.
    pub(crate) fn hold(&self, daemon_set: &DaemonSet) -> Option<Hold> {
        let is_paused = match &self.governance {
            Governance::None if Rule::PolicyThere.counts() => return Some(Hold::PolicyGone),
            Governance::Unknown { .. } if Rule::PoliciesKnown.counts() => return Some(Hold::PoliciesUnknown),
            Governance::Policy { spec: Err(error), .. } if Rule::PolicyValid.counts() => {
                return Some(Hold::PolicyInvalid(error.clone()));
            }
            Governance::Policy { spec: Ok(spec), .. } => spec.paused || self.verbs.paused,
            Governance::None | Governance::Unknown { .. } | Governance::Policy { .. } => false,
        };
        let Some(memory) = self
            .memory
            .as_ref()
            .filter(|memory| memory.update == daemon_set.update_revision)
        else {
            return Rule::Remembered.counts().then_some(Hold::NotWritten);
        };
        match memory.state {
            _ if is_paused && Rule::Pause.counts() => Some(Hold::Paused),
            State::GoingBack if current::is_lost(&memory.current, daemon_set) => {
                Some(Hold::CurrentRevisionLost)
            }
            State::Waiting => Some(Hold::Waiting),
            State::MemoryLost => Some(Hold::MemoryLost),
            State::Progressing | State::GoingBack | State::Completed => None,
        }
    }

    /// What the rollout adds to the rules. `None` while it holds nothing back.
    pub(crate) fn rules(&self) -> Option<RolloutRules<'_>> {
        let active = self.active.as_ref()?;
        let memory = self.memory.as_ref();
        Some(RolloutRules {
            current: &active.current.hash,
            started_at: memory.map(|memory| memory.started_at).unwrap_or_default(),
            may_replace: active.may_replace,
            has_stages: memory.is_none_or(|memory| memory.state != State::GoingBack),
            is_current_lost: active.current.is_lost,
            max_unavailable: active.max_unavailable,
            spec: &active.spec,
            domains: &active.domains,
        })
    }

    /// The tolerations that pods of the current revision get in addition to those of its template. `None` while every pod
    /// is made from the update template.
    pub(crate) fn current_added_tolerations(&self) -> Option<&Arc<[Toleration]>> {
        let active = self.active.as_ref()?;
        active
            .current
            .placement
            .is_some()
            .then_some(&active.current.added_tolerations)
    }

    /// How the rollout sees a cell, and the verdict by the template that its pod should have. `None` while the rollout
    /// holds nothing back.
    pub(crate) fn cell(
        &self,
        index: CellIndex,
        verdict: Option<Verdict>,
        daemon_set: &DaemonSet,
        pods: &[&PodRecord],
    ) -> Option<(RolloutCell, Option<Verdict>)> {
        let active = self.active.as_ref()?;
        let slot = active.cells.get(index as usize)?;
        let memory = self.memory.as_ref();
        let is_current = |pod: &&PodRecord| pod.template_id.revision == daemon_set.update_revision;
        let has_updated = pods.iter().any(is_current);
        let goes_back = memory.is_some_and(|memory| memory.state == State::GoingBack);
        let target = match memory {
            None => Target::Update,
            // Only pods that are missing get the update revision; pods of the current one stay.
            Some(_) if self.gives_update(active) && pods.is_empty() && !goes_back => Target::Update,
            Some(_) => policy::target(slot.is_reached, has_updated, goes_back),
        };
        // Nobody knows which nodes the template before took, so no pod of it goes because the newer one excludes its node.
        let is_unknown = active.current.is_lost || (memory.is_none() && daemon_set.is_rollout_held);
        let current_verdict = match active.current.placement {
            Some(_) => slot.current_verdict,
            None if is_unknown && verdict == Some(Verdict::Exclude) => Some(Verdict::Keep),
            None => verdict,
        };
        let rollout = RolloutCell {
            target,
            is_released: slot.is_reached || goes_back,
            is_held: slot.is_held,
            is_in_roster: slot.is_in_roster,
            update_verdict: verdict,
            current_verdict,
            group: slot.group,
        };
        let verdict = match target {
            Target::Update => verdict,
            Target::Current => current_verdict,
        };
        Some((rollout, verdict))
    }

    /// Whether pods that are missing get the update revision on nodes that aren't released. While the policies can't be
    /// read, they don't.
    fn gives_update(&self, active: &Active) -> bool {
        let is_known = matches!(self.governance, Governance::Policy { .. });
        is_known && active.spec.unreleased_get_update
    }

    /// The stages. `None` while the rollout holds nothing back.
    pub(crate) fn staging(&self) -> Option<&Staging> {
        self.active.as_ref().map(|active| &active.staging)
    }

    /// Number of cells, while the rollout is under way.
    pub(crate) fn cells(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.cells.len())
    }
}

/// How many nodes may be without an available pod: as the policy says, or else as the `DaemonSet` does.
fn max_unavailable(daemon_set: &DaemonSet, spec: Option<&PolicySpec>) -> Budget {
    if let Some(budget) = spec.and_then(|spec| spec.max_unavailable) {
        return budget;
    }
    match daemon_set.strategy {
        Strategy::OnDelete => daemon_set.on_delete_max_unavailable.unwrap_or(Budget::Count(1)),
        Strategy::RollingUpdate { max_surge, .. } if max_surge.of(1) > 0 => max_surge,
        Strategy::RollingUpdate { max_unavailable, .. } => max_unavailable,
    }
}
