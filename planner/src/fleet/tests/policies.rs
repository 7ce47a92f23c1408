//! Tests of rollouts under a policy, with an executor and nodes that are simulated.

mod edges;
mod edits;
mod lost;
mod nodes;
mod stages;

use std::collections::BTreeMap;

use super::*;
use crate::model::{
    Action, Budget, PodTemplate, Revision, Strategy,
    rollout::{
        Knowledge, LabelSelector, Memory, Policy, PolicySpec, Stage, StageSize, State, Targets, Verbs,
    },
};

/// The time that a pod needs to become ready, in seconds.
const READY_AFTER: i64 = 5;

/// A fleet with an executor that carries out its plans at once, and writes what it is to remember.
struct Cluster {
    fleet: Fleet,
    now: i64,
    daemon_set: DaemonSet,
    /// The pods, by uid.
    pods: BTreeMap<String, Pod>,
    verbs: Verbs,
    memory: Option<Memory>,
    created: u64,
    /// When each node got a pod of the update revision.
    updated: BTreeMap<String, i64>,
    most_unavailable: usize,
}

fn revision(hash: &str) -> Revision {
    Revision {
        hash: hash.into(),
        number: 1,
        template: PodTemplate::default(),
    }
}

fn stage(name: &str, size: StageSize, soak_seconds: i64) -> Stage {
    Stage {
        name: name.into(),
        node_selector: LabelSelector::default(),
        size,
        topology_key: None,
        soak_millis: soak_seconds * 1_000,
        is_manual: false,
        max_unavailable: None,
    }
}

fn policy(spec: PolicySpec) -> Policy {
    Policy {
        uid: "policy".into(),
        namespace: Some("default".into()),
        name: "policy".into(),
        created: Millis::default(),
        generation: 1,
        targets: Targets::Names(vec!["agent".into()]),
        spec: Ok(Arc::new(spec)),
    }
}

impl Cluster {
    /// A cluster whose nodes all have a pod of revision `old`, and whose `DaemonSet` has just got the template `new`.
    fn new(nodes: usize, spec: PolicySpec) -> Self {
        let daemon_set = DaemonSet {
            revisions: vec![revision("old"), revision("new")],
            ..daemon_set()
        };
        let mut fleet = Fleet::default();
        fleet.policies_mut().set_knowledge(Knowledge::Known);
        fleet.policies_mut().set(policy(spec));
        let mut pods = BTreeMap::new();
        for number in 0..nodes {
            let name = format!("n{number:03}");
            fleet.node_changed(node(&name, &[], &[]));
            let pod = pod(&format!("old-{name}"), &name).old();
            fleet.pod_changed(&daemon_set.uid, pod.clone());
            pods.insert(pod.uid.to_string(), pod);
        }
        fleet.daemon_set_changed(daemon_set.clone());
        let mut cluster = Self {
            fleet,
            now: NOW,
            daemon_set,
            pods,
            verbs: Verbs::default(),
            memory: Some(Memory {
                current: "old".into(),
                update: "old".into(),
                ..Memory::default()
            }),
            created: 0,
            updated: BTreeMap::new(),
            most_unavailable: 0,
        };
        cluster.write(cluster.memory.clone());
        cluster
    }

    fn write(&mut self, memory: Option<Memory>) {
        self.memory = memory;
        let (uid, verbs) = (self.daemon_set.uid.clone(), self.verbs.clone());
        self.fleet
            .policies_mut()
            .set_rollout(&uid, verbs, self.memory.clone());
    }

    fn state(&self) -> State {
        self.memory.as_ref().unwrap().state
    }

    /// Plans until nothing is left to do at this time.
    fn settle(&mut self) {
        for _ in 0..100 {
            let plans = self.fleet.plan(seconds(self.now));
            let mut is_done = true;
            for plan in plans {
                for (id, action) in plan.actions {
                    is_done = false;
                    self.carry_out(&action);
                    self.fleet.action_done(id);
                }
                let memory = plan.report.rollout.map(|rollout| rollout.memory);
                if memory.is_some() && memory != self.memory {
                    is_done = false;
                    self.write(memory);
                }
            }
            let has_ready = |node: &Node| {
                let mut pods = self.pods.values();
                pods.any(|pod| pod.node == node.name && pod.ready_since.is_some())
            };
            let unavailable = self.fleet.nodes().filter(|node| !has_ready(node)).count();
            self.most_unavailable = self.most_unavailable.max(unavailable);
            if is_done {
                return;
            }
        }
        panic!("the plans never end");
    }

    fn carry_out(&mut self, action: &Action) {
        let uid = self.daemon_set.uid.clone();
        match action {
            Action::Create { node, revision, .. } => {
                self.created += 1;
                let pod = Pod {
                    ready_since: None,
                    created: seconds(self.now),
                    revision: revision.clone(),
                    ..pod(&format!("{revision}-{}-{node}", self.created), node)
                };
                if **revision == *self.daemon_set.update_revision {
                    self.updated.insert(node.to_string(), self.now);
                }
                self.fleet.pod_changed(&uid, pod.clone());
                self.pods.insert(pod.uid.to_string(), pod);
            }
            Action::Delete { uid, .. } => {
                self.fleet.pod_gone(uid);
                self.pods.remove(uid.as_ref());
            }
        }
    }

    /// Lets time pass until a condition holds, second by second.
    #[track_caller]
    fn run_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            self.settle();
            if holds(self) {
                return;
            }
            self.now += 1;
            let (now, uid) = (seconds(self.now), self.daemon_set.uid.clone());
            for pod in self.pods.values_mut() {
                if pod.ready_since.is_none() && pod.created.plus(READY_AFTER * 1_000) <= now {
                    pod.ready_since = Some(now);
                    self.fleet.pod_changed(&uid, pod.clone());
                }
            }
        }
        panic!("{what} never came: {:?}", self.memory);
    }
}

fn spec(stages: Vec<Stage>) -> PolicySpec {
    PolicySpec {
        max_unavailable: Some(Budget::Count(2)),
        stages,
        ..PolicySpec::default()
    }
}

impl Cluster {
    /// Changes the template of the `DaemonSet` to that of this revision.
    fn set_template(&mut self, hash: &str) {
        self.daemon_set.update_revision = hash.into();
        self.daemon_set.generation += 1;
        if !self.daemon_set.revisions.iter().any(|known| *known.hash == *hash) {
            self.daemon_set.revisions.push(revision(hash));
        }
        self.updated.clear();
        self.fleet.daemon_set_changed(self.daemon_set.clone());
    }

    fn set_verbs(&mut self, verbs: Verbs) {
        self.verbs = verbs;
        self.write(self.memory.clone());
    }

    /// The number of nodes whose pod has this revision.
    fn count(&self, revision: &str) -> usize {
        let pods = self.pods.values();
        pods.filter(|pod| *pod.revision == *revision).count()
    }

    fn pod(&self, node: &str) -> &Pod {
        self.pods.values().find(|pod| *pod.node == *node).unwrap()
    }

    /// Deletes the pod of a node, as a person would.
    fn delete_pod(&mut self, node: &str) {
        let uid = self.pod(node).uid.to_string();
        self.pods.remove(&uid);
        self.fleet.pod_gone(&uid);
    }

    fn wait(&mut self, for_seconds: i64) {
        let until = self.now + for_seconds;
        self.run_until("the end of the wait", |cluster| cluster.now >= until);
    }
}

/// Changes the template of the revision `new`, and how the `DaemonSet` replaces pods.
fn with_new_template(nodes: usize, spec: PolicySpec, template: PodTemplate, strategy: Strategy) -> Cluster {
    let mut cluster = Cluster::new(nodes, spec);
    cluster.daemon_set.template = template.clone();
    cluster.daemon_set.strategy = strategy;
    cluster.daemon_set.revisions[1].template = template;
    let daemon_set = cluster.daemon_set.clone();
    cluster.fleet.daemon_set_changed(daemon_set);
    cluster
}
