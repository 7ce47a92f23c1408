//! A miniature cluster and executor, in which everything may arrive late, twice or not at all.
//!
//! A run is a list of [`Step`]s, so that a failure shrinks to the few that matter. The simulation checks its
//! invariants after every plan and every step.

mod executor;
mod outside;
mod step;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

pub(super) use self::step::{Step, any_step};
use super::{super::*, invariants::CrowdedNodes};
use crate::model::Pod;

const NODES: usize = 6;
const DAEMON_SETS: usize = 3;

/// An event of a watch. The events of each kind of object keep the order in which they happened.
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
    /// By uid, each with its `DaemonSet`'s uid.
    pub(super) pods: BTreeMap<Text, (Text, Pod)>,
}

#[derive(Debug, Default)]
pub(super) struct Simulation {
    pub(super) cluster: Cluster,
    /// The facts that the planner has received.
    pub(super) received: Cluster,
    pub(super) fleet: Fleet,
    pub(super) now: i64,
    /// The planner's last report on each `DaemonSet`.
    pub(super) reports: BTreeMap<Text, RowReport>,
    /// The pods that wait for minReadySeconds according to all plans so far, by their `DaemonSet`: when they become
    /// available.
    pub(super) waiting: BTreeMap<Text, BTreeMap<Text, Millis>>,
    watches: [VecDeque<Event>; 3],
    /// The latest version of each pod that the executor has received. It skips older events.
    versions_received: HashMap<Text, u64>,
    pub(super) pending: BTreeMap<ActionId, (Text, Action)>,
    /// Actions whose first response was lost.
    unreported: BTreeSet<ActionId>,
    outcomes: Vec<ActionId>,
    versions: u64,
    generations: i64,
    /// How many steps had something to do.
    pub(super) executed: usize,
    pub(super) crowded_nodes: CrowdedNodes,
    /// Whether every plan is followed by a second one from all cells. Without it, the fleet must notice by
    /// itself which cells a fact affects.
    pub(super) plans_twice: bool,
}

impl Simulation {
    pub(super) fn new() -> Self {
        let mut simulation = Self {
            now: crate::testing::NOW,
            ..Self::default()
        };
        simulation.fleet.track_availability();
        simulation
    }

    /// A cluster in which every `DaemonSet` has its pods. Some of the `DaemonSet`s surge.
    pub(super) fn with_running_pods() -> Self {
        let mut simulation = Self::new();
        let nodes = (0..NODES).map(|node| Step::SetNode(node, 0));
        let daemon_sets = (0..DAEMON_SETS).map(|set| Step::SetTemplate(set, 0));
        let surges = (1..DAEMON_SETS).map(|set| Step::SetStrategy(set, outside::STRATEGIES.len() - 2 * set));
        simulation.steps(&nodes.chain(daemon_sets).chain(surges).collect::<Vec<_>>());
        simulation.run_quiet_round();
        simulation.plan();
        simulation.executed = 0;
        simulation
    }

    pub(super) fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        let done = match *step {
            Step::SetNode(which, shape) => self.set_node(which, shape),
            Step::DropNode(which) => self.drop_node(which),
            Step::SetTemplate(which, template) => {
                self.change_daemon_set(which, |daemon_set| Self::set_template(daemon_set, template))
            }
            Step::SetStrategy(which, strategy) => self.change_daemon_set(which, |daemon_set| {
                daemon_set.strategy = outside::STRATEGIES[strategy];
            }),
            Step::SetMinReady(which, seconds) => self.change_daemon_set(which, |daemon_set| {
                daemon_set.min_ready_millis = seconds * 1_000;
            }),
            Step::DropDaemonSet(which) => self.drop_daemon_set(which),
            Step::Adopt(which, node, template) => self.adopt(which, node, template),
            Step::MovePod(which, fate) => self.move_pod(which, fate),
            Step::Execute(which, how) => {
                let ids: Vec<_> = self.pending.keys().copied().collect();
                let id = pick(&ids, which);
                id.inspect(|id| self.execute(**id, how)).is_some()
            }
            Step::Repeat(which) => {
                let id = pick(&self.outcomes, which).copied();
                id.inspect(|id| self.fleet.action_done(*id)).is_some()
            }
            Step::Deliver(kind, count) => (0..count).fold(false, |any, _| self.deliver(kind) || any),
            Step::Plan(passed) => {
                self.now += passed;
                self.plan();
                true
            }
            Step::QuietRound(passed) => {
                self.now += passed;
                self.run_quiet_round();
                true
            }
            Step::Restart => self.restart(),
        };
        self.executed += usize::from(done);
        self.check_pod_counts();
    }

    fn deliver(&mut self, kind: usize) -> bool {
        let event = self.watches[kind].pop_front();
        event.map(|event| self.receive(event)).is_some()
    }

    /// Delivers all events that the watches still hold.
    pub(super) fn deliver_all(&mut self) {
        for kind in 0..3 {
            while self.deliver(kind) {}
        }
    }

    /// The pods whose latest state the planner hasn't received yet.
    pub(super) fn pods_with_undelivered_events(&self) -> BTreeSet<&Text> {
        let events = self.watches[2].iter().filter_map(|event| match event {
            Event::Pod(uid, version, _) => Some((uid, version)),
            Event::Node(..) | Event::DaemonSet(..) => None,
        });
        let undelivered = events.filter(|(uid, version)| {
            self.versions_received
                .get(*uid)
                .is_none_or(|known| known < *version)
        });
        undelivered.map(|(uid, _)| uid).collect()
    }

    fn receive(&mut self, event: Event) {
        match event {
            Event::Node(name, Some(node)) => {
                self.received.nodes.insert(name, node.clone());
                self.fleet.node_changed(node);
            }
            Event::Node(name, None) => {
                self.received.nodes.remove(&name);
                self.fleet.node_gone(&name);
            }
            Event::DaemonSet(uid, Some(daemon_set)) => {
                self.received.daemon_sets.insert(uid, daemon_set.clone());
                self.fleet.daemon_set_changed(daemon_set);
            }
            Event::DaemonSet(uid, None) => {
                self.received.daemon_sets.remove(&uid);
                self.waiting.remove(&uid);
                self.fleet.daemon_set_gone(&uid);
            }
            Event::Pod(uid, version, pod) => {
                let known = self.versions_received.entry(uid.clone()).or_default();
                if version <= *known {
                    return;
                }
                *known = version;
                if let Some((owner, pod)) = pod {
                    self.received.pods.insert(uid, (owner.clone(), pod.clone()));
                    self.fleet.pod_changed(&owner, pod);
                } else {
                    self.received.pods.remove(&uid);
                    self.fleet.pod_gone(&uid);
                }
            }
        }
    }
}

fn pick<T>(all: &[T], which: usize) -> Option<&T> {
    all.get(which % all.len().max(1))
}
