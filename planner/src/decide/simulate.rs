//! What becomes of a node with all the daemon pods that would run on it.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::placement::{Outlook, Placement};
use crate::model::{Demand, HostPort, NodeTemplate, Resources, Text, Verdict};

/// A `DaemonSet` as far as simulations ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where its pods belong.
    pub placement: Placement,
    /// What one of them takes.
    pub demand: Demand,
}

/// What becomes of a node. `DaemonSet`s are named by their places among the candidates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// Those that would run.
    pub runs: Vec<usize>,
    /// Those of which it can't be said.
    pub undecided: Vec<Undecided>,
    /// What the pods request together.
    pub requests: Resources,
    /// The host ports that they take, sorted.
    pub host_ports: Vec<HostPort>,
    /// Host ports that several want.
    pub conflicts: Vec<Conflict>,
    /// What is left of the capacity; nothing is named when that is unknown.
    pub left: Resources,
    /// Resources of which they request more than there is.
    pub exceeded: Vec<Text>,
}

/// A `DaemonSet` whose verdict depends on labels that nobody knows yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// Its place.
    pub daemon_set: usize,
    /// The labels, sorted.
    pub labels: Vec<Text>,
    /// What would have to hold.
    pub condition: String,
}

/// A host port that several want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// As the first of them wants it.
    pub host_port: HostPort,
    /// Their places, at least two.
    pub daemon_sets: Vec<usize>,
}

/// What becomes of a node like this.
pub fn simulate(candidates: &[Candidate], template: &NodeTemplate) -> Simulation {
    let mut simulator = Simulator::new(template);
    for candidate in candidates {
        simulator.add(candidate);
    }
    simulator.finish()
}

/// A simulation of one node, candidate by candidate: whoever has many of them can stop in between.
#[derive(Debug)]
pub struct Simulator<'a> {
    template: &'a NodeTemplate,
    simulation: Simulation,
    /// Who wants which address of a port and a protocol.
    ports: BTreeMap<(u16, Text), Vec<(&'a HostPort, usize)>>,
    place: usize,
}

impl<'a> Simulator<'a> {
    /// A node on which nothing runs yet.
    pub fn new(template: &'a NodeTemplate) -> Self {
        Self {
            template,
            simulation: Simulation::default(),
            ports: BTreeMap::new(),
            place: 0,
        }
    }

    /// Adds the next candidate.
    pub fn add(&mut self, candidate: &'a Candidate) {
        let (place, template) = (self.place, self.template);
        self.place += 1;
        let Candidate { placement, demand } = candidate;
        match placement.outlook(&template.node, &template.unknown_labels) {
            Outlook::Decided(Verdict::Run) => {
                self.simulation.runs.push(place);
                self.simulation.requests.add(&demand.requests);
                for port in &demand.host_ports {
                    let number = (port.port, port.protocol.clone());
                    self.ports.entry(number).or_default().push((port, place));
                }
            }
            Outlook::Decided(Verdict::Keep | Verdict::Exclude) => {}
            Outlook::Open { labels, condition } => self.simulation.undecided.push(Undecided {
                daemon_set: place,
                labels,
                condition,
            }),
        }
    }

    /// What becomes of the node.
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

/// The conflicts among those that want one port of one protocol: a group for each address with several of them. One that
/// wants all addresses is in every group.
fn conflicts(wanted: &[(&HostPort, usize)]) -> Vec<Conflict> {
    let mut by_address = HashMap::<&str, Vec<usize>>::new();
    for (port, place) in wanted {
        by_address.entry(&port.ip).or_default().push(*place);
    }
    let everywhere = by_address.get("").cloned().unwrap_or_default();
    let (mut found, mut groups, mut addresses) = (Vec::new(), HashSet::new(), HashSet::new());
    for (port, _) in wanted {
        if !addresses.insert(port.ip.as_ref()) {
            continue;
        }
        let mut daemon_sets: Vec<_> = if port.ip.is_empty() {
            wanted.iter().map(|(_, place)| *place).collect()
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

/// What there is less what is requested. A resource that the node doesn't have is one of which it has nothing.
fn left(capacity: &Resources, requests: &Resources) -> Resources {
    let mut left = capacity.clone();
    for (name, requested) in requests.iter() {
        let there = left.entry(name);
        *there = there.less(requested);
    }
    left
}

#[cfg(test)]
mod tests;
