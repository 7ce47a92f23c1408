//! Changes to the cluster that neither the planner nor its executor makes.

use super::{DaemonSet, Event, Simulation, pick};
use crate::{
    decide::rolling_update,
    model::{Budget, Phase, Pod, PodTemplate, Strategy, Text},
    testing::{daemon_set, node, seconds, toleration},
};

pub(super) const SHAPES: usize = 7;
pub(super) const TEMPLATES: usize = 5;

const fn unavailable(max_unavailable: Budget) -> Strategy {
    Strategy::RollingUpdate {
        max_unavailable,
        max_surge: Budget::Count(0),
    }
}

const fn surge(max_surge: Budget) -> Strategy {
    Strategy::RollingUpdate {
        max_unavailable: Budget::Count(0),
        max_surge,
    }
}

pub(super) const STRATEGIES: [Strategy; 14] = [
    Strategy::OnDelete,
    unavailable(Budget::Count(0)),
    unavailable(Budget::Count(1)),
    unavailable(Budget::Count(2)),
    unavailable(Budget::Percent(0)),
    unavailable(Budget::Percent(1)),
    unavailable(Budget::Percent(40)),
    unavailable(Budget::Percent(100)),
    surge(Budget::Count(1)),
    surge(Budget::Count(1)),
    surge(Budget::Count(2)),
    surge(Budget::Percent(1)),
    surge(Budget::Percent(40)),
    surge(Budget::Percent(100)),
];

impl Simulation {
    pub(super) fn set_node(&mut self, which: usize, shape: usize) -> bool {
        let name = format!("n{which}");
        let (labels, taints) = match shape {
            0..=2 => (&["role=worker"][..], &[][..]),
            3 => (&["role=other"][..], &[][..]),
            4..=5 => (&["role=worker"][..], &["t:NoSchedule"][..]),
            _ => (&["role=worker"][..], &["t:NoExecute"][..]),
        };
        let node = node(&name, labels, taints);
        self.cluster.nodes.insert(node.name.clone(), node.clone());
        self.watches[0].push_back(Event::Node(node.name.clone(), Some(node)));
        true
    }

    pub(super) fn drop_node(&mut self, which: usize) -> bool {
        let name: Text = format!("n{which}").into();
        let was_there = self.cluster.nodes.remove(&name).is_some();
        if was_there {
            self.watches[0].push_back(Event::Node(name, None));
        }
        was_there
    }

    pub(super) fn change_daemon_set(&mut self, which: usize, change: impl FnOnce(&mut DaemonSet)) -> bool {
        let uid: Text = format!("ds{which}").into();
        let known = self.cluster.daemon_sets.get(&uid).cloned();
        let mut daemon_set = known.unwrap_or_else(|| DaemonSet {
            uid: uid.clone(),
            name: uid.clone(),
            update_revision: "r0".into(),
            strategy: rolling_update(Some(Budget::Count(1)), None),
            ..daemon_set()
        });
        change(&mut daemon_set);
        self.generations += 1;
        daemon_set.generation = self.generations;
        self.cluster.daemon_sets.insert(uid.clone(), daemon_set.clone());
        self.watches[1].push_back(Event::DaemonSet(uid, Some(daemon_set)));
        true
    }

    /// Templates recur, so a rollout may be rolled back, or overtaken by a third revision.
    pub(super) fn set_template(daemon_set: &mut DaemonSet, which: usize) {
        daemon_set.update_revision = format!("r{which}").into();
        daemon_set.template = match which {
            3 => PodTemplate {
                node_selector: [("role".into(), "worker".into())].into_iter().collect(),
                ..PodTemplate::default()
            },
            4 => PodTemplate {
                tolerations: vec![toleration(["t", "Exists", "", "NoSchedule"])],
                ..PodTemplate::default()
            },
            _ => PodTemplate::default(),
        };
    }

    pub(super) fn drop_daemon_set(&mut self, which: usize) -> bool {
        let uid: Text = format!("ds{which}").into();
        // In a real cluster, a DaemonSet that is created later has another uid. Here it has the same one, but
        // the pods have gone by then.
        if self.cluster.daemon_sets.remove(&uid).is_none() {
            return false;
        }
        self.watches[1].push_back(Event::DaemonSet(uid.clone(), None));
        let pods = self.cluster.pods.iter();
        let pods: Vec<_> = pods
            .filter(|(_, (owner, _))| *owner == uid)
            .map(|(uid, _)| uid.clone())
            .collect();
        for pod in &pods {
            self.set_pod(pod, None);
        }
        while !self.watches[1].is_empty() {
            self.deliver(1);
        }
        // The executor drops the actions for this DaemonSet.
        self.pending.retain(|_, (owner, _)| *owner != uid);
        self.reports.remove(&uid);
        true
    }

    pub(super) fn adopt(&mut self, which: usize, node: usize, template: usize) -> bool {
        let owner: Text = format!("ds{which}").into();
        let node: Text = format!("n{node}").into();
        let there = self.cluster.pods.values();
        let there = there.filter(|(other, pod)| *other == owner && pod.node == node);
        if there.count() > 2
            || !self.cluster.daemon_sets.contains_key(&owner)
            || !self.cluster.nodes.contains_key(&node)
        {
            return false;
        }
        let pod = Pod {
            bound: true,
            ..self.new_pod(
                &format!("adopted-{}", self.versions),
                &node,
                &format!("r{template}").into(),
            )
        };
        self.crowded_nodes.adopted.insert((owner.clone(), node));
        self.set_pod(&pod.uid.clone(), Some((owner, pod)));
        true
    }

    pub(super) fn move_pod(&mut self, which: usize, fate: usize) -> bool {
        let uids: Vec<_> = self.cluster.pods.keys().cloned().collect();
        let Some(uid) = pick(&uids, which) else {
            return false;
        };
        let (owner, mut pod) = self.cluster.pods[uid].clone();
        let node_is_there = self.cluster.nodes.contains_key(&pod.node);
        match fate {
            0..=2 if pod.bound && !pod.is_terminal() => pod.ready_since = Some(seconds(self.now)),
            0..=3 => pod.bound |= node_is_there,
            4 => pod.ready_since = None,
            5 if pod.bound => (pod.phase, pod.ready_since) = (Phase::Failed, None),
            6 if pod.bound => (pod.phase, pod.ready_since) = (Phase::Succeeded, None),
            7 => pod.deleting = true,
            // The kubelet may fail a pod and still leave it marked as ready.
            10 if pod.bound => pod.phase = Phase::Failed,
            // The kubelet has ended the pod, or the pod garbage collector has deleted it.
            _ if pod.deleting || (pod.bound && !node_is_there) => {
                self.set_pod(uid, None);
                return true;
            }
            _ => return false,
        }
        self.set_pod(uid, Some((owner, pod)));
        true
    }
}
