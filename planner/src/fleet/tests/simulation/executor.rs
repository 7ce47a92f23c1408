//! The simulated executor: what it changes in the cluster, and what it reports to the planner.

use super::{Event, Simulation};
use crate::{
    fleet::{ActionId, Fleet},
    model::{Action, Phase, Pod, Text},
    testing::seconds,
};

impl Simulation {
    pub(super) fn execute(&mut self, id: ActionId, how: usize) {
        let (daemon_set, action) = self.pending[&id].clone();
        // With `how` 6, the API server refuses the action or the executor doesn't try it. That can't happen
        // if an earlier try may have succeeded.
        if how != 6 || self.unreported.contains(&id) {
            match &action {
                Action::Create {
                    node,
                    revision,
                    succeeds,
                } => {
                    let name = format!("{daemon_set}-{node}-{revision}-{succeeds:?}");
                    self.create(&daemon_set, &name, node, revision);
                }
                Action::Delete { uid, .. } => self.delete(uid),
            }
            if how == 7 {
                // The response is lost, so the executor can't report the outcome. It tries again later and
                // finds its own write. The watch may report that write earlier.
                self.unreported.insert(id);
                self.check_pod_counts();
                return;
            }
            let own = self.watches[2].back().cloned().unwrap();
            self.receive(own);
        }
        self.pending.remove(&id);
        self.fleet.action_done(id);
        self.outcomes.push(id);
        self.check_pod_counts();
    }

    /// Creates a pod, or finds an existing one of that name.
    fn create(&mut self, daemon_set: &Text, name: &str, node: &Text, revision: &Text) {
        let found = self
            .cluster
            .pods
            .values()
            .find(|(_, pod)| *pod.name == *name)
            .cloned();
        let (owner, pod) = found.unwrap_or_else(|| (daemon_set.clone(), self.new_pod(name, node, revision)));
        self.set_pod(&pod.uid.clone(), Some((owner, pod)));
    }

    /// Requests a pod's deletion. An unbound or finished pod goes at once; others go when the kubelet has
    /// ended them.
    fn delete(&mut self, uid: &Text) {
        let there = self.cluster.pods.get(uid).cloned();
        let terminating = there
            .filter(|(_, pod)| pod.bound && !pod.is_terminal())
            .map(|(owner, pod)| {
                let pod = Pod {
                    deleting: true,
                    ..pod
                };
                (owner, pod)
            });
        self.set_pod(uid, terminating);
    }

    pub(super) fn new_pod(&self, name: &str, node: &Text, revision: &Text) -> Pod {
        // Not every uid needs to be a UUID.
        let version = self.versions;
        let uid = if version.is_multiple_of(2) {
            format!("{version:08x}-7a0c-4358-8350-2b90a5f1e7d6")
        } else {
            format!("u{version:05}")
        };
        Pod {
            uid: uid.into(),
            name: name.into(),
            node: node.clone(),
            bound: false,
            phase: Phase::Active,
            ready_since: None,
            unready_since: None,
            created: seconds(self.now),
            deleting: false,
            revision: revision.clone(),
            template_generation: Text::default(),
        }
    }

    /// Writes or removes a pod, and queues the watch event.
    pub(super) fn set_pod(&mut self, uid: &Text, pod: Option<(Text, Pod)>) {
        match &pod {
            Some(pod) => self.cluster.pods.insert(uid.clone(), pod.clone()),
            None => self.cluster.pods.remove(uid),
        };
        self.versions += 1;
        self.watches[2].push_back(Event::Pod(uid.clone(), self.versions, pod));
    }

    /// Begins a new session when the calls of the last one have ended. The new session receives all current facts,
    /// and keeps no other state of the last one.
    pub(super) fn restart(&mut self) -> bool {
        for id in std::mem::take(&mut self.unreported) {
            if self.pending.contains_key(&id) {
                self.execute(id, 0);
            }
        }
        self.pending.clear();
        self.outcomes.clear();
        self.reports.clear();
        self.waiting.clear();
        self.deliver_all();
        self.fleet = Fleet::default();
        self.fleet.track_availability();
        for daemon_set in self.received.daemon_sets.values() {
            self.fleet.daemon_set_changed(daemon_set.clone());
        }
        for node in self.received.nodes.values() {
            self.fleet.node_changed(node.clone());
        }
        for (owner, pod) in self.received.pods.values() {
            self.fleet.pod_changed(owner, pod.clone());
        }
        true
    }

    /// Runs a round in which all events and outcomes arrive, every action succeeds, every pod is bound and
    /// becomes ready, and terminating pods go. Returns the number of planned actions.
    pub(in super::super) fn run_quiet_round(&mut self) -> usize {
        self.deliver_all();
        let planned = self.plan();
        while let Some(id) = self.pending.keys().next().copied() {
            self.execute(id, 0);
        }
        let pods = self.cluster.pods.len();
        for which in 0..pods {
            let (_, pod) = self.cluster.pods.values().nth(which).unwrap();
            if pod.ready_since.is_none() && !pod.deleting && pod.phase == Phase::Active {
                self.move_pod(which, 3);
                self.move_pod(which, 0);
            }
        }
        for which in (0..pods).rev() {
            self.move_pod(which, 9);
        }
        self.deliver_all();
        planned
    }
}
