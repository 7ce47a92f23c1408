//! Simulates a node with all the daemon pods that would run on it.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::{
    placement::{PartialVerdict, Placement},
    runtime_class::{Binding, ClassConditions},
};
use crate::model::{Demand, HostPort, NodeTemplate, Resources, Text, Verdict};

/// A `DaemonSet`, reduced to the parts that simulations need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The conditions that it sets on nodes.
    pub placement: Placement,
    /// The resources and host ports that one pod takes.
    pub demand: Demand,
    /// The conditions of the pod's `RuntimeClass`, if it sets any.
    pub class: Option<ClassConditions>,
}

/// The outcome for one node. It names `DaemonSet`s by their index among the candidates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// The `DaemonSet`s that would run.
    pub runs: Vec<usize>,
    /// The `DaemonSet`s whose verdict depends on unknown labels.
    pub undecided: Vec<Undecided>,
    /// The `DaemonSet`s whose pods would stay pending.
    pub unbound: Vec<Unbound>,
    /// The sum of the pods' requests.
    pub requests: Resources,
    /// The host ports that the pods take, sorted.
    pub host_ports: Vec<HostPort>,
    /// Host ports that several `DaemonSet`s want.
    pub conflicts: Vec<Conflict>,
    /// The capacity that is left. Empty when the capacity is unknown.
    pub left: Resources,
    /// The resources of which the pods request more than the node has. Empty when the capacity is unknown.
    pub exceeded: Vec<Text>,
}

/// A `DaemonSet` whose verdict depends on labels with unknown values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The `DaemonSet`'s index among the candidates.
    pub daemon_set: usize,
    /// The unknown labels, sorted.
    pub labels: Vec<Text>,
    /// The condition under which a pod would run.
    pub condition: String,
}

/// A `DaemonSet` whose pod would stay pending because of its `RuntimeClass`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbound {
    /// The `DaemonSet`'s index among the candidates.
    pub daemon_set: usize,
    /// The name of the `RuntimeClass`.
    pub class: Text,
    /// The reason, for people.
    pub message: String,
}

/// A host port that several `DaemonSet`s want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The port as the first of the `DaemonSet`s wants it.
    pub host_port: HostPort,
    /// The `DaemonSet`s' indices among the candidates, at least two.
    pub daemon_sets: Vec<usize>,
}

/// Simulates a node of this template.
pub fn simulate(candidates: &[Candidate], template: &NodeTemplate) -> Simulation {
    let mut simulator = Simulator::new(template);
    for candidate in candidates {
        simulator.add(candidate);
    }
    simulator.finish()
}

/// A simulation of one node. It takes candidates one by one, so that a caller with many of them can stop in between.
#[derive(Debug)]
pub struct Simulator<'a> {
    template: &'a NodeTemplate,
    simulation: Simulation,
    /// For each port and protocol, the host ports that candidates want, and the candidates' indices.
    ports: BTreeMap<(u16, Text), Vec<(&'a HostPort, usize)>>,
    index: usize,
}

impl<'a> Simulator<'a> {
    /// A simulation of a node on which nothing runs yet.
    pub fn new(template: &'a NodeTemplate) -> Self {
        Self {
            template,
            simulation: Simulation::default(),
            ports: BTreeMap::new(),
            index: 0,
        }
    }

    /// Adds the next candidate.
    pub fn add(&mut self, candidate: &'a Candidate) {
        let (index, template) = (self.index, self.template);
        self.index += 1;
        let (node, unknown) = (&template.node, &template.unknown_labels);
        let verdict = candidate.placement.partial_verdict(node, unknown);
        if matches!(verdict, PartialVerdict::Decided(Verdict::Keep | Verdict::Exclude)) {
            return;
        }
        let class = candidate.class.as_ref();
        let binding = class.map_or(Binding::Possible, |class| class.binding(node, unknown));
        match (verdict, binding) {
            (_, Binding::Impossible(message)) => self.simulation.unbound.push(Unbound {
                daemon_set: index,
                class: class.map(|class| class.name().clone()).unwrap_or_default(),
                message,
            }),
            (PartialVerdict::Decided(_), Binding::Possible) => self.run(index, &candidate.demand),
            (PartialVerdict::Undecided { labels, condition }, Binding::Possible)
            | (PartialVerdict::Decided(_), Binding::Depends { labels, condition }) => {
                self.leave_undecided(index, labels, condition);
            }
            (
                PartialVerdict::Undecided {
                    mut labels,
                    condition,
                },
                Binding::Depends {
                    labels: others,
                    condition: other,
                },
            ) => {
                labels.extend(others);
                self.leave_undecided(index, labels, format!("{condition}; {other}"));
            }
        }
    }

    /// Counts a pod that runs.
    fn run(&mut self, index: usize, demand: &'a Demand) {
        self.simulation.runs.push(index);
        self.simulation.requests.add(&demand.requests);
        for port in &demand.host_ports {
            let number = (port.port, port.protocol.clone());
            self.ports.entry(number).or_default().push((port, index));
        }
    }

    fn leave_undecided(&mut self, daemon_set: usize, mut labels: Vec<Text>, condition: String) {
        labels.sort();
        labels.dedup();
        self.simulation.undecided.push(Undecided {
            daemon_set,
            labels,
            condition,
        });
    }

    /// Completes the simulation.
    pub fn finish(self) -> Simulation {
        let Self {
            template,
            mut simulation,
            ports,
            ..
        } = self;
        for wanted in ports.values() {
            simulation.conflicts.extend(conflicts(wanted));
            simulation
                .host_ports
                .extend(wanted.iter().map(|(port, _)| (*port).clone()));
        }
        simulation.host_ports.sort();
        simulation.host_ports.dedup();
        if !template.capacity.is_empty() {
            simulation.left = left(&template.capacity, &simulation.requests);
            let exceeded = simulation.left.iter().filter(|(_, left)| left.is_negative());
            simulation.exceeded = exceeded.map(|(name, _)| name.clone()).collect();
        }
        simulation
    }
}

/// The conflicts among candidates that want one port of one protocol. Each address that several candidates want makes a
/// group. A candidate that wants all addresses is in every group.
fn conflicts(wanted: &[(&HostPort, usize)]) -> Vec<Conflict> {
    let mut by_address = HashMap::<&str, Vec<usize>>::new();
    for (port, index) in wanted {
        by_address.entry(&port.ip).or_default().push(*index);
    }
    let everywhere = by_address.get("").cloned().unwrap_or_default();
    let (mut found, mut groups, mut addresses) = (Vec::new(), HashSet::new(), HashSet::new());
    for (port, _) in wanted {
        if !addresses.insert(port.ip.as_ref()) {
            continue;
        }
        let mut daemon_sets: Vec<_> = if port.ip.is_empty() {
            wanted.iter().map(|(_, index)| *index).collect()
        } else {
            let own = by_address.get(port.ip.as_ref()).into_iter().flatten();
            own.chain(&everywhere).copied().collect()
        };
        daemon_sets.sort_unstable();
        daemon_sets.dedup();
        if daemon_sets.len() > 1 && !groups.contains(&daemon_sets) {
            groups.insert(daemon_sets.clone());
            found.push(Conflict {
                host_port: (*port).clone(),
                daemon_sets,
            });
        }
    }
    found
}

/// The capacity minus the requests. A resource that the node doesn't have counts as zero capacity.
fn left(capacity: &Resources, requests: &Resources) -> Resources {
    let mut left = capacity.clone();
    for (name, requested) in requests.iter() {
        let there = left.entry(name);
        *there = there.minus(requested);
    }
    left
}

#[cfg(test)]
mod tests;
