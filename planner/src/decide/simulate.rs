//! What becomes of a node with all the daemon pods that would run on it.

use std::collections::BTreeMap;

use super::{
    demand::conflict,
    placement::{Outlook, Placement},
};
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
    let mut simulation = Simulation::default();
    let mut ports = BTreeMap::new();
    for (place, Candidate { placement, demand }) in candidates.iter().enumerate() {
        match placement.outlook(&template.node, &template.unknown_labels) {
            Outlook::Decided(Verdict::Run) => {
                simulation.runs.push(place);
                simulation.requests.add(&demand.requests);
                for port in &demand.host_ports {
                    let number = (port.port, port.protocol.clone());
                    ports.entry(number).or_insert_with(Vec::new).push((port, place));
                }
            }
            Outlook::Decided(Verdict::Keep | Verdict::Exclude) => {}
            Outlook::Open { labels, condition } => simulation.undecided.push(Undecided {
                daemon_set: place,
                labels,
                condition,
            }),
        }
    }
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

/// The conflicts among those that want one port of one protocol: a group for each address with several of them. One that
/// wants all addresses is in every group.
fn conflicts(wanted: &[(&HostPort, usize)]) -> Vec<Conflict> {
    let (mut found, mut addresses) = (Vec::<Conflict>::new(), Vec::new());
    for (port, _) in wanted {
        if addresses.contains(&&port.ip) {
            continue;
        }
        addresses.push(&port.ip);
        let rivals = wanted.iter().filter(|(other, _)| conflict(port, other));
        let mut daemon_sets: Vec<_> = rivals.map(|(_, place)| *place).collect();
        daemon_sets.dedup();
        if daemon_sets.len() > 1 && found.iter().all(|known| known.daemon_sets != daemon_sets) {
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
