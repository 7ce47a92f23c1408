//! A session's picture of a cluster: nodes, `DaemonSet`s, their pods, and the actions in flight.
//!
//! Each fact touches the cells that it may change. [`Fleet::plan`] then decides only for the `DaemonSet`s of those
//! cells, and recomputes the marks of no other cells. A pod event touches one cell, a node event one cell of each
//! `DaemonSet`. The one-shot `Plan` call goes through a fleet too, so it can't differ from a session that receives
//! deltas.
//!
//! Hash tables serve look-ups only. No output depends on their order, which differs between processes.

mod in_flight;
mod memory;
mod nodes;
mod pods;
pub(crate) mod policies;
mod positions;
mod row;
mod rows;
mod size;

use std::{collections::BTreeSet, sync::Arc};

use hashbrown::{HashMap, HashSet};

pub(crate) use self::row::rollout::Governance;
use self::{
    in_flight::InFlight,
    nodes::{NodeIndex, Nodes},
    pods::{Pods, RowIndex},
    policies::Policies,
    row::rollout::RowRollout,
    rows::Rows,
};
pub use self::{
    policies::{PolicyReport, PolicyTarget},
    row::RowReport,
    size::Size,
};
use crate::{
    decide::{Decision, availability::Change, rollout_status::rollout_status},
    intern::SharedValues,
    model::{Action, DaemonSet, Millis, Node, RolloutStatus, TemplateId, Text, Toleration, Uid},
};

/// Identifies an action in flight.
pub type ActionId = u64;

/// The maximum number of actions in one plan. Further actions are in further plans.
const MAX_ACTIONS: usize = 1_000;
/// The maximum number of changes of pods' availability in one plan. Further changes are in further plans.
const MAX_CHANGES: usize = 1_000;

/// Everything that a session has received and still holds.
#[derive(Debug, Default)]
pub struct Fleet {
    nodes: Nodes,
    rows: Rows,
    pods: Pods,
    template_ids: SharedValues<TemplateId>,
    in_flight: HashMap<ActionId, InFlight>,
    /// The uids of the pods whose deletion is in flight, including pods that the fleet doesn't hold at the moment.
    deleting: HashSet<Uid>,
    dirty: BTreeSet<RowIndex>,
    policies: Policies,
    /// What holds for policies and hasn't been reported yet.
    policy_reports: Vec<PolicyReport>,
    /// When to decide again, and for which `DaemonSet`.
    due: BTreeSet<(Millis, Text)>,
    last_action: ActionId,
    /// Estimated bytes of the nodes, `DaemonSet`s and pods in the fleet.
    fact_bytes: usize,
    /// Number of entries that cells keep about pods that are gone or that wait for minReadySeconds, as of the last
    /// plan.
    history_entries: usize,
    /// Number of cells of rollouts that are under way, as of the last plan.
    rollout_cells: usize,
    /// Whether plans list the pods that wait for minReadySeconds.
    tracks_availability: bool,
}

/// The plan for one `DaemonSet`: actions to take, and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlan {
    /// `namespace/name`.
    pub daemon_set: String,
    /// The `DaemonSet`'s uid.
    pub uid: Text,
    /// The actions, now in flight.
    pub actions: Vec<(ActionId, Action)>,
    /// Status, problems, and when to decide again.
    pub report: RowReport,
    /// Availability and progress of the `DaemonSet` according to that status.
    pub rollout_status: Option<RolloutStatus>,
    /// The tolerations that created pods get in addition to the template's.
    pub added_tolerations: Arc<[Toleration]>,
    /// The same for created pods of the current revision of a rollout. Empty while every pod is made from the update
    /// template.
    pub current_added_tolerations: Arc<[Toleration]>,
    /// The pods whose wait for minReadySeconds has begun, changed or ended since the last plan. Empty unless the fleet
    /// tracks them.
    pub availability: Vec<Change>,
}

impl Fleet {
    /// A fleet with room reserved for this many nodes and pods. It can grow beyond that.
    pub fn with_capacity(nodes: usize, pods: usize) -> Self {
        let mut fleet = Self::default();
        fleet.nodes.reserve(nodes);
        fleet.pods.reserve(pods);
        fleet
    }

    /// Makes plans list the pods that wait for minReadySeconds. Must be called before the first plan.
    pub fn track_availability(&mut self) {
        self.tracks_availability = true;
    }

    /// Adds the name of a node on which Everynode itself runs. A stage of a number of nodes picks it last.
    pub fn add_own_node(&mut self, name: Text) {
        self.nodes.add_own(name);
    }

    /// Adds a node or replaces its earlier state.
    pub fn node_changed(&mut self, node: impl Into<Box<Node>>) {
        let node = node.into();
        let before = self
            .nodes
            .find(&node.name)
            .and_then(|index| self.nodes.get(index));
        let has_other_labels = before.is_none_or(|before| before.labels != node.labels);
        let (before, after) = (before.map_or(0, memory::of_node), memory::of_node(&node));
        if let Some(index) = self.nodes.set(node) {
            if has_other_labels {
                self.policies.touch_nodes();
            }
            self.fact_bytes = self.fact_bytes + after - before;
            self.update_verdicts(index);
        }
    }

    /// Removes a node that is no longer in the cluster.
    pub fn node_gone(&mut self, name: &str) {
        let node = self.nodes.find(name).and_then(|index| self.nodes.get(index));
        let bytes = node.map_or(0, memory::of_node);
        if let Some(index) = self.nodes.remove(name) {
            self.fact_bytes -= bytes;
            self.policies.touch_nodes();
            self.update_verdicts(index);
            self.reclaim(index);
        }
    }

    fn update_verdicts(&mut self, node: NodeIndex) {
        for (index, row) in self.rows.iter_mut() {
            if row.update_verdict(node, &self.nodes) {
                self.dirty.insert(index);
            }
        }
    }

    fn reclaim(&mut self, node: NodeIndex) {
        if self.nodes.reclaim(node) {
            self.rows.iter_mut().for_each(|(_, row)| row.clear_cell(node));
        }
    }

    /// Adds a `DaemonSet` or replaces its earlier state.
    pub fn daemon_set_changed(&mut self, daemon_set: DaemonSet) {
        let index = self.rows.index_of(&daemon_set.uid);
        let Some(row) = self.rows.get_mut(index) else {
            return;
        };
        let (before, after) = (bytes_of(row), memory::of_daemon_set(&daemon_set));
        self.policies.touch(&daemon_set.uid);
        if row.set(daemon_set, &self.nodes) {
            self.fact_bytes = self.fact_bytes + after - before;
            self.dirty.insert(index);
        }
    }

    /// Removes a `DaemonSet` that is gone or being deleted. Its actions are no longer in flight.
    pub fn daemon_set_gone(&mut self, uid: &str) {
        let Some(index) = self.rows.find(uid) else { return };
        if let Some(row) = self.rows.get_mut(index) {
            if let Some(at) = row.last_report.reconsider_at {
                self.due.remove(&(at, row.uid.clone()));
            }
            self.fact_bytes -= bytes_of(row);
            row.forget();
        }
        let in_flight = self.in_flight.iter();
        let mut in_flight: Vec<_> = in_flight
            .filter(|(_, action)| action.row == index)
            .map(|(id, _)| *id)
            .collect();
        in_flight.sort_unstable();
        for id in in_flight {
            self.action_done(id);
        }
        self.dirty.remove(&index);
        self.policies.forget(uid);
        self.rows.drop_empty(index);
    }

    /// The rollout policies.
    pub(crate) fn policies_mut(&mut self) -> &mut Policies {
        &mut self.policies
    }

    /// Gives each `DaemonSet` the policy that applies to it now, and finds what holds for the policies.
    fn apply_policies(&mut self) {
        if self.policies.has_changed() {
            self.apply_changed_policies();
        }
        self.policies.find_empty_stages(&self.nodes);
        if self.policies.reports_may_differ() {
            let mut daemon_sets: Vec<_> = self.rows.iter().filter_map(row::Row::prepared).collect();
            daemon_sets.sort_by(|a, b| a.daemon_set.uid.cmp(&b.daemon_set.uid));
            let daemon_sets = daemon_sets.iter().map(|prepared| &prepared.daemon_set);
            self.policy_reports = self.policies.changed_reports(daemon_sets);
        }
    }

    fn apply_changed_policies(&mut self) {
        for (index, row) in self.rows.iter_mut() {
            if !self.policies.may_differ(&row.uid) {
                continue;
            }
            let Some(prepared) = row.prepared() else { continue };
            let (governance, verbs, memory) = self.policies.of(&prepared.daemon_set);
            let rollout = RowRollout::new(governance, verbs, memory, &prepared.daemon_set);
            if row.set_rollout(rollout, &self.nodes) {
                self.dirty.insert(index);
            }
        }
        self.policies.settle();
    }

    /// Returns the reports of the policies whose report has changed, as of the last plan.
    pub fn take_policy_reports(&mut self) -> Vec<PolicyReport> {
        std::mem::take(&mut self.policy_reports)
    }

    /// Makes the next call of [`Fleet::plan`] repeat the plan that is due first, with the remaining time. Otherwise an
    /// executor whose clock was set back, or whose timer fired too early by its clock, would wait forever for a plan
    /// that isn't due yet (contract S3).
    pub fn repeat_next_due(&mut self) {
        let Some((_, uid)) = self.due.pop_first() else {
            return;
        };
        if let Some(index) = self.rows.find(&uid) {
            if let Some(row) = self.rows.get_mut(index) {
                row.last_report.reconsider_at = None;
            }
            self.dirty.insert(index);
        }
    }

    /// Decides for every `DaemonSet` that a fact or the time has affected since the last call, and returns what is new.
    /// A plan without actions is left out when it would only repeat the one before.
    pub fn plan(&mut self, now: Millis) -> Vec<RowPlan> {
        self.plan_while(now, |_| true)
    }

    /// Plans as [`Fleet::plan`] does, but stops when `should_continue` returns false. After each `DaemonSet`, the
    /// function receives the bytes that the fleet takes, because each plan may put an action in flight for every node.
    pub fn plan_while(
        &mut self,
        now: Millis,
        mut should_continue: impl FnMut(usize) -> bool,
    ) -> Vec<RowPlan> {
        self.apply_policies();
        while let Some((at, uid)) = self.due.pop_first() {
            if at > now {
                self.due.insert((at, uid));
                break;
            }
            self.dirty.extend(self.rows.find(&uid));
        }
        let rows = std::mem::take(&mut self.dirty).into_iter();
        let mut dirty: Vec<_> = rows
            .filter_map(|index| Some((self.rows.get(index)?.uid.clone(), index)))
            .collect();
        // Sort by uid. An index depends on which row was created first, the uid doesn't.
        dirty.sort_unstable();
        let mut plans = Vec::new();
        for (_, index) in dirty {
            self.plan_row(index, now, &mut plans);
            if !should_continue(self.bytes()) {
                break;
            }
        }
        self.count_history_entries();
        plans
    }

    /// Decides for one `DaemonSet` as [`Fleet::plan`] does, but puts nothing in flight. `None` until the `DaemonSet`
    /// has been received.
    pub fn decide(&mut self, uid: &str, now: Millis) -> Option<Decision> {
        let index = self.rows.find(uid)?;
        let row = self.rows.get_mut(index)?;
        row.decide(&self.nodes, &self.pods, now, false)
    }

    /// Decides for one `DaemonSet`, and puts its actions in flight.
    fn plan_row(&mut self, index: RowIndex, now: Millis, plans: &mut Vec<RowPlan>) {
        let Some(row) = self.rows.get_mut(index) else {
            return;
        };
        let Some(decision) = row.decide(&self.nodes, &self.pods, now, self.tracks_availability) else {
            return;
        };
        let Some(prepared) = row.prepared() else { return };
        let report = RowReport {
            rollout: decision.rollout,
            status: decision.status,
            problems: prepared.problems.clone(),
            reconsider_at: decision.reconsider_at,
        };
        if row.last_report.reconsider_at != report.reconsider_at {
            if let Some(at) = row.last_report.reconsider_at {
                self.due.remove(&(at, row.uid.clone()));
            }
            if let Some(at) = report.reconsider_at {
                self.due.insert((at, row.uid.clone()));
            }
        }
        if report == row.last_report && decision.actions.is_empty() && decision.availability.is_empty() {
            return;
        }
        let empty = RowPlan {
            daemon_set: prepared.daemon_set.key(),
            uid: row.uid.clone(),
            actions: Vec::new(),
            report: report.clone(),
            rollout_status: report
                .status
                .map(|status| rollout_status(&prepared.daemon_set, status)),
            added_tolerations: prepared.added_tolerations.clone(),
            current_added_tolerations: row.current_added_tolerations(),
            availability: Vec::new(),
        };
        row.last_report = report;
        self.in_flight.reserve(decision.actions.len());
        let mut rest = decision.actions.into_iter();
        let mut changes = decision.availability.into_iter();
        loop {
            let mut plan = empty.clone();
            plan.actions.reserve_exact(rest.len().min(MAX_ACTIONS));
            for (cell, action) in rest.by_ref().take(MAX_ACTIONS) {
                plan.actions
                    .push((self.start_action(index, cell, &action, now), action));
            }
            plan.availability = changes.by_ref().take(MAX_CHANGES).collect();
            plans.push(plan);
            if rest.len() == 0 && changes.len() == 0 {
                return;
            }
        }
    }

    /// The nodes in the cluster, sorted by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes
            .in_order()
            .iter()
            .filter_map(|index| self.nodes.get(*index))
    }

    /// A `DaemonSet` that the fleet holds.
    pub(crate) fn daemon_set(&self, uid: &str) -> Option<&row::PreparedDaemonSet> {
        self.rows.get(self.rows.find(uid)?)?.prepared()
    }
}

/// Estimates the bytes of a row's `DaemonSet`. 0 until the `DaemonSet` has been received.
fn bytes_of(row: &row::Row) -> usize {
    row.prepared()
        .map_or(0, |prepared| memory::of_daemon_set(&prepared.daemon_set))
}

#[cfg(test)]
mod tests;
