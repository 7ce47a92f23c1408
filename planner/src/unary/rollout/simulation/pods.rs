//! The pods of a simulation. Actions are carried out at once, and take effect after the assumed times.

use super::{CURRENT, Event, SimulatedPod, Simulation, UPDATE};
use crate::model::{Action, Millis, Phase, Pod, Text};

impl Simulation<'_> {
    /// Adds a pod of the input.
    pub(super) fn add(&mut self, pod: Pod) {
        let (uid, is_deleting) = (pod.uid.clone(), pod.deleting);
        let ready_since = pod
            .ready_since
            .filter(|_| !is_deleting && pod.phase == Phase::Active);
        self.insert(pod);
        if let Some(since) = ready_since {
            let left = since.plus(self.daemon_set.min_ready_millis).since(self.now);
            if left <= 0 {
                self.make_available(&uid);
            } else {
                self.schedule(left, Event::Available(uid));
            }
        } else if is_deleting {
            self.schedule(self.assumptions.terminated_after, Event::Gone(uid));
        }
    }

    /// Adds a pod of the current revision that has been available for long.
    pub(super) fn add_available(&mut self, node: &Text) {
        let since = self.start.plus(-self.daemon_set.min_ready_millis - 1_000);
        let pod = self.new_pod(node, &Text::from(CURRENT), since);
        self.add(Pod {
            ready_since: Some(since),
            ..pod
        });
    }

    fn new_pod(&mut self, node: &Text, revision: &Text, created: Millis) -> Pod {
        self.created += 1;
        let name = format!("{revision}-{}", self.created);
        Pod {
            uid: name.as_str().into(),
            name: name.into(),
            node: node.clone(),
            bound: true,
            phase: Phase::Active,
            ready_since: None,
            unready_since: None,
            created,
            deleting: false,
            revision: revision.clone(),
            template_generation: Text::default(),
        }
    }

    fn insert(&mut self, pod: Pod) {
        self.fleet.pod_changed(&self.daemon_set.uid, pod.clone());
        *self.pods_on.entry(pod.node.clone()).or_default() += 1;
        let simulated = SimulatedPod {
            is_available: false,
            pod,
        };
        self.pods.insert(simulated.pod.uid.clone(), simulated);
    }

    /// Carries out an action at once, as an executor does.
    pub(super) fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Create { node, revision, .. } => {
                let is_beside = self.pods_on.get(node).is_some_and(|pods| *pods > 0);
                let is_failing = **revision == *UPDATE && self.assumptions.failing.contains(node);
                let is_blocked = is_beside && self.assumptions.has_host_port;
                let pod = self.new_pod(node, revision, self.now);
                let uid = pod.uid.clone();
                self.insert(pod);
                if !is_failing && !is_blocked {
                    self.schedule(self.assumptions.ready_after, Event::Ready(uid));
                }
            }
            Action::Delete { uid, .. } => {
                self.make_unavailable(uid);
                if self.assumptions.terminated_after == 0 {
                    self.remove(uid);
                } else if let Some(simulated) = self.pods.get_mut(uid) {
                    simulated.pod.deleting = true;
                    self.fleet
                        .pod_changed(&self.daemon_set.uid, simulated.pod.clone());
                    self.schedule(self.assumptions.terminated_after, Event::Gone(uid.clone()));
                }
            }
        }
    }

    pub(super) fn make_ready(&mut self, uid: &Text) {
        let Some(simulated) = self.pods.get_mut(uid).filter(|simulated| !simulated.pod.deleting) else {
            return;
        };
        simulated.pod.ready_since = Some(self.now);
        self.fleet
            .pod_changed(&self.daemon_set.uid, simulated.pod.clone());
        match self.daemon_set.min_ready_millis {
            ..=0 => self.make_available(uid),
            millis => self.schedule(millis, Event::Available(uid.clone())),
        }
    }

    pub(super) fn make_available(&mut self, uid: &Text) {
        if let Some(simulated) = self.pods.get_mut(uid).filter(|simulated| !simulated.pod.deleting)
            && !std::mem::replace(&mut simulated.is_available, true)
        {
            self.observer.available(&simulated.pod.node);
        }
    }

    fn make_unavailable(&mut self, uid: &Text) {
        if let Some(simulated) = self.pods.get_mut(uid)
            && std::mem::take(&mut simulated.is_available)
        {
            self.observer.unavailable(&simulated.pod.node);
        }
    }

    pub(super) fn remove(&mut self, uid: &Text) {
        self.make_unavailable(uid);
        self.fleet.pod_gone(uid);
        if let Some(simulated) = self.pods.remove(uid)
            && let Some(pods) = self.pods_on.get_mut(&simulated.pod.node)
        {
            *pods = pods.saturating_sub(1);
        }
    }
}
