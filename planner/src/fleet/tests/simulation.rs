//! A cluster and an executor in miniature, in which everything may come late, twice or not at all.
//!
//! What happens is a list of [`Step`]s, so that a failure shrinks to the few that matter. After every plan the
//! simulation holds what must always hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use proptest::prelude::*;

use super::super::*;
use crate::{
    decide::rolling_update,
    model::{Budget, DaemonSet, Node, Phase, Pod, PodTemplate, Strategy as Update},
    testing::{daemon_set, node, seconds},
};

/// One thing that happens. Numbers pick among what is there, modulo its count.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A node joins or changes to one of a few shapes.
    SetNode(usize, usize),
    /// A node leaves; its bound pods are collected when their deletion is asked for.
    DropNode(usize),
    /// A `DaemonSet` is created or changed in one of a few ways.
    SetDaemonSet(usize, usize),
    /// A `DaemonSet` is deleted, and its pods with it.
    DropDaemonSet(usize),
    /// A pod goes its way: bound, ready, unready, failed, succeeded, terminating, gone.
    MovePod(usize, usize),
    /// The executor carries out an action, in one of a few ways.
    Execute(usize, usize),
    /// The executor says an outcome again that it has said before.
    Repeat(usize),
    /// Some watch events arrive.
    Deliver(usize, usize),
    /// Time passes, and the planner is asked.
    Plan(i64),
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..NODES, 0..SHAPES).prop_map(|(node, shape)| Step::SetNode(node, shape)),
        1 => (0..NODES).prop_map(Step::DropNode),
        2 => (0..DAEMON_SETS, 0..CHANGES).prop_map(|(set, change)| Step::SetDaemonSet(set, change)),
        1 => (0..DAEMON_SETS * 8).prop_map(Step::DropDaemonSet),
        8 => (any::<usize>(), 0..10_usize).prop_map(|(pod, fate)| Step::MovePod(pod, fate)),
        8 => (any::<usize>(), 0..8_usize).prop_map(|(action, how)| Step::Execute(action, how)),
        1 => any::<usize>().prop_map(Step::Repeat),
        6 => (0..3_usize, 1..6_usize).prop_map(|(kind, count)| Step::Deliver(kind, count)),
        6 => (0..40_i64).prop_map(Step::Plan),
    ]
}

const NODES: usize = 6;
const SHAPES: usize = 5;
const DAEMON_SETS: usize = 4;
const CHANGES: usize = 6;

/// What a watch says, in the order in which it happened for each kind of object.
#[derive(Debug, Clone)]
enum Event {
    Node(Text, Option<Node>),
    DaemonSet(Text, Option<DaemonSet>),
    Pod(Text, u64, Option<(Text, Pod)>),
}

/// The cluster as it is.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) nodes: BTreeMap<Text, Node>,
    pub(super) daemon_sets: BTreeMap<Text, DaemonSet>,
    /// By uid, each with its `DaemonSet`'s.
    pub(super) pods: BTreeMap<Text, (Text, Pod)>,
}

#[derive(Debug, Default)]
pub(super) struct Simulation {
    pub(super) cluster: Cluster,
    /// What the planner has been told.
    pub(super) told: Cluster,
    pub(super) fleet: Fleet,
    pub(super) now: i64,
    /// What was last said of each `DaemonSet`.
    pub(super) said: BTreeMap<Text, Said>,
    watches: [VecDeque<Event>; 3],
    /// The latest version of each pod that the executor knows: older events are passed over.
    known: HashMap<Text, u64>,
    pub(super) pending: BTreeMap<ActionId, (Text, Action)>,
    /// Actions whose first response was lost.
    tried: BTreeSet<ActionId>,
    outcomes: Vec<ActionId>,
    versions: u64,
    generations: i64,
}

impl Simulation {
    pub(super) fn new() -> Self {
        Self {
            now: crate::testing::NOW,
            ..Self::default()
        }
    }

    pub(super) fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        match *step {
            Step::SetNode(which, shape) => self.set_node(which, shape),
            Step::DropNode(which) => {
                let name: Text = format!("n{which}").into();
                if self.cluster.nodes.remove(&name).is_some() {
                    self.watches[0].push_back(Event::Node(name, None));
                }
            }
            Step::SetDaemonSet(which, change) => self.set_daemon_set(which, change),
            Step::DropDaemonSet(which) => self.drop_daemon_set(which),
            Step::MovePod(which, fate) => self.move_pod(which, fate),
            Step::Execute(which, how) => {
                let ids: Vec<_> = self.pending.keys().copied().collect();
                if let Some(id) = pick(&ids, which) {
                    self.execute(*id, how);
                }
            }
            Step::Repeat(which) => {
                if let Some(id) = pick(&self.outcomes, which).copied() {
                    self.fleet.action_done(id);
                }
            }
            Step::Deliver(kind, count) => (0..count).for_each(|_| self.deliver(kind)),
            Step::Plan(passed) => {
                self.now += passed;
                self.plan();
            }
        }
    }

    fn set_node(&mut self, which: usize, shape: usize) {
        let name = format!("n{which}");
        let (labels, taints) = match shape {
            0 | 1 => (&["role=worker"][..], &[][..]),
            2 => (&["role=other"][..], &[][..]),
            3 => (&["role=worker"][..], &["t:NoSchedule"][..]),
            _ => (&["role=worker"][..], &["t:NoExecute"][..]),
        };
        let node = node(&name, labels, taints);
        self.cluster.nodes.insert(node.name.clone(), node.clone());
        self.watches[0].push_back(Event::Node(node.name.clone(), Some(node)));
    }

    /// Whether a `DaemonSet` surges never changes, or an extra pod from before would be mistaken for a fault.
    fn set_daemon_set(&mut self, which: usize, change: usize) {
        self.generations += 1;
        let uid: Text = format!("ds{which}").into();
        let mut daemon_set = self
            .cluster
            .daemon_sets
            .get(&uid)
            .cloned()
            .unwrap_or_else(|| DaemonSet {
                uid: uid.clone(),
                name: uid.clone(),
                ..daemon_set()
            });
        daemon_set.generation = self.generations;
        let amount = i32::try_from(change % 3).unwrap();
        daemon_set.strategy = match which {
            0 => rolling_update(Some(Budget::Count(amount)), None),
            1 => rolling_update(Some(Budget::Percent(amount * 30)), None),
            2 => rolling_update(Some(Budget::Count(0)), Some(Budget::Count(amount + 1))),
            _ => Update::OnDelete,
        };
        match change {
            0 => daemon_set.min_ready_millis = 0,
            1 => daemon_set.min_ready_millis = 20_000,
            2 => {
                let selector = [("role".into(), "worker".into())].into_iter().collect();
                daemon_set.template = PodTemplate {
                    node_selector: selector,
                    ..PodTemplate::default()
                };
            }
            3 => daemon_set.template = PodTemplate::default(),
            _ => {}
        }
        if change >= 2 {
            daemon_set.update_revision = format!("r{}", self.generations).into();
        }
        self.cluster.daemon_sets.insert(uid.clone(), daemon_set.clone());
        self.watches[1].push_back(Event::DaemonSet(uid, Some(daemon_set)));
    }

    fn drop_daemon_set(&mut self, which: usize) {
        let uid: Text = format!("ds{which}").into();
        // One that comes after it has another uid in a real cluster; here its pods have gone before that.
        if self.cluster.daemon_sets.remove(&uid).is_none() {
            return;
        }
        self.watches[1].push_back(Event::DaemonSet(uid.clone(), None));
        let pods: Vec<_> = self
            .cluster
            .pods
            .iter()
            .filter(|(_, (owner, _))| *owner == uid)
            .collect();
        let pods: Vec<_> = pods.into_iter().map(|(uid, _)| uid.clone()).collect();
        for pod in &pods {
            self.set_pod(pod, None);
        }
        while !self.watches[1].is_empty() {
            self.deliver(1);
        }
        // The executor drops what it was asked to do for it.
        self.pending.retain(|_, (owner, _)| *owner != uid);
        self.said.remove(&uid);
    }

    fn move_pod(&mut self, which: usize, fate: usize) {
        let uids: Vec<_> = self.cluster.pods.keys().cloned().collect();
        let Some(uid) = pick(&uids, which) else { return };
        let (owner, mut pod) = self.cluster.pods[uid].clone();
        match fate {
            0..=2 if pod.bound && !pod.is_terminal() => pod.ready_since = Some(seconds(self.now)),
            0..=3 => pod.bound |= self.cluster.nodes.contains_key(&pod.node),
            4 => pod.ready_since = None,
            5 if pod.bound => (pod.phase, pod.ready_since) = (Phase::Failed, None),
            6 if pod.bound => (pod.phase, pod.ready_since) = (Phase::Succeeded, None),
            7 => pod.deleting = true,
            _ if pod.deleting => return self.set_pod(uid, None),
            _ => return,
        }
        self.set_pod(uid, Some((owner, pod)));
    }

    /// Writes a pod, or removes it, and has the watch say so.
    fn set_pod(&mut self, uid: &Text, pod: Option<(Text, Pod)>) {
        match &pod {
            Some(pod) => self.cluster.pods.insert(uid.clone(), pod.clone()),
            None => self.cluster.pods.remove(uid),
        };
        self.versions += 1;
        self.watches[2].push_back(Event::Pod(uid.clone(), self.versions, pod));
    }

    pub(super) fn execute(&mut self, id: ActionId, how: usize) {
        let (daemon_set, action) = self.pending[&id].clone();
        // Refused by the API server, or not tried; not so when an earlier try may have done it.
        if how != 6 || self.tried.contains(&id) {
            match &action {
                Action::Create {
                    node,
                    revision,
                    succeeds,
                } => {
                    let name = format!("{daemon_set}-{node}-{revision}-{succeeds:?}");
                    self.create(&daemon_set, name.into(), node, revision);
                }
                Action::Delete { uid, .. } => self.delete(uid),
            }
            if how == 7 {
                // The response is lost, so the executor can't say how it ended. It tries again later and meets its own
                // write; until then the watch may have told of it.
                self.tried.insert(id);
                return;
            }
            let own = self.watches[2].back().cloned().unwrap();
            self.tell(own);
        }
        self.pending.remove(&id);
        self.fleet.action_done(id);
        self.outcomes.push(id);
    }

    /// Creates a pod, or finds that there is one of the name.
    fn create(&mut self, daemon_set: &Text, name: Text, node: &Text, revision: &Text) {
        let found = self
            .cluster
            .pods
            .values()
            .find(|(_, pod)| pod.name == name)
            .cloned();
        let (owner, pod) = found.unwrap_or_else(|| (daemon_set.clone(), self.birth(name, node, revision)));
        self.set_pod(&pod.uid.clone(), Some((owner, pod)));
    }

    /// Asks for a pod's deletion: an unbound or finished one goes at once, others when the kubelet says so.
    fn delete(&mut self, uid: &Text) {
        let terminating = self
            .cluster
            .pods
            .get(uid)
            .filter(|(_, pod)| pod.bound && !pod.is_terminal())
            .cloned();
        self.set_pod(
            uid,
            terminating.map(|(owner, pod)| {
                (
                    owner,
                    Pod {
                        deleting: true,
                        ..pod
                    },
                )
            }),
        );
    }

    fn birth(&self, name: Text, node: &Text, revision: &Text) -> Pod {
        Pod {
            uid: format!("u{:05}", self.versions).into(),
            name,
            node: node.clone(),
            bound: false,
            phase: Phase::Active,
            ready_since: None,
            created: seconds(self.now),
            deleting: false,
            revision: revision.clone(),
            template_generation: Text::default(),
        }
    }

    pub(super) fn deliver(&mut self, kind: usize) {
        if let Some(event) = self.watches[kind].pop_front() {
            self.tell(event);
        }
    }

    /// Delivers everything that the watches still hold.
    pub(super) fn settle_watches(&mut self) {
        for kind in 0..3 {
            while !self.watches[kind].is_empty() {
                self.deliver(kind);
            }
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Node(name, Some(node)) => {
                self.told.nodes.insert(name, node.clone());
                self.fleet.node_changed(node);
            }
            Event::Node(name, None) => {
                self.told.nodes.remove(&name);
                self.fleet.node_gone(&name);
            }
            Event::DaemonSet(uid, Some(daemon_set)) => {
                self.told.daemon_sets.insert(uid, daemon_set.clone());
                self.fleet.daemon_set_changed(daemon_set);
            }
            Event::DaemonSet(uid, None) => {
                self.told.daemon_sets.remove(&uid);
                self.fleet.daemon_set_gone(&uid);
            }
            Event::Pod(uid, version, pod) => {
                let known = self.known.entry(uid.clone()).or_default();
                if version <= *known {
                    return;
                }
                *known = version;
                if let Some((owner, pod)) = pod {
                    self.told.pods.insert(uid, (owner.clone(), pod.clone()));
                    self.fleet.pod_changed(&owner, pod);
                } else {
                    self.told.pods.remove(&uid);
                    self.fleet.pod_gone(&uid);
                }
            }
        }
    }
}

fn pick<T>(all: &[T], which: usize) -> Option<&T> {
    all.get(which % all.len().max(1))
}
