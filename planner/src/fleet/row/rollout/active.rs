//! What a rollout keeps of a row's cells while it is under way.

use std::sync::Arc;

use hashbrown::HashSet;

use super::current::CurrentTemplate;
use crate::{
    decide::rollout::{
        groups::{Domain, Domains, Group},
        staging::{self, StagedNode, Staging},
    },
    fleet::nodes::NodeIndex,
    model::{
        Budget, DaemonSet, Node, Text, Verdict,
        rollout::{Memory, PolicySpec, State},
    },
};

/// What a rollout needs while it is under way.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) staging: Staging,
    /// A policy that replaces nothing, for a rollout that is held without a policy.
    pub(super) spec: Arc<PolicySpec>,
    pub(super) current: CurrentTemplate,
    pub(super) may_replace: bool,
    pub(super) max_unavailable: Budget,
    pub(super) released: HashSet<Text>,
    pub(super) domains: Domains,
    pub(super) cells: Vec<Slot>,
}

/// What a rollout keeps of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slot {
    pub(super) group: Group,
    pub(super) current_verdict: Option<Verdict>,
    pub(super) is_reached: bool,
    pub(super) is_in_roster: bool,
    pub(super) is_held: bool,
}

impl Active {
    /// Recomputes what the rollout keeps of a cell. Returns whether it changed.
    pub(super) fn set(
        &mut self,
        index: NodeIndex,
        node: Option<&Node>,
        daemon_set: &DaemonSet,
        memory: &Memory,
    ) -> bool {
        let slot = match node {
            Some(node) => self.slot(node, daemon_set, memory),
            None => Slot::default(),
        };
        let index = index as usize;
        if index >= self.cells.len() {
            self.cells.resize(index + 1, Slot::default());
        }
        let Some(place) = self.cells.get_mut(index) else {
            return false;
        };
        let has_changed = *place != slot;
        *place = slot;
        has_changed
    }

    fn slot(&mut self, node: &Node, daemon_set: &DaemonSet, memory: &Memory) -> Slot {
        let hash = staging::hash(&daemon_set.uid, &node.name);
        let staged = StagedNode {
            name: &node.name,
            labels: &node.labels,
            hash,
        };
        let stage = self.staging.stage_of(staged);
        let key = self.spec.order.as_ref().map(|order| &order.topology_key);
        let domain = key.map_or_else(Domain::default, |key| Domain::of(node.labels.get(key)));
        // The stages of an earlier template say nothing about this one.
        let is_remembered = memory.update == daemon_set.update_revision;
        let is_reached = match memory.state {
            State::Completed => is_remembered,
            State::Progressing if !is_remembered => false,
            State::Progressing => {
                self.staging.is_released(staged, stage) || self.released.contains(&node.name)
            }
            State::Waiting | State::GoingBack | State::MemoryLost => false,
        };
        let goes_back = memory.state == State::GoingBack;
        let since = match self.staging.remembered(stage) {
            Some(stage) if !goes_back => stage.opened_at,
            _ => memory.started_at,
        };
        Slot {
            group: Group {
                stage,
                domain: self.domains.index_of(domain),
            },
            current_verdict: self
                .current
                .placement
                .as_ref()
                .map(|placement| placement.verdict(node)),
            is_reached,
            is_in_roster: node.created <= since && (is_reached || goes_back),
            is_held: is_held(node, daemon_set),
        }
    }
}

/// Whether a label of the node holds the pod of this `DaemonSet` at its revision: `hold.everynode.io/NAMESPACE.NAME`.
pub(super) fn is_held(node: &Node, daemon_set: &DaemonSet) -> bool {
    let holds = |key: &str| {
        key.strip_prefix("hold.everynode.io/")
            .and_then(|name| name.strip_prefix(daemon_set.namespace.as_ref()))
            .and_then(|name| name.strip_prefix('.'))
            .is_some_and(|name| name == daemon_set.name.as_ref())
    };
    node.labels.iter().any(|(key, _)| holds(key))
}
