//! Checks the budgets of R4 and R5.

use std::collections::BTreeSet;

use super::{DaemonSetView, RowPlan, Simulation, Text, Update, Verdict, created, deletions, surges};
use crate::model::Budget;

/// R3, written differently from the rule: the smallest number that is at least the percentage of `desired`.
fn number(budget: Budget, desired: usize) -> usize {
    match budget {
        Budget::Count(count) => usize::try_from(count).unwrap(),
        Budget::Percent(percent) => {
            let percent = usize::try_from(percent).unwrap();
            (0..=desired)
                .find(|number| number * 100 >= percent * desired)
                .unwrap()
        }
    }
}

impl Simulation {
    /// Both budgets hold for the facts that the planner has received. They also hold for the actual cluster,
    /// except on nodes whose latest changes the planner hasn't received yet.
    pub(super) fn check_budgets(&self, plan: &RowPlan) {
        let undelivered = self.pods_with_undelivered_events();
        let undelivered: BTreeSet<_> = [&self.received, &self.cluster]
            .into_iter()
            .flat_map(|cluster| &cluster.pods)
            .filter(|(uid, _)| undelivered.contains(uid))
            .map(|(_, (_, pod))| &pod.node)
            .collect();
        for (cluster, excused) in [(&self.received, &BTreeSet::new()), (&self.cluster, &undelivered)] {
            self.check_unavailability(self.view_of(cluster, &plan.uid), plan, excused);
            check_surge(self.view_of(cluster, &plan.uid), plan, excused);
        }
        check_old_pods_stay(self.view(&plan.uid), plan);
    }

    /// R4, without surge: when an update deletes an available pod, no more nodes than the budget allows are
    /// left without an available pod. A node that may only keep a pod counts if the update deletes that pod.
    fn check_unavailability(&self, mut view: DaemonSetView<'_>, plan: &RowPlan, excused: &BTreeSet<&Text>) {
        let daemon_set = view.daemon_set;
        let Update::RollingUpdate { max_unavailable, .. } = daemon_set.strategy else {
            return;
        };
        if surges(daemon_set) {
            return;
        }
        let available = |view: &DaemonSetView<'_>| -> BTreeSet<Text> {
            let nodes = view.nodes().map(|(node, _)| node);
            nodes.filter(|node| view.is_available(node)).cloned().collect()
        };
        let (updates, others) = deletions(plan);
        view.leaving.extend(others);
        let before = available(&view);
        view.leaving.extend(updates);
        let after = available(&view);
        let lost: BTreeSet<_> = before
            .difference(&after)
            .filter(|node| !excused.contains(node))
            .collect();
        let missing = view.wanted().filter(|node| !after.contains(*node));
        let unavailable: BTreeSet<_> = missing
            .filter(|node| !excused.contains(node))
            .chain(lost.iter().copied())
            .collect();
        let allowed = number(max_unavailable, view.wanted().count()).max(1);
        assert!(
            lost.is_empty() || unavailable.len() <= allowed,
            "{unavailable:?} are unavailable, {allowed} may be, after {plan:#?}\n{:#?}",
            self.cluster
        );
    }
}

/// R5: when a plan creates a pod beside an available old one, at most `max_surge` nodes have an available old
/// pod that stays and a second pod that isn't available. The second pod may exist or only be requested. It also
/// counts while its deletion is in flight.
fn check_surge(mut view: DaemonSetView<'_>, plan: &RowPlan, excused: &BTreeSet<&Text>) {
    let daemon_set = view.daemon_set;
    let Update::RollingUpdate { max_surge, .. } = daemon_set.strategy else {
        return;
    };
    if !surges(daemon_set) {
        return;
    }
    let (updates, others) = deletions(plan);
    view.leaving.extend(updates.into_iter().chain(others));
    let new: BTreeSet<_> = plan
        .actions
        .iter()
        .filter_map(|(_, action)| created(action))
        .filter(|node| !excused.contains(node))
        .collect();
    let has_old = |node: &Text| {
        view.live(node)
            .any(|pod| !view.is_current(pod) && view.pod_is_available(pod))
    };
    let in_surplus = |node: &Text| {
        let beside = view
            .nonterminating(node)
            .filter(|pod| !view.pod_is_available(pod));
        view.creating.contains(node) || new.contains(node) || beside.count() > 0
    };
    let surging: Vec<_> = view
        .nodes()
        .map(|(node, _)| node)
        .filter(|node| !excused.contains(node) && has_old(node) && in_surplus(node))
        .collect();
    let allowed = number(max_surge, view.wanted().count());
    assert!(
        !new.iter().any(has_old) || surging.len() <= allowed,
        "{surging:?} surge, {allowed} may, after {plan:#?}"
    );
    for node in &new {
        let there = view.nonterminating(node).count();
        assert!(
            there <= 1,
            "{there} pods may be on {node} when its next one is created"
        );
    }
}

/// R5: an update deletes no available old pod before its successor is available. There is one exception: on a
/// node where no pod should run, the old pod may go without a successor if as many nodes as desired still
/// have an available pod afterwards.
fn check_old_pods_stay(mut view: DaemonSetView<'_>, plan: &RowPlan) {
    if !surges(view.daemon_set) {
        return;
    }
    let (updates, others) = deletions(plan);
    view.leaving.extend(others);
    let before: Vec<_> = view.nodes().filter(|(node, _)| view.is_available(node)).collect();
    view.leaving.extend(updates);
    let lost: Vec<_> = before
        .iter()
        .filter(|(node, _)| !view.is_available(node))
        .collect();
    assert!(
        lost.iter().all(|(_, verdict)| *verdict == Verdict::Keep),
        "{lost:?} have lost their pods by {plan:#?}\n{:#?}",
        view.pods
    );
    let (left, desired) = (before.len() - lost.len(), view.wanted().count());
    assert!(
        lost.is_empty() || left >= desired,
        "{left} available pods are left of {desired} by {plan:#?}"
    );
}
