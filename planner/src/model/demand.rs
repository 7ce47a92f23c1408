//! What pods take of their node, and nodes that needn't exist.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use super::{Node, Quantity, Text};

/// Amounts by resource, sorted by the resources' names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources(BTreeMap<Text, Quantity>);

impl Resources {
    /// The amount of a resource, if it is named.
    pub fn get(&self, name: &str) -> Option<Quantity> {
        self.0.get(name).copied()
    }

    /// The amount of a resource, to change it; it is nothing at first.
    pub fn entry(&mut self, name: &Text) -> &mut Quantity {
        self.0.entry(name.clone()).or_insert(Quantity::ZERO)
    }

    /// Adds all amounts of another list.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            *self.entry(name) += amount;
        }
    }

    /// Raises each amount to that of another list where that is higher.
    pub fn raise_to(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let own = self.entry(name);
            *own = own.max(amount);
        }
    }

    /// Takes over from another list what isn't named here.
    pub fn fill_from(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            self.0.entry(name.clone()).or_insert(amount);
        }
    }

    /// All amounts, in the order of the resources' names.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, Quantity)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of several amounts of one resource the last counts.
impl FromIterator<(Text, Quantity)> for Resources {
    fn from_iter<I: IntoIterator<Item = (Text, Quantity)>>(amounts: I) -> Self {
        let mut resources = Self::default();
        for (name, amount) in amounts {
            *resources.entry(&name) = amount;
        }
        resources
    }
}

/// The resources of a container, or of a pod as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirements {
    /// resources.requests.
    pub requests: Resources,
    /// resources.limits.
    pub limits: Resources,
}

/// A container of a pod template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Its resources.
    pub resources: Requirements,
    /// Whether it is an init container that goes on running (restartPolicy Always): a sidecar.
    pub is_sidecar: bool,
    /// Its ports: those of the host, and those that are the host's because the pod is on the host's network.
    pub host_ports: Vec<HostPort>,
}

/// What the scheduler reads of a pod template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workload {
    /// spec.initContainers.
    pub init_containers: Vec<Container>,
    /// spec.containers.
    pub containers: Vec<Container>,
    /// spec.resources.
    pub pod: Requirements,
    /// spec.overhead, or that of the `RuntimeClass`.
    pub overhead: Resources,
}

/// A port of a node itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// The port's number.
    pub port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Text,
    /// The node's address that it is bound to; empty for all of them.
    pub ip: Text,
}

/// What one pod takes of its node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// By resource; `pods` is one of them.
    pub requests: Resources,
    /// Sorted, each once.
    pub host_ports: Vec<HostPort>,
}

/// A node as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTemplate {
    /// What is known of the node.
    pub node: Node,
    /// Keys of labels of which nobody knows yet what they will be.
    pub unknown_labels: HashSet<Text>,
    /// What pods may request of it; empty when unknown.
    pub capacity: Resources,
}
