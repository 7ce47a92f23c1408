//! What must hold after every plan of a simulation.

use std::collections::BTreeSet;

use super::{super::*, simulation::Simulation};
use crate::{
    decide::{Rules, placement::Placement},
    model::{Budget, Strategy as Update, Verdict},
    testing::seconds,
};

impl Simulation {
    /// Has the fleet plan, and holds the plans against what must always hold. Returns how many actions there were.
    pub(super) fn plan(&mut self) -> usize {
        let mut count = 0;
        for plan in self.fleet.plan(seconds(self.now)) {
            self.check_budget(&plan);
            for (id, action) in plan.actions {
                count += 1;
                self.check_first(&plan.uid, &action);
                self.pending.insert(id, (plan.uid.clone(), action));
            }
            self.said.insert(plan.uid, plan.said);
        }
        self.check_one_pod_per_node();
        count
    }

    fn check_first(&self, daemon_set: &Text, action: &Action) {
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

    /// Nothing but surge puts two pods on a node.
    fn check_one_pod_per_node(&self) {
        let mut seen = BTreeSet::new();
        for (owner, pod) in self.cluster.pods.values() {
            if owner.as_ref() != "ds2" && !pod.is_terminal() {
                assert!(
                    seen.insert((owner, &pod.node)),
                    "two pods of {owner} on {}: {:#?}",
                    pod.node,
                    self.cluster.pods
                );
            }
        }
    }

    /// R4: no available pod goes by which more nodes would be without one than `max_unavailable`.
    fn check_budget(&self, plan: &RowPlan) {
        let Some(daemon_set) = self.told.daemon_sets.get(&plan.uid) else {
            panic!("a plan for {}", plan.uid)
        };
        let Update::RollingUpdate {
            max_unavailable,
            max_surge: Budget::Count(0),
        } = daemon_set.strategy
        else {
            return;
        };
        let rules = Rules {
            daemon_set,
            now: seconds(self.now),
        };
        let placement = Placement::new(daemon_set);
        let mut leaving: BTreeSet<_> = self
            .pending
            .values()
            .filter_map(|(_, action)| deleted(action, None))
            .collect();
        let available = |leaving: &BTreeSet<Text>| -> BTreeSet<Text> {
            let pods = self.told.pods.values().filter(|(owner, pod)| {
                *owner == plan.uid && !pod.deleting && !leaving.contains(&pod.uid) && rules.is_available(pod)
            });
            pods.map(|(_, pod)| pod.node.clone()).collect()
        };
        let updated: Vec<_> = plan
            .actions
            .iter()
            .filter_map(|(_, action)| deleted(action, Some(DeleteReason::Update)))
            .collect();
        leaving.extend(
            plan.actions
                .iter()
                .filter_map(|(_, action)| deleted(action, None)),
        );
        leaving.retain(|uid| !updated.contains(uid));
        let before = available(&leaving);
        leaving.extend(updated);
        let after = available(&leaving);
        let runs = |node: &&Node| placement.verdict(node) == Verdict::Run;
        let wanted: BTreeSet<_> = self
            .told
            .nodes
            .values()
            .filter(runs)
            .map(|node| node.name.clone())
            .collect();
        let lost = before
            .difference(&after)
            .filter(|node| wanted.contains(*node))
            .count();
        let unavailable = wanted.difference(&after).count();
        let allowed = max_unavailable.of(wanted.len()).max(1);
        assert!(
            lost == 0 || unavailable <= allowed,
            "{unavailable} of {allowed} unavailable after {plan:#?}"
        );
    }
}

fn deleted(action: &Action, only: Option<DeleteReason>) -> Option<Text> {
    match action {
        Action::Delete { uid, reason, .. } if only.is_none_or(|only| only == *reason) => Some(uid.clone()),
        Action::Delete { .. } | Action::Create { .. } => None,
    }
}
