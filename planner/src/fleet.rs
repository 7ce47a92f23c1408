//! A session's picture of a cluster: nodes, `DaemonSet`s, their pods, and what is in flight.
//!
//! Facts go in one by one and mark what they may change; [`Fleet::plan`] then decides for just that. A pod event costs
//! one `DaemonSet`'s scan of compact cells, a node event one cell for each `DaemonSet`. The one-shot `Plan` call goes
//! through a fleet too, so folding deltas and looking once can't differ.

pub mod nodes;
pub mod row;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use self::{
    nodes::{NodeIndex, Nodes},
    row::{PodIndex, Row, Said},
};
use crate::{
    decide::{self, taints::added_tolerations},
    model::{Action, DaemonSet, DeleteReason, Millis, Node, Pod, Text, Toleration},
};

/// Names an action in flight.
pub type ActionId = u64;

/// The most actions in one plan; what is beyond comes in further plans.
const MAX_ACTIONS: usize = 1_000;

/// Everything a session has been told.
#[derive(Debug, Default)]
pub struct Fleet {
    nodes: Nodes,
    /// By uid, so that plans come in a fixed order.
    rows: BTreeMap<Text, Row>,
    pods: HashMap<Text, Place>,
    in_flight: BTreeMap<ActionId, InFlight>,
    /// The uids of the pods whose deletion is in flight, also of those that are not told at the moment.
    deleting: HashSet<Text>,
    dirty: BTreeSet<Text>,
    /// When to decide again for which `DaemonSet`.
    due: BTreeSet<(Millis, Text)>,
    last_action: ActionId,
}

#[derive(Debug)]
struct Place {
    daemon_set: Text,
    index: PodIndex,
}

#[derive(Debug)]
struct InFlight {
    daemon_set: Text,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Create(NodeIndex),
    Delete(Text),
}

/// What is to be done for one `DaemonSet`, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlan {
    /// `namespace/name`.
    pub daemon_set: String,
    /// The `DaemonSet`'s uid.
    pub uid: Text,
    /// The actions, now in flight.
    pub actions: Vec<(ActionId, Action)>,
    /// Status, problems and when to decide again.
    pub said: Said,
    /// The tolerations that created pods get beside the template's.
    pub added_tolerations: Vec<Toleration>,
}

impl Fleet {
    /// A node is as told.
    pub fn node_changed(&mut self, node: Node) {
        if let Some(index) = self.nodes.set(node) {
            self.judge(index);
        }
    }

    /// A node is not in the cluster any more.
    pub fn node_gone(&mut self, name: &str) {
        if let Some(index) = self.nodes.remove(name) {
            self.judge(index);
            self.reclaim(index);
        }
    }

    fn judge(&mut self, index: NodeIndex) {
        for (uid, row) in &mut self.rows {
            if row.judge(index, &self.nodes) {
                self.dirty.insert(uid.clone());
            }
        }
    }

    fn reclaim(&mut self, index: NodeIndex) {
        if self.nodes.reclaim(index) {
            self.rows.values_mut().for_each(|row| row.clear_cell(index));
        }
    }

    /// A `DaemonSet` is as told.
    pub fn daemon_set_changed(&mut self, daemon_set: DaemonSet) {
        let uid = daemon_set.uid.clone();
        if self
            .rows
            .entry(uid.clone())
            .or_default()
            .set(daemon_set, &self.nodes)
        {
            self.dirty.insert(uid);
        }
    }

    /// A `DaemonSet` is gone or being deleted. Nothing of it is in flight any more.
    pub fn daemon_set_gone(&mut self, uid: &str) {
        let Some(row) = self.rows.get_mut(uid) else { return };
        if let Some(at) = row.said.reconsider_at {
            self.due.remove(&(at, uid.into()));
        }
        row.forget();
        self.dirty.remove(uid);
        let in_flight: Vec<_> = self
            .in_flight
            .iter()
            .filter(|(_, action)| action.daemon_set.as_ref() == uid)
            .map(|(id, _)| *id)
            .collect();
        for id in in_flight {
            self.action_done(id);
        }
        self.dirty.remove(uid);
        self.drop_empty(uid);
    }

    fn drop_empty(&mut self, uid: &str) {
        if self.rows.get(uid).is_some_and(Row::is_empty) {
            self.rows.remove(uid);
        }
    }

    /// A pod of the `DaemonSet` with this uid is as told. The `DaemonSet` may not have been told yet.
    pub fn pod_changed(&mut self, daemon_set: &Text, pod: Pod) {
        if let Some(place) = self
            .pods
            .get(&pod.uid)
            .filter(|place| place.daemon_set == *daemon_set)
            && let Some(row) = self.rows.get_mut(daemon_set)
            && let Some((known, _)) = row.pod(place.index).filter(|(known, _)| known.node == pod.node)
        {
            if *known != pod {
                row.replace(place.index, pod);
                self.dirty.insert(daemon_set.clone());
            }
            return;
        }
        let uid = pod.uid.clone();
        self.pod_gone(&uid);
        if pod.node.is_empty() {
            // No node can be told from it, so it counts for none (N1).
            return;
        }
        let node = self.nodes.refer(&pod.node);
        let row = self.rows.entry(daemon_set.clone()).or_default();
        let index = row.insert(pod, node, &self.nodes);
        row.set_delete_in_flight(index, self.deleting.contains(&uid));
        self.pods.insert(
            uid,
            Place {
                daemon_set: daemon_set.clone(),
                index,
            },
        );
        self.dirty.insert(daemon_set.clone());
    }

    /// A pod is gone, or not a `DaemonSet`'s any more.
    pub fn pod_gone(&mut self, uid: &str) {
        let Some(Place { daemon_set, index }) = self.pods.remove(uid) else {
            return;
        };
        if let Some(node) = self.rows.get_mut(&daemon_set).and_then(|row| row.remove(index)) {
            self.nodes.release(node);
            self.reclaim(node);
        }
        self.dirty.insert(daemon_set.clone());
        self.drop_empty(&daemon_set);
    }

    /// An action is not in flight any more. What it changed has been told before.
    pub fn action_done(&mut self, id: ActionId) {
        let Some(InFlight { daemon_set, target }) = self.in_flight.remove(&id) else {
            return;
        };
        match target {
            Target::Create(node) => {
                if let Some(row) = self.rows.get_mut(&daemon_set) {
                    row.set_creating(node, false);
                }
                self.nodes.release(node);
                self.reclaim(node);
            }
            Target::Delete(uid) => {
                self.deleting.remove(&uid);
                // The pod may have come to another DaemonSet in the meantime.
                if let Some(place) = self.pods.get(&uid)
                    && let Some(row) = self.rows.get_mut(&place.daemon_set)
                {
                    row.set_delete_in_flight(place.index, false);
                    self.dirty.insert(place.daemon_set.clone());
                }
            }
        }
        self.dirty.insert(daemon_set);
    }

    /// Has the plan that is due next said again, with the time that is left. A clock that was set back, or a timer that
    /// ran ahead of it, would otherwise wait for ever for a plan that isn't due yet (contract S3).
    pub fn remind(&mut self) {
        let Some((_, uid)) = self.due.pop_first() else {
            return;
        };
        if let Some(row) = self.rows.get_mut(&uid) {
            row.said.reconsider_at = None;
        }
        self.dirty.insert(uid);
    }

    /// Decides for every `DaemonSet` that a fact or the time has touched since the last call, and returns what is new:
    /// plans without actions are left out when they would only say again what was said.
    pub fn plan(&mut self, now: Millis) -> Vec<RowPlan> {
        while let Some((at, uid)) = self.due.pop_first() {
            if at > now {
                self.due.insert((at, uid));
                break;
            }
            self.dirty.insert(uid);
        }
        let mut plans = Vec::new();
        for uid in std::mem::take(&mut self.dirty) {
            while let Some((plan, complete)) = self.plan_row(&uid, now) {
                plans.extend(plan);
                if complete {
                    break;
                }
            }
        }
        plans
    }

    /// Decides for one `DaemonSet`; also says whether all its actions found room in the plan.
    fn plan_row(&mut self, uid: &Text, now: Millis) -> Option<(Option<RowPlan>, bool)> {
        let row = self.rows.get_mut(uid)?;
        let mut decision = row.decide(&self.nodes, now);
        let known = row.known()?;
        let said = Said {
            status: decision.status,
            problems: decide::problems(&known.daemon_set, &known.placement),
            reconsider_at: decision.reconsider_at,
        };
        let complete = decision.actions.len() <= MAX_ACTIONS;
        decision.actions.truncate(MAX_ACTIONS);
        if let Some(at) = row.said.reconsider_at {
            self.due.remove(&(at, uid.clone()));
        }
        if let Some(at) = said.reconsider_at {
            self.due.insert((at, uid.clone()));
        }
        if said == row.said && decision.actions.is_empty() {
            return Some((None, complete));
        }
        let key = known.daemon_set.key();
        let added_tolerations = added_tolerations(&known.daemon_set.template);
        row.said = said.clone();
        let actions = decision
            .actions
            .into_iter()
            .map(|action| (self.launch(uid, &action, now), action))
            .collect();
        let plan = RowPlan {
            daemon_set: key,
            uid: uid.clone(),
            actions,
            said,
            added_tolerations,
        };
        Some((Some(plan), complete))
    }

    /// Puts an action in flight.
    fn launch(&mut self, uid: &Text, action: &Action, now: Millis) -> ActionId {
        self.last_action += 1;
        let target = match action {
            Action::Create { node, .. } => {
                let index = self.nodes.refer(node);
                if let Some(row) = self.rows.get_mut(uid) {
                    row.set_creating(index, true);
                }
                Target::Create(index)
            }
            Action::Delete {
                uid: pod,
                node,
                reason,
                ..
            } => {
                if let (Some(row), Some(place)) = (self.rows.get_mut(uid), self.pods.get(pod)) {
                    row.set_delete_in_flight(place.index, true);
                    if let (DeleteReason::Failed, Some(node)) = (*reason, self.nodes.find(node)) {
                        row.note_failure(node, now);
                    }
                }
                self.deleting.insert(pod.clone());
                Target::Delete(pod.clone())
            }
        };
        self.in_flight.insert(
            self.last_action,
            InFlight {
                daemon_set: uid.clone(),
                target,
            },
        );
        self.last_action
    }

    /// The nodes in the cluster, in the order of their names.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes
            .in_order()
            .iter()
            .filter_map(|index| self.nodes.get(*index))
    }

    /// A `DaemonSet` that has been told.
    pub fn daemon_set(&self, uid: &str) -> Option<&row::Known> {
        self.rows.get(uid)?.known()
    }
}

#[cfg(test)]
mod tests;
