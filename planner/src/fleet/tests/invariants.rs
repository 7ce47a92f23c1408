//! Checks the invariants that must hold after every plan of a simulation. Of the planner's rules, the checks use
//! only those of placement.

mod budgets;
mod crowded_nodes;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::crowded_nodes::CrowdedNodes;
use super::{
    super::*,
    simulation::{Cluster, Simulation},
};
use crate::{
    decide::placement::Placement,
    model::{Budget, DeleteReason, Phase, Pod, Strategy as Update, Verdict},
    testing::seconds,
};

/// One `DaemonSet`'s nodes and pods as one observer sees them.
struct DaemonSetView<'s> {
    daemon_set: &'s DaemonSet,
    now: Millis,
    verdicts: BTreeMap<&'s Text, Verdict>,
    pods: Vec<&'s Pod>,
    /// The uids of pods whose deletion is in flight.
    leaving: BTreeSet<Text>,
    /// The nodes for which a creation is in flight.
    creating: BTreeSet<Text>,
}

impl<'s> DaemonSetView<'s> {
    fn pods_on(&self, node: &Text) -> impl Iterator<Item = &'s Pod> {
        self.pods.iter().copied().filter(move |pod| pod.node == *node)
    }

    /// The pods of a node that haven't finished and aren't known to be terminating.
    fn nonterminating(&self, node: &Text) -> impl Iterator<Item = &'s Pod> {
        self.pods_on(node)
            .filter(|pod| !pod.deleting && !pod.is_terminal())
    }

    /// The node's nonterminating pods whose deletion hasn't been requested.
    fn live(&self, node: &Text) -> impl Iterator<Item = &'s Pod> {
        self.nonterminating(node)
            .filter(|pod| !self.leaving.contains(&pod.uid))
    }

    /// R1. Pods of a simulation have no pod-template-generation.
    fn is_current(&self, pod: &Pod) -> bool {
        pod.revision == self.daemon_set.update_revision
    }

    /// S3: whether the pod has been ready for minReadySeconds.
    fn pod_is_available(&self, pod: &Pod) -> bool {
        let long_enough = |since: Millis| self.now.since(since) >= self.daemon_set.min_ready_millis;
        !pod.is_terminal() && pod.ready_since.is_some_and(long_enough)
    }

    /// The pods that are ready but not available, with the times at which they become available.
    fn waiting(&self) -> BTreeMap<Text, Millis> {
        let nodes: BTreeSet<_> = self.nodes().map(|(node, _)| node).collect();
        let pods = self.pods.iter();
        let pods = pods.filter(|pod| nodes.contains(&pod.node) && !pod.deleting && !pod.is_terminal());
        let waiting = pods.filter(|pod| !self.pod_is_available(pod)).filter_map(|pod| {
            let at = pod.ready_since?.plus(self.daemon_set.min_ready_millis);
            Some((pod.uid.clone(), at))
        });
        waiting.collect()
    }

    fn is_available(&self, node: &Text) -> bool {
        self.live(node).any(|pod| self.pod_is_available(pod))
    }

    /// The nodes that should run a pod or may keep one.
    fn nodes(&self) -> impl Iterator<Item = (&'s Text, Verdict)> {
        let nodes = self.verdicts.iter().map(|(node, verdict)| (*node, *verdict));
        nodes.filter(|(_, verdict)| *verdict != Verdict::Exclude)
    }

    fn wanted(&self) -> impl Iterator<Item = &'s Text> {
        self.nodes()
            .filter(|(_, verdict)| *verdict == Verdict::Run)
            .map(|(node, _)| node)
    }
}

/// Applies a plan's changes to the pods that wait for minReadySeconds. Asserts that each change differs from what was
/// known before it.
fn apply_changes(waiting: &mut BTreeMap<Text, Millis>, changes: Vec<Change>) {
    for Change { pod, available_at } in changes {
        let before = match available_at {
            Some(at) => waiting.insert(pod.text(), at),
            None => waiting.remove(&pod.text()),
        };
        assert_ne!(before, available_at, "{pod:?} has not changed");
    }
}

/// Whether the strategy creates new pods beside old ones.
fn surges(daemon_set: &DaemonSet) -> bool {
    match daemon_set.strategy {
        Update::OnDelete => false,
        Update::RollingUpdate { max_surge, .. } => {
            !matches!(max_surge, Budget::Count(0) | Budget::Percent(0))
        }
    }
}

impl Simulation {
    /// Makes the fleet plan, and checks the plans against the invariants. Returns the number of actions.
    pub(super) fn plan(&mut self) -> usize {
        let mut count = 0;
        for plan in self.fleet.plan(seconds(self.now)) {
            if !plan.actions.is_empty() {
                self.check_actions(&plan);
            }
            for (id, action) in plan.actions {
                count += 1;
                self.pending.insert(id, (plan.uid.clone(), action));
            }
            let waiting = self.waiting.entry(plan.uid.clone()).or_default();
            apply_changes(waiting, plan.availability);
            self.reports.insert(plan.uid, plan.report);
        }
        self.check_waiting();
        self.check_received_pod_counts();
        self.check_ledgers();
        if self.plans_twice {
            self.check_second_plan();
        }
        count
    }

    fn check_actions(&self, plan: &RowPlan) {
        self.check_budgets(plan);
        let view = self.view(&plan.uid);
        for (_, action) in &plan.actions {
            self.check_not_in_flight(&plan.uid, action);
            check_reason(&view, plan, action);
        }
    }

    /// S3: the changes of all plans so far add up to the pods that wait for minReadySeconds now.
    fn check_waiting(&self) {
        for uid in self.received.daemon_sets.keys() {
            let found = self.waiting.get(uid).cloned().unwrap_or_default();
            assert_eq!(found, self.view(uid).waiting(), "{uid}");
        }
    }

    /// A ledger that was kept and updated equals a new one: now, later, and after the clock is set back.
    fn check_ledgers(&self) {
        let fleet = &self.fleet;
        for row in fleet.rows.iter() {
            for at in [self.now - 50, self.now, self.now + 50] {
                let [kept, found] = row.ledgers(&fleet.nodes, &fleet.pods, seconds(at));
                assert_eq!(kept, found, "at {at}: {row:#?}");
            }
        }
    }

    /// Requested actions count as done: planning again from all cells adds nothing.
    fn check_second_plan(&mut self) {
        for (index, row) in self.fleet.rows.iter_mut() {
            row.touch_all();
            self.fleet.dirty.insert(index);
        }
        for plan in self.fleet.plan(seconds(self.now)) {
            assert_eq!(plan.actions, [], "nothing has changed");
            assert_eq!(plan.availability, [], "nothing has changed");
            // The times to reconsider may differ: a failed old pod waited for its backoff until the first plan
            // deleted it for an update.
            let report = self.reports.insert(plan.uid, plan.report.clone()).unwrap();
            assert_eq!(
                (plan.report.status, plan.report.problems),
                (report.status, report.problems)
            );
        }
    }

    fn check_not_in_flight(&self, daemon_set: &Text, action: &Action) {
        let same = |other: &Action| match (action, other) {
            (Action::Create { node, .. }, Action::Create { node: other, .. }) => node == other,
            (Action::Delete { uid, .. }, Action::Delete { uid: other, .. }) => uid == other,
            _ => false,
        };
        let twice = self
            .pending
            .values()
            .find(|(owner, other)| owner == daemon_set && same(other));
        assert_eq!(twice, None, "{action:?} is in flight already");
    }

    /// A `DaemonSet` as the planner has received it, with what is in flight.
    fn view(&self, daemon_set: &Text) -> DaemonSetView<'_> {
        self.view_of(&self.received, daemon_set)
    }

    /// The pods of a cluster, with the `DaemonSet` and the nodes as the planner has received them.
    fn view_of<'s>(&'s self, cluster: &'s Cluster, uid: &Text) -> DaemonSetView<'s> {
        let Some(daemon_set) = self.received.daemon_sets.get(uid) else {
            panic!("a plan for {uid}, which the planner has not received")
        };
        let placement = Placement::new(daemon_set);
        let nodes = self.received.nodes.values();
        let in_flight = || {
            self.pending
                .values()
                .filter(|(owner, _)| owner == uid)
                .map(|(_, action)| action)
        };
        let pods = cluster.pods.values();
        DaemonSetView {
            daemon_set,
            now: seconds(self.now),
            verdicts: nodes.map(|node| (&node.name, placement.verdict(node))).collect(),
            pods: pods
                .filter(|(owner, _)| owner == uid)
                .map(|(_, pod)| pod)
                .collect(),
            leaving: in_flight().filter_map(deleted).collect(),
            creating: in_flight().filter_map(created).collect(),
        }
    }
}

/// Checks that an action has a reason (N1 to N6, R2). No pod is created or deleted without one.
fn check_reason(view: &DaemonSetView<'_>, plan: &RowPlan, action: &Action) {
    let (uid, node, reason) = match action {
        Action::Create { node, revision, .. } => {
            assert_eq!(view.verdicts.get(node), Some(&Verdict::Run), "{action:?}");
            assert_eq!(revision, &view.daemon_set.update_revision, "{action:?}");
            assert!(
                surges(view.daemon_set) || view.pods_on(node).all(|pod| pod.deleting && pod.is_terminal()),
                "{action:?} though there is one: {:#?}",
                view.pods
            );
            return;
        }
        Action::Delete {
            uid, node, reason, ..
        } => (uid, node, *reason),
    };
    let found = view.pods.iter().find(|pod| pod.uid == *uid);
    let pod = found.unwrap_or_else(|| panic!("{action:?} of a pod that isn't known"));
    assert!(!pod.deleting && pod.node == *node, "{action:?} of {pod:?}");
    let verdict = view.verdicts.get(node).copied();
    let stays = |other: &Pod| {
        plan.actions
            .iter()
            .all(|(_, action)| deleted(action).as_ref() != Some(&other.uid))
    };
    let update = matches!(view.daemon_set.strategy, Update::RollingUpdate { .. });
    let on_it = matches!(verdict, Some(Verdict::Run | Verdict::Keep));
    let holds = match reason {
        DeleteReason::Excluded => verdict == Some(Verdict::Exclude),
        DeleteReason::NodeGone => verdict.is_none() && !pod.bound,
        DeleteReason::Failed => on_it && pod.phase == Phase::Failed,
        DeleteReason::Succeeded => on_it && pod.phase == Phase::Succeeded,
        DeleteReason::Excess => {
            // There must be an older pod that stays or gives way to an update. With surge, the two must both
            // be current or both be old.
            let age = |pod: &Pod| (!pod.bound, pod.created, pod.name.clone());
            let mut older = view.live(node).filter(|other| {
                let alike = view.is_current(other) == view.is_current(pod);
                age(other) < age(pod) && (alike || !surges(view.daemon_set))
            });
            on_it && older.any(|older| stays(older) || !view.is_current(older))
        }
        DeleteReason::Update => on_it && update && !view.is_current(pod),
    };
    assert!(holds, "{action:?} has no reason: {verdict:?} {:#?}", view.pods);
}

fn deleted(action: &Action) -> Option<Text> {
    match action {
        Action::Delete { uid, .. } => Some(uid.clone()),
        Action::Create { .. } => None,
    }
}

fn created(action: &Action) -> Option<Text> {
    match action {
        Action::Create { node, .. } => Some(node.clone()),
        Action::Delete { .. } => None,
    }
}

/// The uids of the pods that a plan deletes for an update, and of those that it deletes for other reasons.
fn deletions(plan: &RowPlan) -> (BTreeSet<Text>, BTreeSet<Text>) {
    let (updates, others) = plan
        .actions
        .iter()
        .map(|(_, action)| action)
        .filter(|action| deleted(action).is_some())
        .partition::<Vec<_>, _>(|action| {
            matches!(
                action,
                Action::Delete {
                    reason: DeleteReason::Update,
                    ..
                }
            )
        });
    let uids = |actions: Vec<&Action>| actions.into_iter().filter_map(deleted).collect();
    (uids(updates), uids(others))
}
